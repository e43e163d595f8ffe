// Who asked, and how, when proxies stand in between: their word is taken if they are trusted, and nobody else's.

import SkeinHTTP
import SkeinTransport

extension ServerRequest {
    /// The client's address: that of the socket, or what trusted proxies say about it; nil for unix sockets without such word.
    public var clientAddress: String? {
        let own = remoteAddress?.ipAddress
        guard isFromTrustedProxy else { return own }
        // From the nearest hop outwards, up to the first that is not trusted.
        for address in forwardedAddresses.reversed() where !isTrusted(address) { return address }
        return forwardedAddresses.first ?? own
    }

    /// Whether the client's request was encrypted on its way, as far as the server and trusted proxies can tell.
    public var isSecure: Bool {
        if scope.channel?.isSecure ?? false { return true }
        guard isFromTrustedProxy else { return false }
        let said = forwarded("proto") ?? headers["X-Forwarded-Proto"]
        return said?.splitBytes(separator: ",").first?.trimmingBlanks().lowercased() == "https"
    }

    private var proxies: [AddressRange] { scope.owner.context.configuration.trustedProxies }

    private func isTrusted(_ address: String) -> Bool { proxies.contains { $0.contains(address) } }

    /// Whether what the request says of its way can be believed. Who may write to a unix socket is no stranger.
    private var isFromTrustedProxy: Bool {
        guard !proxies.isEmpty else { return false }
        guard let address = remoteAddress?.ipAddress else { return true }
        return isTrusted(address)
    }

    /// The addresses that hops have noted, the client's first.
    private var forwardedAddresses: [String] {
        let standard = headers.values("Forwarded").flatMap { $0.splitBytes(separator: ",") }.compactMap { element in
            Self.parameter("for", of: element).flatMap(Self.address)
        }
        if !standard.isEmpty { return standard }
        return headers.values("X-Forwarded-For").flatMap { $0.splitBytes(separator: ",") }
            .compactMap { Self.address(String($0.trimmingBlanks())) }
    }

    /// A parameter of the last hop's `Forwarded` (RFC 7239, section 4).
    private func forwarded(_ name: String) -> String? {
        headers.values("Forwarded").last.flatMap { $0.splitBytes(separator: ",").last }.flatMap {
            Self.parameter(name, of: $0)
        }
    }

    private static func parameter(_ name: String, of element: Substring) -> String? {
        for pair in element.splitBytes(separator: ";") {
            let parts = pair.splitBytes(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].trimmingBlanks().lowercased() == name else { continue }
            return parts[1].trimmingBlanks().filter { $0 != "\"" }
        }
        return nil
    }

    /// An address without port and brackets; nil for names and what is hidden.
    private static func address(_ text: String) -> String? {
        if IPAddress.bytes(text) != nil { return text }
        let bare = text.hasBytePrefix("[") ? text.dropFirst().prefix(before: "]") : text.prefix(before: ":")
        return IPAddress.bytes(String(bare)) == nil ? nil : String(bare)
    }
}
