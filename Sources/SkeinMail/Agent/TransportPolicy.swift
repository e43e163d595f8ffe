// MTA-STS policies (RFC 8461), by which a domain states its mail servers and requires TLS.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinTransport
import Synchronization

/// The policy of a domain.
struct TransportPolicy: Sendable, Equatable {
    /// The handling of a server that violates the policy.
    enum Mode: String, Sendable {
        /// No mail is sent to it.
        case enforce
        /// Nothing: the domain is testing the policy.
        case testing
        case none
    }

    let mode: Mode
    /// Names of servers; `*.` stands for one label.
    let servers: [String]
    /// How long it may be cached, in seconds.
    let maximumAge: Int

    /// Parses a policy (RFC 8461, section 3.2); nil for an invalid one.
    init?(_ document: some StringProtocol) {
        var fields: [(String, String)] = []
        for line in document.lines().prefix(200) {
            let parts = line.splitBytes(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields.append((String(parts[0].trimmingBlanks()), String(parts[1].trimmingBlanks())))
        }
        func first(_ name: String) -> String? { fields.first { $0.0.equalsBytes(name) }?.1 }
        guard first("version")?.equalsBytes("STSv1") == true, let mode = first("mode").flatMap(Mode.init(rawValue:)),
            let age = first("max_age").flatMap({ Int($0) }), age >= 0
        else { return nil }
        self.mode = mode
        maximumAge = min(age, 31_557_600)
        servers = fields.filter { $0.0.equalsBytes("mx") }.map { $0.1.asciiLowercased }
        guard mode == .none || !servers.isEmpty else { return nil }
    }

    /// Whether a server matches it.
    func names(_ host: String) -> Bool {
        let host = host.asciiLowercased
        return servers.contains { pattern in
            guard pattern.hasBytePrefix("*.") else { return pattern.equalsBytes(host) }
            return host.firstByte(".").map { host[$0...].equalsBytes(pattern.droppingBytes(first: 1)) } ?? false
        }
    }

    /// The identifier in the record of a domain (RFC 8461, section 3.1); nil for another record.
    static func identifier(_ record: String) -> String? {
        let fields = record.splitBytes(separator: ";").map { $0.trimmingBlanks() }
        guard fields.first?.equalsBytes("v=STSv1") == true else { return nil }
        return fields.first { $0.hasBytePrefix("id=") }.map { String($0.droppingBytes(first: 3)) }
    }
}

/// The policies of domains, each cached for its lifetime.
final class TransportPolicies: Sendable {
    private static let limit = 10_000

    private struct Kept {
        let identifier: String
        let policy: TransportPolicy
        /// Seconds since 1970.
        let expires: Int
    }

    private let resolver: DNSResolver
    private let client: SkeinClient
    private let port: Int
    private let kept = Mutex<[ByteKey: Kept]>([:])

    /// - Parameters:
    ///   - port: the port of policy servers; for tests.
    ///   - roots: the trust roots.
    init(resolver: DNSResolver, dns: DNSConfiguration, port: Int, roots: ClientTLSConfiguration.Roots) {
        self.resolver = resolver
        self.port = port
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        configuration.http.dns = dns
        configuration.http.tls.roots = roots
        configuration.http.timeout = .seconds(60)
        configuration.http.maximumBodySize = 64 << 10
        // A policy must not be fetched by redirect (RFC 8461, section 3.3).
        configuration.http.redirects.isEnabled = false
        client = SkeinClient(configuration)
    }

    func shutdown() async { await client.shutdown() }

    /// The policy of a domain; nil when it has none, or it cannot be fetched and is not cached.
    func policy(of domain: String, on loop: any EventLoop) async -> TransportPolicy? {
        let now = CivilTime.now
        let known = kept.withLock { $0[ByteKey(domain)] }.flatMap { $0.expires > now ? $0 : nil }
        guard let records = try? await resolver.records("_mta-sts.\(domain)", .txt, on: loop).get() else {
            return known?.policy
        }
        let identifiers = records.compactMap { record -> String? in
            guard case .text(let bytes) = record else { return nil }
            return TransportPolicy.identifier(String(decoding: bytes, as: UTF8.self))
        }
        // Without exactly one record, the cached policy stays.
        guard identifiers.count == 1 else { return known?.policy }
        if let known, known.identifier.equalsBytes(identifiers[0]) { return known.policy }
        let place = port == 443 ? "" : ":\(port)"
        let response = await client.get("https://mta-sts.\(domain)\(place)/.well-known/mta-sts.txt").dispatch()
        guard response.statusCode == 200, let policy = TransportPolicy(String(buffer: response.content)) else {
            return known?.policy
        }
        kept.withLock { kept in
            if kept.count >= Self.limit { kept = kept.filter { $0.value.expires > now } }
            guard kept.count < Self.limit else { return }
            kept[ByteKey(domain)] = Kept(identifier: identifiers[0], policy: policy, expires: now + policy.maximumAge)
        }
        return policy
    }
}
