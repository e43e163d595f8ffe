// The connections of one shard to one origin, and the requests that wait for one.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// Keeps connections to an origin and hands them to exchanges: of HTTP/1.1 the most recently used first, of HTTP/2 the
/// first that has a stream to spare.
///
/// Unchecked: touched on its shard's loop only.
final class OriginPool: @unchecked Sendable {
    /// What the origin speaks, as far as that is known.
    enum Version {
        case http1
        case http2
        /// The first connection tells, by ALPN or by the answer to the upgrade that its request offers; others wait for it.
        case undecided
    }

    let origin: Origin
    let key: PoolKey
    /// How the connections get past a proxy.
    let route: ProxyRoute
    private let routeProblem: SkeinError?
    let shard: Shard
    let context: HTTPClientContext
    let owner: ShardPools  // lets go of the pool when it is empty, which ends the cycle
    @exclusivity(unchecked) private(set) var version: Version
    @exclusivity(unchecked) private var connections: [HTTP1ClientConnection] = []
    @exclusivity(unchecked) private var idle: [HTTP1ClientConnection] = []
    @exclusivity(unchecked) private var multiplexed: [HTTP2ClientConnection] = []
    private var connecting = 0
    @exclusivity(unchecked) private var waiting = Deque<HTTPExchange>()

    init(_ key: PoolKey, owner: ShardPools) {
        self.key = key
        origin = key.origin
        let use = key.proxy ?? owner.context.configuration.proxy
        do throws(SkeinError) {
            let way = try use.route(to: origin.endpoint, isSecure: origin.isSecure)
            // What leaves HTTP cannot be forwarded as requests are (RFC 6455, section 4.1).
            if key.purpose != .requests, case .forward(let proxy) = way { route = .tunnel(proxy) } else { route = way }
            routeProblem = nil
        } catch {
            route = .direct
            routeProblem = error
        }
        shard = owner.shard
        context = owner.context
        self.owner = owner
        version =
            switch owner.context.configuration.http2.use {
            case .never: .http1
            case .negotiated: origin.isSecure ? .undecided : .http1
            case .priorKnowledge: .http2
            case .upgrade: .undecided
            }
        // A proxy that is sent whole requests is sent them in HTTP/1.1.
        if case .forward = route { version = .http1 }
        switch key.purpose {
        case .requests: break
        case .upgrades: version = .http1
        case .streams: version = .http2
        }
    }

    private var shuttingDown: SkeinError {
        SkeinError(.shuttingDown, peer: origin.description, because: "the session is shutting down")
    }

    func submit(_ exchange: HTTPExchange) { submit(exchange, at: shard.now) }

    /// Sends an exchange on a connection, or lets it wait for one.
    func submit(_ exchange: HTTPExchange, at now: NIODeadline) {
        if owner.isShutDown { return exchange.failLater(shuttingDown) }
        if let routeProblem { return exchange.failLater(routeProblem) }
        if version == .http2, waiting.isEmpty, let connection = multiplexed.first(where: \.hasRoom) {
            return connection.send(exchange, at: now)
        }
        while let connection = idle.popLast() {
            if connection.isUsable(at: now) { return connection.send(exchange, at: now) }
            connection.close()
        }
        if !mayConnect, waiting.isEmpty, mayFollow(exchange),
            let connection = connections.first(where: { $0.canPipeline(at: now) })
        {
            return connection.send(exchange, at: now)
        }
        waiting.append(exchange)
        connectForWaiting()
    }

    // MARK: What connections tell

    /// A connection has nothing under way: it takes the next exchange or is kept.
    func isFree(_ connection: HTTP1ClientConnection) {
        while let next = waiting.first {
            // Not everything may follow what is under way.
            guard next.isOver || connection.isIdle || mayFollow(next) && connection.canPipeline(at: shard.now) else {
                return
            }
            waiting.removeFirst()
            if !next.isOver { connection.send(next, at: shard.now) }
        }
        guard connection.isIdle else { return }
        if owner.isRetired { connection.close() } else { idle.append(connection) }
    }

    /// Whether an exchange may be sent behind another one that is under way.
    private func mayFollow(_ exchange: HTTPExchange) -> Bool {
        context.configuration.pipelineDepth > 1 && exchange.request.isPipelined ?? true
            && exchange.request.isReplayable && exchange.request.upgrade == nil
    }

    /// A connection may have streams to spare.
    func hasRoom(_ connection: HTTP2ClientConnection) {
        let now = shard.now
        while connection.hasRoom, let next = nextWaiting() { connection.send(next, at: now) }
        if !waiting.isEmpty { connectForWaiting() }
        if owner.isRetired, connection.isIdle { connection.retire() }
    }

    /// A connection takes no more requests.
    func isLeaving(_ connection: HTTP2ClientConnection) { connectForWaiting() }

