// Where the functions of a stub are, and how far its name has come.

import SkeinCore
import SkeinHTTP

/// Sends the requests that calls are made of.
package typealias RPCSender =
    @Sendable (HTTPRequest, @escaping @Sendable (HTTPResponse) -> Void) -> Corequest<HTTPResponse>

/// A server of functions, and the name of one, or what stands before its dot.
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
    ///   - accepting: what the answer should be.
    ///   - read: takes the answer apart.
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
