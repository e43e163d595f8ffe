// The resolver: hosts file, cache, search domains, servers.

import NIOCore
import NIOPosix
import SkeinCore
import Synchronization

/// A resolver for a session. Any loop may call it; queries are sent from one loop.
///
/// Unchecked: `inFlight` and `servers` are used on the resolver's loop only; the cache is behind its lock.
package final class DNSResolver: @unchecked Sendable {
    private let configuration: DNSConfiguration
    private let eventLoop: any EventLoop
    private let hosts: HostsFile
    private let servers: DNSServers
    private let cache: Mutex<DNSCache>
    private let prefetched = Mutex<[DNSName: NIODeadline]>([:])
    private var inFlight: [DNSQuestion: EventLoopFuture<DNSOutcome>] = [:]

    /// A resolver on one loop of the process, for code without a session.
    package static let standard = DNSResolver(
        DNSConfiguration(), eventLoop: MultiThreadedEventLoopGroup.singleton.any())

    package init(_ configuration: DNSConfiguration, eventLoop: any EventLoop) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        hosts = HostsFile(configuration.hostsFile, adding: configuration.hosts)
        servers = DNSServers(configuration, eventLoop)
        cache = Mutex(DNSCache(limit: configuration.cacheSize))
    }

    /// Queries sent so far, and sockets opened for them. On any thread but the resolver's own.
    package var statistics: (questions: Int, sockets: Int) {
        get async {
            (try? await eventLoop.submit { (self.servers.sent, self.servers.opened) }.get()) ?? (0, 0)
        }
    }

    /// Closes the sockets.
    package func close() async { try? await eventLoop.submit { self.servers.close() }.get() }

    /// Starts to resolve a name that will be needed.
    package func prefetch(_ host: String) {
        // Called for each waiting request: a name with a cached or pending result is not queried again.
        guard IPAddress.bytes(host) == nil, let name = DNSName(host), hosts.addresses(name) == nil,
            cached(DNSQuestion(name, .a)) == nil, isDue(name)
        else { return }
        for type in [DNSRecordType.a, .aaaa] { _ = resolve(host, type, on: eventLoop) }
    }

    /// Whether a name was not prefetched within the last second: a response that cannot be cached would be queried
    /// again and again.
    private func isDue(_ name: DNSName) -> Bool {
        let now = NIODeadline.now()
        return prefetched.withLock { prefetched in
            if let last = prefetched[name], now - last < .seconds(1) { return false }
            if prefetched.count >= 1000 { prefetched = [:] }
            prefetched[name] = now
            return true
        }
    }

    /// The addresses of a host.
    /// - Parameters:
    ///   - type: `a` or `aaaa`.
    ///   - loop: the loop of the result.
    /// - Returns: an empty array when the name has no such address; fails with code 704 when no server has responded,
    ///   or the name is invalid.
    package func resolve(_ host: String, _ type: DNSRecordType, on loop: any EventLoop) -> EventLoopFuture<[[UInt8]]> {
        guard let name = DNSName(host) else {
            return loop.makeFailedFuture(
                SkeinError(.dnsNotFound, peer: host, because: "this is not a host name; check its spelling"))
        }
        let length = type == .a ? 4 : 16
        if let known = hosts.addresses(name) { return loop.makeSucceededFuture(known.filter { $0.count == length }) }
        let candidates = candidates(name, isComplete: host.hasByteSuffix("."))
        if let first = candidates.first, let found = cached(DNSQuestion(first, type))?.addresses {
            return loop.makeSucceededFuture(found)
        }
        return eventLoop.flatSubmit { self.firstOf(candidates[...], type) }.hop(to: loop)
    }

    /// The records of a fully qualified name from DNS, such as its mail servers.
    /// - Returns: an empty array when there are no such records; fails with code 704 when no server has responded, or
    ///   the name is invalid.
    package func records(_ host: String, _ type: DNSRecordType, on loop: any EventLoop) -> EventLoopFuture<
        [DNSRecord.Content]
    > {
        guard let name = DNSName(host) else {
            return loop.makeFailedFuture(
                SkeinError(.dnsNotFound, peer: host, because: "this is not a host name; check its spelling"))
        }
        return eventLoop.flatSubmit { self.outcome(DNSQuestion(name, type), depth: 0) }.map { outcome in
            if case .records(let found) = outcome { found } else { [] }
        }.hop(to: loop)
    }

    /// The names to query, in order: with search domains before or after the name itself (resolv.conf(5), ndots).
    private func candidates(_ name: DNSName, isComplete: Bool) -> [DNSName] {
        if isComplete { return [name] }
        let inside = configuration.searchDomains.compactMap { DNSName($0).flatMap { name.inside($0) } }
        return name.dots >= configuration.dots ? [name] + inside : inside + [name]
    }

    private func firstOf(_ names: ArraySlice<DNSName>, _ type: DNSRecordType) -> EventLoopFuture<[[UInt8]]> {
        guard let name = names.first else { return eventLoop.makeSucceededFuture([]) }
        return outcome(DNSQuestion(name, type), depth: 0).flatMap { outcome in
            if let found = outcome.addresses { return self.eventLoop.makeSucceededFuture(found) }
            return self.firstOf(names.dropFirst(), type)
        }
    }

    private func cached(_ question: DNSQuestion) -> DNSOutcome? {
        cache.withLock { $0.find(question, at: .now()) }
    }

    /// One query in flight for each name, shared by all callers. On the resolver's loop.
    private func outcome(_ question: DNSQuestion, depth: Int) -> EventLoopFuture<DNSOutcome> {
        if let known = cached(question) { return eventLoop.makeSucceededFuture(known) }
        if let asked = inFlight[question] { return asked }
        let answer = servers.ask(question).flatMap { self.follow($0.answer(to: question), question, depth) }
        inFlight[question] = answer
        answer.whenComplete { _ in self.inFlight[question] = nil }
        return answer
    }

    private func follow(
        _ answer: DNSResponse.Answer, _ question: DNSQuestion, _ depth: Int
    ) -> EventLoopFuture<DNSOutcome> {
        switch answer {
        case .records(let found, let time):
            let time = min(max(.seconds(time), configuration.minimumTimeToLive), configuration.maximumTimeToLive)
            return keep(.records(found), question, time)
        case .nothing(let time):
            return keep(.nothing, question, min(.seconds(time ?? 5), configuration.negativeTimeToLive))
        case .alias(let name, let time):
            guard depth < 8 else {
                return eventLoop.makeFailedFuture(
                    SkeinError(
                        .dnsNotFound, peer: question.name.text,
                        because: "the chain of CNAME records is a loop or too long"))
            }
            return outcome(DNSQuestion(name, question.type), depth: depth + 1).flatMap { outcome in
                let time = max(.seconds(time), self.configuration.minimumTimeToLive)
                guard case .records = outcome else { return self.eventLoop.makeSucceededFuture(outcome) }
                return self.keep(outcome, question, min(time, self.configuration.maximumTimeToLive))
            }
        }
    }

    private func keep(_ outcome: DNSOutcome, _ question: DNSQuestion, _ time: Duration) -> EventLoopFuture<DNSOutcome> {
        let now = NIODeadline.now()
        if time > .zero { cache.withLock { $0.keep(outcome, for: question, until: now + TimeAmount(time), at: now) } }
        return eventLoop.makeSucceededFuture(outcome)
    }
}

/// The resolver for SwiftNIO's happy eyeballs (RFC 8305), for one connection.
final class HappyEyeballsResolver: Resolver, Sendable {
    private let resolver: DNSResolver
    private let eventLoop: any EventLoop
    private let answered: @Sendable () -> Void

    /// - Parameter answered: called on the loop with each result.
    init(_ resolver: DNSResolver, _ eventLoop: any EventLoop, answered: @escaping @Sendable () -> Void) {
        self.resolver = resolver
        self.eventLoop = eventLoop
        self.answered = answered
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { resolve(host, .a, port) }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { resolve(host, .aaaa, port) }

    func cancelQueries() {}  // other callers may wait for the same results

    private func resolve(_ host: String, _ type: DNSRecordType, _ port: Int) -> EventLoopFuture<[SocketAddress]> {
        resolver.resolve(host, type, on: eventLoop).map { addresses in
            self.answered()
            return addresses.compactMap { IPAddress.socketAddress($0, port: port) }
        }
    }
}
