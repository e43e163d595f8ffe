// One connection attempt: name resolution, socket, proxy tunnel, TLS handshake.

import NIOCore
import NIOPosix
import SkeinCore

/// A connection attempt, with one time limit for all steps.
///
/// Unchecked: used on its loop only.
final class ConnectAttempt: @unchecked Sendable {
    private let endpoint: Endpoint
    private let eventLoop: any EventLoop
    private let options: ConnectOptions
    private let promise: EventLoopPromise<Connected>
    private let deadline: NIODeadline
    private var timings = ConnectTimings()
    private var stepBegan: NIODeadline
    private var channel: (any Channel)?
    private var isOver = false

    init(_ endpoint: Endpoint, _ eventLoop: any EventLoop, _ options: ConnectOptions) {
        self.endpoint = endpoint
        self.eventLoop = eventLoop
        self.options = options
        promise = eventLoop.makePromise()
        stepBegan = eventLoop.now
        deadline = stepBegan + TimeAmount(options.timeout)
    }

    func run() -> EventLoopFuture<Connected> {
        let limit = eventLoop.scheduleTask(deadline: deadline) { self.finish(.failure(self.timeout)) }
        promise.futureResult.whenComplete { _ in limit.cancel() }
        do {
            try open().flatMap { self.tunnel($0) }.flatMap { self.ask($0) }.flatMap { self.secure($0, $1) }
                .whenComplete(finish)
        } catch {
            finish(.failure(error))
        }
        return promise.futureResult
    }

    private var timeout: SkeinError {
        SkeinError(
            .timeout, peer: endpoint.description,
            because: "no connection within \(options.timeout); is the address right and the port reachable?")
    }

    private func finish(_ result: Result<Connected, any Error>) {
        guard !isOver else { return }
        isOver = true
        switch result {
        case .success(let connected): promise.succeed(connected)
        case .failure(let error):
            channel?.close(promise: nil)
            promise.fail(Connector.connectError(error, endpoint, options.timeout))
        }
    }

    // MARK: Steps

    /// The duration of the last step.
    private func step() -> Duration {
        let now = eventLoop.now
        defer { stepBegan = now }
        return .nanoseconds((now - stepBegan).nanoseconds)
    }

    /// Opens the socket.
    private func open() throws -> EventLoopFuture<any Channel> {
        if let dial = options.dial { return dial(options.route.proxy?.endpoint ?? endpoint, eventLoop) }
        var bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(options.timeout))
            .channelOption(.socketOption(.so_keepalive), value: 1)
        if options.addresses != .all { try check(&bootstrap) }
        switch options.route.proxy?.endpoint ?? endpoint {
        case .unix(let path): return bootstrap.connect(unixDomainSocketPath: path)
        case .host(let host, let port):
            guard (1...65535).contains(port), !host.utf8.contains(0) else {
                throw SkeinError(
                    .connectionFailed, peer: endpoint.description, because: "there is no such host or port")
            }
            bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
            if let source = options.sourceAddress {
                guard let address = try IPAddress.socketAddress(source, port: 0) else {
                    throw SkeinError(
                        .connectionFailed, peer: endpoint.description,
                        because: "the source address \(source.debugDescription) is not an IP address")
                }
                bootstrap = bootstrap.bind(to: address)
            }
            if let address = try IPAddress.socketAddress(host, port: port) { return bootstrap.connect(to: address) }
            if let resolver = options.resolver {
                bootstrap = bootstrap.resolver(
                    HappyEyeballsResolver(resolver, eventLoop) {
                        if self.timings.dns == nil { self.timings.dns = self.step() }
                    })
            }
            return bootstrap.connect(host: host, port: port)
        }
    }

    /// Applies the address policy. The proxy is exempt, since it is configured.
    private func check(_ bootstrap: inout ClientBootstrap) throws {
        guard case .host(let host, _) = endpoint else {
            throw SkeinError(
                .connectionFailed, peer: endpoint.description,
                because: "the address policy allows public internet addresses only, not a unix socket")
        }
        if let bytes = IPAddress.bytes(host), let problem = options.addresses.problem(bytes) { throw problem }
        guard options.route.proxy == nil else {
            if let problem = options.addresses.problem(host: host) { throw problem }
            return
        }
        let filter = AddressFilter(options.addresses)
        bootstrap = bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(filter) }
        }
    }

    /// Opens the tunnel through a proxy, if there is one.
    private func tunnel(_ channel: any Channel) -> EventLoopFuture<any Channel> {
        self.channel = channel
        if isOver {  // too late: the time limit has passed
            channel.close(promise: nil)
            return eventLoop.makeFailedFuture(timeout)
        }
        guard case .tunnel(let proxy) = options.route, case .host(let host, let port) = endpoint else {
            return eventLoop.makeSucceededFuture(channel)
        }
        guard host.utf8.count <= 255, !host.utf8.contains(0), (1...65535).contains(port) else {
            return eventLoop.makeFailedFuture(
                SkeinError(
                    .connectionFailed, peer: endpoint.description,
                    because: "a host name of \(host.utf8.count) bytes with port \(port) cannot be sent to a proxy"))
        }
        let client: any TunnelClient =
            switch proxy.kind {
            case .http: HTTPTunnelClient(proxy: proxy, host: host, port: port)
            case .socks5: SOCKS5Client(proxy: proxy, host: host, port: port)
            }
        let promise = eventLoop.makePromise(of: Void.self)
        do {
            try channel.pipeline.syncOperations.addHandler(
                TunnelHandshake(client, peer: "\(proxy)", promise: promise))
        } catch {
            promise.fail(error)
        }
        return promise.futureResult.map { channel }
    }

    /// Asks the server whether it continues with TLS, where the protocol needs that.
    private func ask(_ channel: any Channel) -> EventLoopFuture<(any Channel, Bool)> {
        guard let tls = options.tls, let question = tls.question else {
            return eventLoop.makeSucceededFuture((channel, options.tls != nil))
        }
        let promise = eventLoop.makePromise(of: Bool.self)
        do {
            try channel.pipeline.syncOperations.addHandler(
                TLSNegotiationHandler(question, peer: endpoint.description, promise: promise))
        } catch {
            promise.fail(error)
        }
        return promise.futureResult.map { (channel, $0) }
    }

    /// Starts TLS, if wanted.
    private func secure(_ channel: any Channel, _ isWanted: Bool) -> EventLoopFuture<Connected> {
        timings.connect = step()
        guard isWanted, let tls = options.tls else {
            return eventLoop.makeSucceededFuture(Connected(channel: channel, tls: nil, timings: timings))
        }
        return TLSHandshake.begin(on: channel, tls, host: endpoint.host, peer: endpoint.description).map { info in
            self.timings.tls = self.step()
            return Connected(channel: channel, tls: info, timings: self.timings)
        }
    }
}
