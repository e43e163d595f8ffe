// Access to pages about the server.

import SkeinTransport

/// The clients that may access pages about the server.
public enum Watchers: Sendable {
    /// Clients on the same machine: their address and the requested host are of this machine, and there is no sign of a
    /// proxy, neither a forwarding field nor HTTP/1.0, which nginx uses by default.
    ///
    /// A local proxy that adds no fields and passes any host on cannot be distinguished from a local client: exclude
    /// these paths from it, or list it in ``ServerConfiguration/trustedProxies`` and let it add its fields.
    case local
    /// Clients with an address in one of the ranges.
    case addresses([AddressRange])
    /// Every client; restrict access by other means.
    case anybody

    /// - Throws: ``NotServed`` for other clients, which get 404.
    func require(_ request: ServerRequest) throws(NotServed) {
        switch self {
        case .anybody: return
        case .addresses(let ranges):
            if let address = request.clientAddress, ranges.contains(where: { $0.contains(address) }) { return }
        case .local: if Self.isLocal(request) { return }
        }
        throw NotServed()
    }

    private static let proxyFields = [
        "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server",
        "X-Real-IP",
        "CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Original-Host",
    ]

    private static func isLocal(_ request: ServerRequest) -> Bool {
        if let address = request.remoteAddress?.ipAddress {
            guard let bytes = IPAddress.bytes(address), IPAddress.isLoopback(bytes) else { return false }
            guard let host = request.host else { return false }
            let name = host.hasBytePrefix("[") ? String(host.dropFirst().dropLast()) : host
            guard name == "localhost" || IPAddress.bytes(name).map(IPAddress.isLoopback) == true else { return false }
        }
        return request.version != .http1_0 && !request.scope.hasUncheckedForwarding
            && !proxyFields.contains { request.headers.contains($0) }
    }
}
