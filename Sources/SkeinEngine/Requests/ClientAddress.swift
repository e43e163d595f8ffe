// The client's address and scheme behind proxies. Forwarding fields are accepted from trusted proxies only, in one
// family of fields, and only as far as trusted hops have written them.

import SkeinHTTP
import SkeinTransport
import SkeinWire

extension ServerRequest {
    /// The client's address: that of the socket, or from trusted proxies; nil when these do not know it, and for unix
    /// sockets without forwarding fields.
    public var clientAddress: String? {
        guard isFromTrustedProxy, let hop = clientHop else { return scope.peer.host }
        return hop.address
    }

    /// Whether the client's request was encrypted on its way, as far as the server and trusted proxies can tell.
    public var isSecure: Bool {
        if scope.channel?.isSecure ?? false { return true }
        guard isFromTrustedProxy else { return false }
        let said =
            switch configuration.forwarding {
            case .forwarded: clientHop?.scheme
            // One value for the whole path; of several, the nearest proxy has written the last.
            case .xForwarded: headers.values("X-Forwarded-Proto").last?.splitBytes(separator: ",").last.map(String.init)
            }
        return said?[...].trimmingBlanks().lowercased() == "https"
    }

    /// The family of forwarding fields.
    var forwarding: ServerConfiguration.Forwarding { configuration.forwarding }

    private var configuration: ServerConfiguration { _read { yield scope.owner.context.configuration } }

    private func isTrusted(_ address: String) -> Bool { configuration.trustedProxies.contains { $0.contains(address) } }

    /// Whether forwarding fields of the request are trusted. Only local programs can write to a unix socket.
    var isFromTrustedProxy: Bool {
        guard scope.owner.context.trustsProxies else { return false }
        guard let address = scope.peer.host else { return true }
        return isTrusted(address)
    }

    /// A hop recorded by a proxy.
    private struct Hop {
        /// Nil for a name and for an obfuscated identifier.
        var address: String?
        var scheme: String?
    }

    /// The hop of the client: from the nearest one outwards, the first that is not a trusted proxy. Nil when no hop is
    /// recorded.
    private var clientHop: Hop? {
        let hops = self.hops
        return hops.last { hop in hop.address.map { !isTrusted($0) } ?? true } ?? hops.first
    }

    private var hops: [Hop] {
        switch configuration.forwarding {
        case .xForwarded:
            headers.values("X-Forwarded-For").flatMap { $0.splitBytes(separator: ",") }
                .map { Hop(address: Self.address($0.trimmingBlanks())) }
        case .forwarded: headers.values("Forwarded").flatMap(Self.forwarded)
        }
    }

    /// The elements of a `Forwarded` field (RFC 7239, section 4); separators inside of quotation marks do not separate.
    private static func forwarded(_ field: String) -> [Hop] {
        Self.split(field, at: ",").map { element in
            var hop = Hop()
            for pair in Self.split(element, at: ";") {
                let parts = pair.splitBytes(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { continue }
                var value = parts[1].trimmingBlanks()
                if value.hasBytePrefix("\""), value.hasByteSuffix("\""), value.utf8.count >= 2 {
                    value = Substring(value.utf8.dropFirst().dropLast())
                }
                switch parts[0].trimmingBlanks().lowercased() {
                case "for": hop.address = address(value)
                case "proto": hop.scheme = String(value)
                default: break
                }
            }
            return hop
        }
    }

    private static func split(_ text: some StringProtocol, at separator: Unicode.Scalar) -> [Substring] {
        var isQuoted = false
        return Substring(text).utf8.split(omittingEmptySubsequences: false) { byte in
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return byte == UInt8(ascii: separator) && !isQuoted
        }.map { Substring($0) }
    }

    /// An address without port and brackets; nil for names and obfuscated identifiers.
    private static func address(_ text: Substring) -> String? {
        if IPAddress.bytes(String(text)) != nil { return String(text) }
        let bare =
            text.hasBytePrefix("[") ? Substring(text.utf8.dropFirst()).prefix(before: "]") : text.prefix(before: ":")
        return IPAddress.bytes(String(bare)) == nil ? nil : String(bare)
    }
}

extension ServerConfiguration {
    /// Fields of the family that no trusted proxy writes, so that a client may have forged them.
    var uncheckedFields: [String] {
        if trustedProxies.isEmpty { return [] }
        return switch forwarding {
        case .xForwarded: ["Forwarded"]
        case .forwarded: ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"]
        }
    }
}

extension RequestHead {
    /// Whether it has one of some fields.
    func hasAny(_ names: [String]) -> Bool { names.contains { headers.contains($0) } }

    /// The request without some fields.
    func without(_ names: [String]) -> RequestHead {
        var head = self
        for name in names { head.headers.remove(name) }
        return head
    }
}
