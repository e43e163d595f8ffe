// The server: listeners on every loop, their connections, and a graceful shutdown.

import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A server of HTTP/1.1 and HTTP/2 for an app.
///
/// It is a service: `run()` serves until its service group shuts down. In tests and scripts, use `start()` and
/// `stop()`.
public final class HTTPServer: Service {
    struct State {
        var group: MultiThreadedEventLoopGroup?
        var listeners: [any Channel] = []
        /// The sockets of a master, with their accept handlers.
        var accepted: [Acceptor.Listener] = []
        var acceptor: Acceptor?
        var shards: [ServerShard] = []
        var tls: ServerTLS?
        var skein: SkeinClient?
        var log: RequestLog?
        /// Whether it listens on all its addresses.
        var isListening = false
        /// Maintenance work, which ends when the shutdown begins.
        var maintenance: [Task<Void, Never>] = []
        /// Tasks that connections need until the end: messages of other processes.
        var background: [Task<Void, Never>] = []
        /// The shutdown work of apps, including replaced ones.
        var shutdown: [ShutdownWork] = []
    }

    let context: ServerContext
    private let handling: Handling
    let state = Mutex(State())

    /// A server whose app runs as a task for each request.
    public init(_ configuration: ServerConfiguration = ServerConfiguration(), app: some App) {
        context = ServerContext(configuration: configuration)
        handling = .task(app)
    }

    /// A server whose closure runs as a task for each request, on the loop of the request's connection.
    public convenience init(
        _ configuration: ServerConfiguration = ServerConfiguration(),
        handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) {
        self.init(configuration, app: ClosureApp(handler))
    }

    /// A server whose closure is called on the loop as each request arrives, without a task; the fastest form for
    /// responses from memory. The closure must not block, and cannot wait for the request's content.
    public init(
        _ configuration: ServerConfiguration = ServerConfiguration(),
        immediate handler: @escaping @Sendable (ServerRequest) throws -> ServerResponse
    ) {
        context = ServerContext(configuration: configuration)
        handling = .immediate(handler)
    }

    /// Whether it listens on all its addresses.
    package var isListening: Bool { state.withLock { $0.isListening } }

    /// Connections open now.
    public var connectionCount: Int { context.connectionCount }

