// Who gets to see what a server says about itself.

/// Who may look at pages about the server.
public enum Watchers: Sendable {
    /// Who is on the same machine. What came through a proxy is from elsewhere, unless the proxy is trusted.
    case local
    /// Who has an address in one of the ranges.
    case addresses([AddressRange])
    /// Anybody; put something in front of it.
    case anybody

    /// - Throws: ``NotServed`` for those who may not: to them there is nothing.
    func require(_ request: ServerRequest) throws(NotServed) {
        let isProxied = request.headers.contains("X-Forwarded-For") || request.headers.contains("Forwarded")
        let address = request.clientAddress
        switch self {
        case .anybody: return
        case .addresses(let ranges):
            if let address, ranges.contains(where: { $0.contains(address) }) { return }
        case .local:
            let isOwn = address.map { $0 == "::1" || AddressRange.loopback.contains($0) } ?? true
            if isOwn, !isProxied || request.remoteAddress?.ipAddress != address { return }
        }
        throw NotServed()
    }
}
