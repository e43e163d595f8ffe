// The connections of one shard to one origin, and the requests that wait for one: the driver of `OriginPoolMachine`.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// Opens connections to an origin and assigns exchanges to them.
///
/// Unchecked: touched on its shard's loop only.
final class OriginPool: @unchecked Sendable {
    typealias Machine = OriginPoolMachine<HTTP1ClientConnection, HTTP2ClientConnection, HTTPExchange>

    let origin: HTTPOrigin
    let key: PoolKey
    /// The route through a proxy, if any.
    let route: ProxyRoute
    private let routeProblem: SkeinError?
    /// The longest silence of the server while something is due from it.
    let silence: Duration
    let shard: Shard
    let context: HTTPClientContext
    let owner: ShardPools  // removes the pool when it is empty, which ends the cycle
    @exclusivity(unchecked) private var machine: Machine
    @exclusivity(unchecked) private var isSettling = false

    init(_ key: PoolKey, owner: ShardPools) {
        self.key = key
        origin = key.origin
        let use = key.proxy ?? owner.context.configuration.proxy
        do throws(SkeinError) {
            let way = try use.route(to: origin.endpoint, isSecure: origin.isSecure)
            // An upgrade cannot go through a forwarding proxy (RFC 6455, section 4.1).
            if key.purpose != .requests, case .forward(let proxy) = way { route = .tunnel(proxy) } else { route = way }
            routeProblem = nil
        } catch {
            route = .direct
            routeProblem = error
        }
        shard = owner.shard
        context = owner.context
        silence = key.times.silence ?? owner.context.configuration.silenceTimeout
        self.owner = owner
        var version: OriginVersion =
            switch key.http2 ?? owner.context.configuration.http2.use {
            case .never: .http1
            case .negotiated: origin.isSecure ? .undecided : .http1
            case .priorKnowledge: .http2
            case .upgrade: .undecided
            }
        // Whole requests are sent to a proxy in HTTP/1.1.
        if case .forward = route { version = .http1 }
        switch key.purpose {
        case .requests: break
        case .upgrades: version = .http1
        case .streams: version = .http2
        }
        machine = Machine(version, context.poolLimits)
        if owner.isRetired { machine.retire() }
    }

    var version: OriginVersion { machine.version }

    var connectionLimits: HTTP1ClientMachine<HTTPExchange>.Limits {
        var limits = context.connectionLimits
        limits.silence = TimeAmount(silence)
        return limits
    }

    private var shuttingDown: SkeinError {
        SkeinError(.shuttingDown, peer: origin.description, because: "the session is shutting down")
    }

    func submit(_ exchange: HTTPExchange) { submit(exchange, at: shard.now) }

    /// Sends an exchange on a connection, or queues it.
    func submit(_ exchange: HTTPExchange, at now: NIODeadline) {
        if owner.isShutDown { return exchange.failLater(shuttingDown) }
        if let routeProblem { return exchange.failLater(routeProblem) }
        if let action = machine.place(exchange, at: now) { return perform(action, at: now) }
        machine.enqueue(exchange)
        settle()
    }

    /// Performs the machine's actions until there are none. An action that causes others leaves them to this loop.
    private func settle() {
        guard !isSettling else { return }
        isSettling = true
        defer { isSettling = false }
        let now = shard.now
        while let action = machine.next(at: now) { perform(action, at: now) }
    }

    private func perform(_ action: Machine.Action, at now: NIODeadline) {
        switch action {
        case .send(let exchange, let connection):
            connection.send(exchange, at: now)
            // A request that could not be sent leaves the connection idle.
            if connection.isIdle, machine.serial.contains(where: { $0 === connection }) { isFree(connection) }
        case .multiplex(let exchange, let connection): connection.send(exchange, at: now)
        case .connect: connect()
        case .close(let connection): connection.close()
        }
    }

    // MARK: Calls from connections

    /// A connection can take another exchange, behind those in flight if there are any.
    func isFree(_ connection: HTTP1ClientConnection) {
        if connection.isIdle { machine.isFree(connection) }
        settle()
    }

    /// A connection may have free streams.
    func hasRoom(_ connection: HTTP2ClientConnection) {
        settle()
        if owner.isRetired, connection.isIdle { connection.retire() }
    }

    /// A connection takes no more requests.
    func isLeaving(_ connection: HTTP2ClientConnection) { settle() }