    /// Starts to listen.
    /// - Returns: the addresses, with the chosen ports in place of port 0.
    /// - Throws: `SkeinError` code 714 when listening on an address fails, 701 when the server runs already.
    @discardableResult
    public func start() async throws -> [ServerConfiguration.Address] {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, context.configuration.threads))
        let isFirst = state.withLock { state in
            guard state.group == nil else { return false }
            state.group = group
            return true
        }
        guard isFirst else {
            try? await group.shutdownGracefully()
            throw SkeinError(.exception, because: "the server is running already")
        }
        do {
            let configuration = context.configuration
            let tls = try configuration.tls.map { (options) throws(SkeinError) in
                try ServerTLS(options, speaksHTTP2: configuration.http2.isEnabled)
            }
            state.withLock { $0.tls = tls }
            try configuration.beforeListening?()
            let shards = try await makeShards(ShardGroup(group))
            try await share(shards[0].shard)
            var bound: [ServerConfiguration.Address] = []
            for address in context.configuration.addresses {
                bound.append(try await listen(on: address, shards, group))
            }
            state.withLock { $0.isListening = true }
            try accept(shards)
            if let worker = configuration.worker { follow(worker, shards) }
            configuration.afterListening?()
            return bound
        } catch {
            await stop()
            throw error
        }
    }

    /// Prepares the app, the log and the client, and their state for each loop.
    private func makeShards(_ group: ShardGroup) async throws -> [ServerShard] {
        var client = context.configuration.client
        client.shards = group
        let skein = SkeinClient(client)
        state.withLock { $0.skein = skein }
        for (name, alias) in context.configuration.aliases { try skein.alias(name, alias) }
        let log = try context.configuration.requestLog.map { try RequestLog($0, logger: context.configuration.logger) }
        var handling = handling
        if case .task(let app) = handling {
            let shutdown = ShutdownWork(skein, within: context.configuration.shutdownTimeout)
            state.withLock { $0.shutdown = [shutdown] }
            let app = try await app.bootstrap(at: .root(shutdown))
            context.work = shutdown
            show((app as? ReplaceableApp)?.app ?? app)
            handling = .task(app)
        }
        let shards = group.shards.map {
            ServerShard(shard: $0, context: context, handling: handling, skein: skein, log: log)
        }
        state.withLock { state in
            state.shards = shards
            state.log = log
        }
        return shards
    }

    /// Shows an app's mounts on the status page.
    func show(_ app: any App) {
        context.mounts = (app as? EngineApp)?.points ?? []
        context.caches = (app as? EngineApp)?.caches ?? []
    }

    /// The app, when it can be replaced.
    var replaceable: ReplaceableApp? { if case .task(let app) = handling { app as? ReplaceableApp } else { nil } }

    /// The client of a running server.
    var skein: SkeinClient? { state.withLock { $0.skein } }

    /// Serves connections that are accepted elsewhere, on loops of the caller.
    /// - Returns: a closure that initialises a channel as a connection; called on the channel's loop, before it is
    ///   active.
    package func attach(to group: ShardGroup) async throws -> @Sendable (any Channel) throws -> Void {
        let shards = try await makeShards(group)
        return { channel in try Self.begin(on: channel, shards, tls: nil, expectsHeader: false) }
    }

    /// Stops listening, completes requests in flight, and closes every connection.
    public func stop() async {
        let last = state.withLock { state in
            defer { state = State() }
            return state
        }
        for listener in last.listeners { try? await listener.close() }
        await last.acceptor?.stop()
        if last.acceptor != nil { context.worker?.closeListeners() }
        for task in last.maintenance { task.cancel() }
        let timeout = context.configuration.shutdownTimeout
        let drains = last.shards.map { shard in
            shard.shard.eventLoop.flatSubmit { shard.drain(within: timeout) }
        }
        for drain in drains { try? await drain.get() }
        for task in last.background { task.cancel() }
        for shard in last.shards { await shard.shard.tasks.untilNone(within: timeout) }
        for work in last.shutdown { await work.run() }
        await context.closeShared()
        // Handlers may have started what goes on behind their responses.
        await last.skein?.session.untilIdle(within: timeout)
        await last.skein?.shutdown()
        for shard in last.shards { try? await shard.shard.eventLoop.submit { shard.log?.flush() }.get() }
        await last.log?.flush()
        try? await last.group?.shutdownGracefully()
    }

    /// Reloads the certificates and starts new log files, as after SIGHUP; on failure, the old ones stay in use, and
    /// the error is logged.
    public func reload() {
        do {
            try reloadCertificates()
        } catch {
            context.configuration.logger.error("the certificates cannot be reloaded: \(error)")
        }
        state.withLock { $0.log }?.reopen()
        context.configuration.logger.info("reloaded")
    }

    /// Reloads the certificate files for new connections; open connections are not changed.
    /// - Throws: code 713 with the error in a file; the old certificates stay in use.
    public func reloadCertificates() throws(SkeinError) {
        let tls = state.withLock { $0.tls }
        try tls?.reload()
    }

    /// Serves until the service group shuts down or the task is cancelled.
    public func run() async throws {
        for address in try await start() { context.configuration.logger.info("listening on \(address)") }
        try? await gracefulShutdown()
        await stop()
    }

    private func listen(
        on address: ServerConfiguration.Address, _ shards: [ServerShard], _ group: MultiThreadedEventLoopGroup
    ) async throws -> ServerConfiguration.Address {
        do {
            if let inherited = try listen(forMasterOn: address, shards) { return inherited }
            switch address {
            case .unix(let path):
                // A unix socket has one queue; one loop accepts for all.
                let channel = try await bootstrap(shards[0].shard.eventLoop, children: group, shards)
                    .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
                state.withLock { $0.listeners.append(channel) }
                return address
            case .inherited(let descriptor, _):
                var bootstrap = bootstrap(
                    shards[0].shard.eventLoop, children: group, shards, try tls(for: address))
                if Self.isInternet(descriptor) {
                    bootstrap = bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                }
                let channel = try await bootstrap.withBoundSocket(descriptor).get()
                state.withLock { $0.listeners.append(channel) }
                return address
            case .tcp(let host, let port), .tls(let host, let port):
                let tls = try tls(for: address)
                try PortProbe.check(try SocketAddress.makeAddressResolvingHost(host, port: port))
                // Each loop has a socket of its own, so that a connection is accepted by the loop that serves it.
                var chosen = port
                for shard in shards {
                    let channel = try await bootstrap(
                        shard.shard.eventLoop, children: shard.shard.eventLoop, shards, tls
                    )
                    .serverChannelOption(.socketOption(NIOBSDSocket.Option(rawValue: SO_REUSEPORT)), value: 1)
                    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .bind(host: host, port: chosen).get()
                    state.withLock { $0.listeners.append(channel) }
                    chosen = channel.localAddress?.port ?? chosen
                }
                if case .tls = address { return .tls(host, port: chosen) }
                return .tcp(host, port: chosen)
            }
        } catch let error as SkeinError {
            throw error
        } catch {
            throw SkeinError(
                .connectionFailed, peer: "\(address)",
                because: "the server cannot listen on this address (\(error)); is the address local and the port free?",
                cause: error)
        }
    }

    func tls(for address: ServerConfiguration.Address) throws -> ServerTLS? {
        switch address {
        case .tls, .inherited(_, isTLS: true): break
        case .tcp, .unix, .inherited: return nil
        }
        guard let tls = state.withLock({ $0.tls }) else {
            throw SkeinError(
                .tlsHandshakeFailed, peer: "\(address)", because: "TLS needs a certificate; set configuration.tls")
        }
        return tls
    }

    func bootstrap(
        _ loop: any EventLoop, children: any EventLoopGroup, _ shards: [ServerShard], _ tls: ServerTLS? = nil
    ) -> ServerBootstrap {
        ServerBootstrap(group: loop, childGroup: children)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // Without free descriptors, the loop would retry in a busy loop.
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptBackoffHandler {
                            [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains($0.errnoCode) ? .seconds(1) : nil
                        })
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { [expectsHeader = context.configuration.expectsProxyHeader] channel in
                channel.eventLoop.makeCompletedFuture {
                    try Self.begin(on: channel, shards, tls: tls, expectsHeader: expectsHeader)
                }
            }
    }

    /// Initialises a channel as a connection of the server.
    static func begin(
        on channel: any Channel, _ shards: [ServerShard], tls: ServerTLS?, expectsHeader: Bool
    ) throws {
        guard let shard = shards.first(where: { $0.shard.isCurrent }) else {
            throw SkeinError(.exception, because: "a connection was accepted on the wrong event loop")
        }
        let challenges = shard.context.configuration.challenges
        if let tls, let challenges, challenges.isTLSPending, !expectsHeader {
            try channel.pipeline.syncOperations.addHandler(
                ChallengeHandler(challenges, shard.context) { try add(to: $0, shard, tls: tls, expectsHeader: false) })
        } else {
            try add(to: channel, shard, tls: tls, expectsHeader: expectsHeader)
        }
    }

    /// Adds the handlers of a connection.
    private static func add(to channel: any Channel, _ shard: ServerShard, tls: ServerTLS?, expectsHeader: Bool) throws
    {
        let pipeline = channel.pipeline.syncOperations
        if expectsHeader, channel.localAddress?.ipAddress != nil { try pipeline.addHandler(ProxyHeaderHandler()) }
        let handler = tls.map { NIOSSLServerHandler(context: $0.context) }
        if let handler { try pipeline.addHandler(handler) }
        try pipeline.addHandler(HTTP1ServerConnection(owner: shard, tls: handler))
    }
}