    /// A connection has ended.
    func isGone(_ connection: HTTP1ClientConnection) {
        connections.removeAll { $0 === connection }
        idle.removeAll { $0 === connection }
        connectForWaiting()
        removeIfEmpty()
    }

    /// A connection has ended.
    func isGone(_ connection: HTTP2ClientConnection) {
        multiplexed.removeAll { $0 === connection }
        connectForWaiting()
        removeIfEmpty()
    }

    /// The server has accepted the upgrade of a connection.
    func upgraded(_ connection: HTTP1ClientConnection, to successor: HTTP2ClientConnection) {
        connections.removeAll { $0 === connection }
        multiplexed.append(successor)
        successor.armTimer()
        version = .http2
    }

    /// The server does not want HTTP/2 for what it is asked (RFC 9113, section 7): from here on, all is HTTP/1.1.
    func staysWithHTTP1() {
        version = .http1
        for connection in multiplexed { connection.retire() }
    }

    /// The server stays with HTTP/1.1.
    func upgradeRefused() {
        version = .http1
        connectForWaiting()
    }

    /// A connection has left HTTP; whoever has it now ends it.
    func handedOver(_ connection: HTTP1ClientConnection, _ channel: any Channel) {
        connections.removeAll { $0 === connection }
        owner.adopt(channel)
        connectForWaiting()
        removeIfEmpty()
    }

    // MARK: The end

    /// Closes what is idle.
    func closeIdle() {
        for connection in idle { connection.close() }
        idle = []
        for connection in multiplexed where connection.isIdle { connection.retire() }
    }

    /// Closes every connection and fails what waits.
    func shutdown() {
        let lost = waiting
        waiting = []
        for exchange in lost { exchange.fail(shuttingDown) }
        for connection in connections { connection.shutdown(shuttingDown) }
        for connection in multiplexed { connection.shutdown(shuttingDown) }
    }

    // MARK: Connecting

    private func nextWaiting() -> HTTPExchange? {
        while let next = waiting.popFirst() {
            if !next.isOver { return next }
        }
        return nil
    }

    private var mayConnect: Bool {
        switch version {
        case .http1: connections.count + connecting < context.configuration.connectionsPerOrigin
        case .http2:
            multiplexed.count(where: \.takesRequests) + connecting
                < max(1, context.configuration.http2.connectionsPerOrigin)
        case .undecided: connections.isEmpty && connecting == 0
        }
    }

    /// Whether those that wait are more than the connections under way will take.
    private var needsConnection: Bool {
        guard version == .http2 else { return waiting.count > connecting }
        // What the server allows is known from the first connection on; until then, it is asked with one.
        let known = multiplexed.last(where: \.isSettled)?.capacity
        let capacity = known ?? context.configuration.http2.streamsPerConnection
        if capacity == .max { return connecting == 0 && multiplexed.allSatisfy { !$0.takesRequests } }
        let unsettled = multiplexed.count { $0.takesRequests && !$0.isSettled }
        return waiting.count > (connecting + (known == nil ? 0 : unsettled)) * capacity
    }

    private func connectForWaiting() {
        while let first = waiting.first, first.isOver { waiting.removeFirst() }
        while !waiting.isEmpty, needsConnection, mayConnect { connect() }
    }

    private var connectOptions: ConnectOptions {
        let configuration = context.configuration
        var options = ConnectOptions(timeout: configuration.connectTimeout, sourceAddress: configuration.sourceAddress)
        options.resolver = context.resolver
        options.route = route
        options.addresses = configuration.addresses
        options.dial = configuration.dial
        guard origin.isSecure else { return options }
        let protocols =
            switch configuration.http2.use {
            case _ where key.purpose == .streams: ["h2"]
            case _ where version == .http1, .never: ["http/1.1"]
            case .negotiated, .upgrade: ["h2", "http/1.1"]
            case .priorKnowledge: ["h2"]
            }
        options.tls = ConnectOptions.TLS(context.tls, key.tls ?? configuration.tls, protocols: protocols)
        return options
    }

    private func connect() {
        connecting += 1
        Connector.connect(to: origin.endpoint, on: shard.eventLoop, connectOptions).whenComplete { result in
            self.connecting -= 1
            switch result {
            case .success(let connected): self.connected(connected)
            case .failure(let error): self.connectFailed(error)
            }
        }
    }

