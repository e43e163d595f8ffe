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
            guard connection.isUsable(at: now) else {
                connection.close()
                continue
            }
            connection.send(exchange, at: now)
            if connection.isIdle { isFree(connection) }  // it could not be sent
            return
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
            if !next.isOver {
                let now = shard.now
                // Sending one request may have ended the connection, and not every request may follow another.
                guard connection.isUsable(at: now) || mayFollow(next) && connection.canPipeline(at: now) else { break }
                waiting.removeFirst()
                connection.send(next, at: now)
            } else {
                waiting.removeFirst()
            }
        }
        guard connection.isIdle else { return }
        if waiting.isEmpty, !owner.isRetired { idle.append(connection) } else { connection.close() }
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
