// Which servers take the mail of a destination (RFC 5321, section 5.1).

import NIOCore
import SkeinCore
import SkeinTransport

/// Finds the servers of a destination.
struct MailRoutes: Sendable {
    /// More are not tried for one delivery.
    private static let limit = 5

    let resolver: DNSResolver
    /// The port of servers that are found in the DNS.
    let port: Int
    let requiresTLS: Bool

    /// The servers of a destination, those to try first before the others.
    /// - Parameter destination: a URL, or a domain.
    /// - Throws: an ``SMTPRefusal`` as the cause when no server will ever be there; other errors when it may.
    func servers(of destination: String, on loop: any EventLoop) async throws -> [MailRelay] {
        if destination.containsBytes("://") { return [try MailRelay(destination)] }
        if destination.hasBytePrefix("[") {
            let address = destination.droppingBytes(first: 1, last: 1)
            let bare = address.asciiLowercased.hasBytePrefix("ipv6:") ? address.droppingBytes(first: 5)[...] : address
            return [relay(String(bare))]
        }
        let found = try await resolver.records(destination, .mx, on: loop).get()
        let exchanges = found.compactMap { record -> (Int, DNSName?)? in
            // A name that is no host's is not asked, nor spoken of.
            if case .exchange(let preference, let name) = record, name.map({ DNSName($0.text) != nil }) ?? true {
                (preference, name)
            } else {
                nil
            }
        }
        if exchanges.isEmpty {
            // Without such records, the domain is its own server.
            for type in [DNSRecordType.a, .aaaa] {
                if try await !resolver.resolve("\(destination).", type, on: loop).get().isEmpty {
                    return [relay(destination)]
                }
            }
            throw Self.refusal("5.1.2 the domain \(destination) does not exist, or takes no mail")
        }
        let hosts = Self.ordered(exchanges)
        guard !hosts.isEmpty else { throw Self.refusal("5.1.10 the domain \(destination) takes no mail (null MX)") }
        return hosts.prefix(Self.limit).map { relay($0.text) }
    }

    private func relay(_ host: String) -> MailRelay { MailRelay(exchange: host, port: port, requiresTLS: requiresTLS) }

    /// The hosts in the order of their preference; equal ones in any order, which spreads the load.
    static func ordered(_ exchanges: [(Int, DNSName?)]) -> [DNSName] {
        exchanges.shuffled().sorted { $0.0 < $1.0 }.compactMap(\.1)
    }

    private static func refusal(_ text: String) -> SkeinError {
        SkeinError(
            .dnsNotFound, because: String(text.text(after: text.firstByte(" ") ?? text.startIndex)),
            cause: SMTPRefusal(reply: SMTPReply(code: 556, lines: [text])))
    }
}