    /// A connection has ended.
    func isGone(_ connection: HTTP1ClientConnection) {
        machine.isGone(connection)
        settle()
        removeIfEmpty()
    }

    /// A connection has ended.
    func isGone(_ connection: HTTP2ClientConnection) {
        machine.isGone(connection)
        settle()
        removeIfEmpty()
    }

    /// The server has accepted the upgrade of a connection.
    func upgraded(_ connection: HTTP1ClientConnection, to successor: HTTP2ClientConnection) {
        machine.upgraded(connection, to: successor)
        successor.armTimer()
    }

    /// The server does not support HTTP/2 for this request (RFC 9113, section 7): from now on, the pool uses HTTP/1.1.
    func staysWithHTTP1() {
        machine.decide(.http1)
        for connection in machine.multiplexed { connection.retire() }
    }

    /// The server stays with HTTP/1.1.
    func upgradeRefused() {
        machine.decide(.http1)
        settle()
    }

    /// A connection has left HTTP; its new owner closes it.
    func handedOver(_ connection: HTTP1ClientConnection, _ channel: any Channel) {
        machine.isGone(connection)
        owner.adopt(channel)
        settle()
        removeIfEmpty()
    }

    // MARK: The end

    /// Closes idle connections, and keeps none from now on.
    func retire() {
        machine.retire()
        settle()
        for connection in machine.multiplexed where connection.isIdle { connection.retire() }
    }

    /// Closes every connection and fails waiting requests.
    func shutdown() {
        for exchange in machine.shutdown() { exchange.fail(shuttingDown) }
        for connection in machine.serial { connection.shutdown(shuttingDown) }
        for connection in machine.multiplexed { connection.shutdown(shuttingDown) }
    }

    // MARK: Connecting

    private var connectOptions: ConnectOptions {
        let configuration = context.configuration
        var options = ConnectOptions(
            timeout: key.times.connect ?? configuration.connectTimeout, sourceAddress: configuration.sourceAddress)
        options.resolver = context.resolver
        options.route = route
        options.addresses = key.addresses ?? configuration.addresses
        options.dial = configuration.dial
        guard origin.isSecure else { return options }
        let protocols =
            switch key.http2 ?? configuration.http2.use {
            case _ where key.purpose == .streams: ["h2"]
            case _ where version == .http1, .never: ["http/1.1"]
            case .negotiated, .upgrade: ["h2", "http/1.1"]
            case .priorKnowledge: ["h2"]
            }
        var tls = key.tls ?? configuration.tls
        if let name = origin.serverName, tls.serverName == nil { tls.serverName = name }
        options.tls = ConnectOptions.TLS(context.tls, tls, protocols: protocols)
        return options
    }

    private func connect() {
        Connector.connect(to: origin.endpoint, on: shard.eventLoop, connectOptions).whenComplete { result in
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
            machine.decide(tls.applicationProtocol == "h2" ? .http2 : .http1)
        }
        do {
            let pipeline = connected.channel.pipeline.syncOperations
            if version == .http2 {
                let connection = HTTP2ClientConnection(
                    pool: self, tls: connected.tls, connectTimings: connected.timings)
                try pipeline.addHandler(connection.driver)
                machine.connected(connection)
                context.session.statistics.connected()
                connection.armTimer()
                hasRoom(connection)
            } else {
                let connection = HTTP1ClientConnection(
                    pool: self, tls: connected.tls, connectTimings: connected.timings)
                try pipeline.addHandler(connection)
                machine.connected(connection)
                context.session.statistics.connected()
                connection.armTimer()
            }
            settle()
        } catch {
            connectFailed(error)
        }
    }

    private func connectFailed(_ error: any Error) {
        let error =
            error as? SkeinError
            ?? SkeinError(.connectionFailed, peer: origin.description, because: "\(error)", cause: error)
        for exchange in machine.connectFailed() { exchange.fail(error) }
        settle()
        removeIfEmpty()
    }

    private func removeIfEmpty() { if machine.isEmpty { owner.remove(self) } }
}

extension HTTP1ClientConnection: SerialMember {}
extension HTTP2ClientConnection: MultiplexedMember {}

extension HTTPExchange: OriginCall {
    package var mayFollow: Bool { (request.isPipelined ?? true) && request.isReplayable && request.upgrade == nil }
}
