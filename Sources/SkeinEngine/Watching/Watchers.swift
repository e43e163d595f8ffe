// Who gets to see what a server says about itself.

import SkeinTransport

/// Who may look at pages about the server.
public enum Watchers: Sendable {
    /// Clients on the same machine: their address and the host that they ask for are of this machine, and nothing says that a proxy is
    /// in between, neither a field that proxies add nor HTTP/1.0, which nginx speaks when it is told nothing.
    ///
    /// A proxy on this machine that adds nothing and passes any host on cannot be told from a local client: keep these paths out of
    /// it, or name it in ``ServerConfiguration/trustedProxies`` and let it add its fields.
    case local
    /// Clients with an address in one of the ranges.
    case addresses([AddressRange])
    /// Anybody; put something in front of it.
    case anybody

    /// - Throws: ``NotServed`` for those who may not: to them there is nothing.
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
