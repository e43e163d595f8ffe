// Stubs for remote calls over the session.

import SkeinCore
import SkeinHTTP
import SkeinWire

extension SkeinClient {
    /// The functions of an XML-RPC server: `try client.xmlrpc(url).package.releases("roundup")`.
    /// - Parameters:
    ///   - url: the URL of the server.
    ///   - headers: header fields of each call.
    ///   - auth: credentials.
    ///   - timeout: for each call. Default: the session's.
    /// - Throws: code 701 for a malformed URL.
    public func xmlrpc(
        _ url: String, headers: Headers = Headers(), auth: HTTPAuth? = nil, timeout: Duration? = nil
    ) throws(SkeinError) -> XMLRPC {
        XMLRPC(HTTPRequest(.post, try HTTPURL(url), headers: headers, auth: auth, timeout: timeout)) {
            self.start($0, callback: $1)
        }
    }

    /// The functions of a JSON-RPC 2.0 server: `try client.jsonrpc(url).sum(a: 1, b: 2)`.
    ///
    /// Over `ws://` and `wss://`, all calls of the stub share one WebSocket, which the first call opens and which is
    /// reopened after a loss; responses may arrive in any order.
    /// - Parameters:
    ///   - url: the URL of the server; `http://`, `https://`, `ws://` or `wss://`.
    ///   - headers: header fields of each call.
    ///   - auth: credentials.
    ///   - timeout: for each call. Default: the session's.
    /// - Throws: code 701 for a malformed URL.
    public func jsonrpc(
        _ url: String, headers: Headers = Headers(), auth: HTTPAuth? = nil, timeout: Duration? = nil
    ) throws(SkeinError) -> JSONRPC {
        guard !url.lowercased().hasBytePrefix("ws") else {
            let request = HTTPRequest(.get, try HTTPURL(webSocket: url), headers: headers, auth: auth, timeout: timeout)
            let socket = JSONRPCSocket(request, over: http)
            return JSONRPC(request) { socket.send($0, callback: $1) }
        }
        return JSONRPC(HTTPRequest(.post, try HTTPURL(url), headers: headers, auth: auth, timeout: timeout)) {
            self.start($0, callback: $1)
        }
    }
}

extension EveryMember {
    /// Calls a function of every member by XML-RPC: `try client.all("@search").xmlrpc("/RPC2") { $0.find("yarn") }`.
    /// - Parameters:
    ///   - path: where the functions are.
    ///   - call: starts a call on a member.
    /// - Returns: the corequests in the order of the members.
    /// - Throws: code 701 for a malformed path.
    public func xmlrpc<Result: Response>(
        _ path: String, _ call: (XMLRPC) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        let request = HTTPRequest(.post, try HTTPURL(alias.name + path))
        return CorequestGroup(senders.map { call(XMLRPC(request, over: $0)) })
    }

    /// Calls a function of every member by JSON-RPC 2.0 over HTTP: `try client.all("@search").jsonrpc("/") { $0.find("yarn") }`.
    /// - Parameters:
    ///   - path: where the functions are.
    ///   - call: starts a call on a member.
    /// - Returns: the corequests in the order of the members.
    /// - Throws: code 701 for a malformed path.
    public func jsonrpc<Result: Response>(
        _ path: String, _ call: (JSONRPC) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        let request = HTTPRequest(.post, try HTTPURL(alias.name + path))
        return CorequestGroup(senders.map { call(JSONRPC(request, over: $0)) })
    }
}
