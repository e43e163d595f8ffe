// Settings of name resolution, and the system's files.

import Foundation
import SkeinCore

/// The resolution of host names.
public struct DNSConfiguration: Sendable {
    /// Whether the system's resolver is used, on separate threads, instead of DNS queries. Default: false.
    public var usesSystemResolver = false
    /// DNS servers, as `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`. Default: those of `/etc/resolv.conf`, else of the loopback.
    public var servers: [String]
    /// Search domains for short names. Default: those of `/etc/resolv.conf`.
    public var searchDomains: [String]
    /// A name with fewer dots is searched in the search domains first. Default: `/etc/resolv.conf`, else 1.
    public var dots: Int
    /// The timeout of a query before the next server is tried. Default: `/etc/resolv.conf`, else 2 s.
    public var timeout: Duration
    /// The number of passes through the list of servers. Default: `/etc/resolv.conf`, else 2.
    public var attempts: Int
    /// The minimum time for which a response is cached, whatever its time to live; aquests had 300 s. Default: 0.
    public var minimumTimeToLive: Duration = .zero
    /// The maximum time for which a response is cached. Default: one day.
    public var maximumTimeToLive: Duration = .seconds(86400)
    /// The maximum time for which a negative response is cached (RFC 2308). Default: 60 s.
    public var negativeTimeToLive: Duration = .seconds(60)
    /// The maximum number of cached responses. Default: 20 000.
    public var cacheSize = 20_000
    /// The hosts file, which takes precedence over DNS. Default: `/etc/hosts`.
    public var hostsFile: String? = "/etc/hosts"
    /// Names with their addresses, which take precedence over the hosts file.
    public var hosts: [String: [String]] = [:]

    /// The settings of the system.
    public init() { self.init(resolverFile: "/etc/resolv.conf") }

    /// The settings of a file in the format of resolv.conf(5).
    package init(resolverFile: String) {
        servers = []
        searchDomains = []
        dots = 1
        timeout = .seconds(2)
        attempts = 2
        let text = (try? String(contentsOfFile: resolverFile, encoding: .utf8)) ?? ""
        for line in text.lines() {
            let words = line.prefix(before: "#", ";").splitAtBlanks().map(String.init)
            guard let key = words.first else { continue }
            switch key {
            case "nameserver": servers += words.dropFirst().prefix(1)
            case "search", "domain": searchDomains = Array(words.dropFirst())
            case "options": for option in words.dropFirst() { take(option) }
            default: break
            }
        }
        if servers.isEmpty { servers = ["127.0.0.1"] }
    }

    private mutating func take(_ option: String) {
        let parts = option.splitBytes(separator: ":")
        guard parts.count == 2, let number = Int(parts[1]) else { return }
        switch parts[0] {
        case "ndots": dots = min(15, max(0, number))
        case "timeout": timeout = .seconds(min(30, max(1, number)))
        case "attempts": attempts = min(5, max(1, number))
        default: break
        }
    }
}

/// Names with their addresses, from a file in the format of hosts(5).
struct HostsFile: Sendable {
    private var addresses: [DNSName: [[UInt8]]] = [:]

    init(_ path: String?, adding others: [String: [String]]) {
        let text = path.flatMap { try? String(contentsOfFile: $0, encoding: .utf8) } ?? ""
        for line in text.lines() {
            let words = line.prefix(before: "#").splitAtBlanks().map(String.init)
            guard words.count > 1, let address = IPAddress.bytes(words[0]) else { continue }
            for name in words.dropFirst().compactMap({ DNSName($0) }) { addresses[name, default: []].append(address) }
        }
        for (name, texts) in others {
            if let name = DNSName(name) { addresses[name] = texts.compactMap(IPAddress.bytes) }
        }
    }

    /// The addresses of a name; nil when it is not in the file. Every name under `localhost` is loopback (RFC 6761).
    func addresses(_ name: DNSName) -> [[UInt8]]? {
        if let known = addresses[name] { return known }
        guard name.text == "localhost" || name.text.hasByteSuffix(".localhost") else { return nil }
        return [[127, 0, 0, 1], Array(repeating: 0, count: 15) + [1]]
    }
}
