// The URL of a stub's functions, and the name built so far.

import SkeinCore
import SkeinHTTP

/// Sends the HTTP requests of calls.
package typealias RPCSender =
    @Sendable (HTTPRequest, @escaping @Sendable (HTTPResponse) -> Void) -> Corequest<HTTPResponse>

/// A server, and the name of a function, or a prefix of it.
struct RPCEndpoint: Sendable {
    private let request: HTTPRequest
    private let send: RPCSender
    let name: String

    init(_ request: HTTPRequest, over send: @escaping RPCSender, name: String = "") {
        self.request = request
        self.send = send
        self.name = name
    }

    func member(_ member: String) -> RPCEndpoint {
        RPCEndpoint(request, over: send, name: name.isEmpty ? member : "\(name).\(member)")
    }

    /// Starts a call.
    /// - Parameters:
    ///   - accepting: the expected media type.
    ///   - read: parses the response.
    func call<Value: RPCValue>(
        _ method: String, _ body: HTTPBody, accepting type: String,
        _ read: @escaping @Sendable (HTTPResponse) throws -> Result<Value, RPCFault>
    ) -> Corequest<RPCResponse<Value>> {
        var request = self.request
        request.method = .post
        request.body = body
        if !request.headers.contains("Accept") { request.headers["Accept"] = type }
        return .relay(request, over: send) { RPCResponse($0, method: method, decode: read) }
    }
}
