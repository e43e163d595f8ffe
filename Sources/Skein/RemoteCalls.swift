// Stubs for remote calls over the session.

extension Skein {
    /// The functions of an XML-RPC server: `try skein.xmlrpc(url).package.releases("roundup")`.
    /// - Parameters:
    ///   - url: where they are.
    ///   - headers: for each call.
    ///   - auth: who calls.
    ///   - timeout: for each call. Default: the session's.
    /// - Throws: code 701 for a malformed URL.
    public func xmlrpc(
        _ url: String, headers: Headers = Headers(), auth: HTTPAuth? = nil, timeout: Duration? = nil
    ) throws(SkeinError) -> XMLRPC {
        XMLRPC(HTTPRequest(.post, try HTTPURL(url), headers: headers, auth: auth, timeout: timeout)) {
            self.start($0, callback: $1)
        }
    }

    /// The functions of a JSON-RPC 2.0 server: `try skein.jsonrpc(url).sum(a: 1, b: 2)`.
    /// - Parameters:
    ///   - url: where they are.
    ///   - headers: for each call.
    ///   - auth: who calls.
    ///   - timeout: for each call. Default: the session's.
    /// - Throws: code 701 for a malformed URL.
    public func jsonrpc(
        _ url: String, headers: Headers = Headers(), auth: HTTPAuth? = nil, timeout: Duration? = nil
    ) throws(SkeinError) -> JSONRPC {
        JSONRPC(HTTPRequest(.post, try HTTPURL(url), headers: headers, auth: auth, timeout: timeout)) {
            self.start($0, callback: $1)
        }
    }
}
