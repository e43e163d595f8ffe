// Rules applied to every request of an engine before any app, and to every response.

import SkeinCore
import SkeinWire

/// The rules for all mounts.
struct Gate: Sendable {
    private let forwardsToTLS: Int?
    private let strictTransport: String?

    init(_ configuration: ServerConfiguration) {
        forwardsToTLS = configuration.forwardsToTLS
        strictTransport = configuration.strictTransportSecurity.map { "max-age=\($0.components.seconds)" }
    }

    /// The response to a request that is not passed to any app.
    func answer(_ request: ServerRequest) -> ServerResponse? {
        if let forwardsToTLS, !request.isSecure { return forward(request, to: forwardsToTLS) }
        guard
            request.head.targetBytes.getInteger(
                at: request.head.targetBytes.readerIndex, as: UInt8.self) != UInt8(ascii: "/")
        else { return nil }
        switch request.method {
        case .options where request.target == "*":
            return ServerResponse(.noContent, headers: ["Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"])
        case .connect where request.head.protocolName == nil:
            return ErrorPages.standard(ServerError(.methodNotAllowed, "this server does not open tunnels"), request)
        default: return nil
        }
    }

    /// Adds the fields of every response.
    func complete(_ response: inout ServerResponse, _ request: ServerRequest) {
        // In clear text, the field has no effect (RFC 6797, section 7.2).
        if let strictTransport, request.isSecure, !response.headers.contains("Strict-Transport-Security") {
            response.headers["Strict-Transport-Security"] = strictTransport
        }
    }

    private func forward(_ request: ServerRequest, to port: Int) -> ServerResponse {
        guard let host = request.host, host.utf8.allSatisfy({ Bytes.isTarget($0) && $0 != UInt8(ascii: "/") }) else {
            return ErrorPages.standard(ServerError(.badRequest, "the request does not name a host"), request)
        }
        let query = request.query.map { "?\($0)" } ?? ""
        return .redirect(
            to: "https://\(host)\(port == 443 ? "" : ":\(port)")\(request.path)\(query)", status: .permanentRedirect)
    }
}
