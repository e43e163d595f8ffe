// Finds the servers for the mail of a destination (RFC 5321, section 5.1).

import NIOCore
import SkeinCore
import SkeinTransport

/// Finds the servers of a destination.
struct MailRoutes: Sendable {
    /// The maximum number of servers for one delivery.
    private static let limit = 5

    let resolver: DNSResolver
    /// The port of servers that are found in the DNS.
    let port: Int
    let requiresTLS: Bool
    /// The MTA-STS policies of domains; nil when they are not applied.
    let policies: TransportPolicies?
    /// The trust roots.
    let roots: ClientTLSConfiguration.Roots

    /// The servers of a destination, in the order in which they are tried.
    /// - Parameter destination: a URL, or a domain.
    /// - Throws: an error with an ``SMTPRefusal`` as its cause when there will never be a server; other errors when the
    ///   failure may be temporary.
    func servers(of destination: String, on loop: any EventLoop) async throws -> [MailRelay] {
        if destination.containsBytes("://") { return [try MailRelay(destination)] }
        if let address = MailAddress.literal(destination) { return [relay(address)] }
        let found = try await resolver.records(destination, .mx, on: loop).get()
        let exchanges = found.compactMap { record -> (Int, DNSName?)? in
            // An invalid host name is skipped.
            if case .exchange(let preference, let name) = record, name.map({ DNSName($0.text) != nil }) ?? true {
                (preference, name)
            } else {
                nil
            }
        }
        if exchanges.isEmpty {
            // Without MX records, the domain is its own server.
            for type in [DNSRecordType.a, .aaaa] {
                if try await !resolver.resolve("\(destination).", type, on: loop).get().isEmpty {
                    return [relay(destination)]
                }
            }
            throw Self.refusal("5.1.2 the domain \(destination) does not exist, or takes no mail")
        }
        let hosts = Self.ordered(exchanges)
        guard !hosts.isEmpty else { throw Self.refusal("5.1.10 the domain \(destination) takes no mail (null MX)") }
        guard let policy = await policies?.policy(of: destination, on: loop), policy.mode == .enforce else {
            return hosts.prefix(Self.limit).map { relay($0.text) }
        }
        let named = hosts.filter { policy.names($0.text) }
        guard !named.isEmpty else {
            throw SkeinError(
                .tlsHandshakeFailed, peer: destination,
                because: "none of the domain's MX servers is allowed by its policy (MTA-STS)")
        }
        return named.prefix(Self.limit).map { relay($0.text, requiresTLS: true) }
    }

    private func relay(_ host: String, requiresTLS: Bool? = nil) -> MailRelay {
        MailRelay(exchange: host, port: port, requiresTLS: requiresTLS ?? self.requiresTLS, roots: roots)
    }

    /// The hosts in the order of their preference; equal ones in random order, which spreads the load.
    static func ordered(_ exchanges: [(Int, DNSName?)]) -> [DNSName] {
        exchanges.shuffled().sorted { $0.0 < $1.0 }.compactMap(\.1)
    }

    private static func refusal(_ text: String) -> SkeinError {
        SkeinError(
            .dnsNotFound, because: String(text.text(after: text.firstByte(" ") ?? text.startIndex)),
            cause: SMTPRefusal(reply: SMTPReply(code: 556, lines: [text])))
    }
}