    private func connected(_ connected: Connected) {
        guard connected.channel.isActive else {
            return connectFailed(
                SkeinError(
                    .connectionFailed, peer: origin.description, because: "the server closed the connection at once"))
        }
        if let tls = connected.tls, version == .undecided {
            version = tls.applicationProtocol == "h2" ? .http2 : .http1
        }
        do {
            let pipeline = connected.channel.pipeline.syncOperations
            if version == .http2 {
                let connection = HTTP2ClientConnection(
                    pool: self, tls: connected.tls, connectTimings: connected.timings)
                try pipeline.addHandler(connection.driver)
                multiplexed.append(connection)
                context.session.statistics.connected()
                connection.armTimer()
                hasRoom(connection)
            } else {
                let connection = HTTP1ClientConnection(
                    pool: self, tls: connected.tls, connectTimings: connected.timings)
                try pipeline.addHandler(connection)
                connections.append(connection)
                context.session.statistics.connected()
                connection.armTimer()
                isFree(connection)
            }
            connectForWaiting()
        } catch {
            connectFailed(error)
        }
    }

    private func connectFailed(_ error: any Error) {
        // Each attempt that fails takes one with it; of many that wait for one connection, all.
        repeat {
            nextWaiting()?.fail(
                error as? SkeinError
                    ?? SkeinError(.connectionFailed, peer: origin.description, because: "\(error)", cause: error))
        } while version != .http1 && connecting == 0 && !waiting.isEmpty
        connectForWaiting()
        removeIfEmpty()
    }

    private func removeIfEmpty() {
        if connections.isEmpty, multiplexed.isEmpty, connecting == 0, waiting.isEmpty { owner.remove(self) }
    }
}

/// What requests must have in common to share connections.
struct PoolKey: Hashable {
    let origin: Origin
    /// TLS of its own, for requests that do not want the session's.
    let tls: TLSOptions?
    /// A proxy of its own.
    let proxy: ProxyUse?
    var purpose = Purpose.requests

    /// What the connections are for.
    enum Purpose {
        case requests
        /// Requests that want to leave HTTP/1.1 and take their connections with them.
        case upgrades
        /// Streams of HTTP/2 and nothing else.
        case streams
    }

    /// Whether all is as the session says.
    var isPlain: Bool { tls == nil && proxy == nil && purpose == .requests }
}

/// The pools of one shard.
///
/// Unchecked: touched on its shard's loop only.
final class ShardPools: @unchecked Sendable {
    let shard: Shard
    let context: HTTPClientContext
    private var pools: [PoolKey: OriginPool] = [:]
    /// Connections that have left HTTP.
    private var handedOver: [ObjectIdentifier: any Channel] = [:]
    @exclusivity(unchecked) private var latest: OriginPool?
    /// Whether the session is gone, so that connections are not kept any more.
    private(set) var isRetired = false
    /// Whether the session takes no more requests.
    private(set) var isShutDown = false

    init(shard: Shard, context: HTTPClientContext) {
        self.shard = shard
        self.context = context
    }

    /// The pool for a request; most requests go where the one before went.
    func pool(for request: HTTPRequest) -> OriginPool {
        let origin = request.url.origin
        if let latest, latest.origin == origin, !request.hasExtras, latest.key.isPlain { return latest }
        let purpose: PoolKey.Purpose =
            switch request.upgrade?.kind {
            case nil: .requests
            case .named(_, let allowsHTTP2):
                allowsHTTP2 && context.configuration.http2.use != .never ? .requests : .upgrades
            case .stream: .streams
            }
        return pool(PoolKey(origin: origin, tls: request.tls, proxy: request.proxy, purpose: purpose))
    }

    /// Sends an exchange that wants to leave HTTP to where that takes a connection of its own.
    func submitAsUpgrade(_ exchange: HTTPExchange) {
        let request = exchange.request
        pool(PoolKey(origin: request.url.origin, tls: request.tls, proxy: request.proxy, purpose: .upgrades))
            .submit(exchange)
    }

    private func pool(_ key: PoolKey) -> OriginPool {
        if let pool = pools[key] {
            latest = pool
            return pool
        }
        if key.tls?.verify == TLSOptions.Verification.none {
            context.session.logger.warning("TLS without verification for \(key.origin): any server may answer")
        }
        let pool = OriginPool(key, owner: self)
        pools[key] = pool
        latest = pool
        return pool
    }

    /// Takes note of a connection that has left HTTP, for the shutdown and the count.
    func adopt(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        handedOver[id] = channel
        channel.closeFuture.whenComplete { _ in
            self.handedOver[id] = nil
            self.context.session.statistics.disconnected()
        }
    }

    /// Forgets a pool that holds nothing.
    func remove(_ pool: OriginPool) {
        if pools[pool.key] === pool { pools[pool.key] = nil }
        if latest === pool { latest = nil }
    }

    /// The session is gone: what is under way goes on, nothing is kept.
    func retire() {
        isRetired = true
        latest = nil
        for pool in pools.values { pool.closeIdle() }
    }

    /// Closes all connections and fails what waits for one.
    func shutdown() {
        isRetired = true
        isShutDown = true
        for pool in pools.values { pool.shutdown() }
        for channel in handedOver.values { channel.close(promise: nil) }
    }
}
