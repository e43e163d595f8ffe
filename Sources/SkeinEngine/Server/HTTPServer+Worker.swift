// A server as one worker of a master.

import CSkeinWorkers
import NIOCore
import NIOPosix
import SkeinCore
import SkeinWorkers

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension ServerConfiguration.Address {
    /// The address in the master's form.
    package var listener: ListenerAddress {
        switch self {
        case .tcp(let host, let port), .tls(let host, let port): .tcp(host, port: port)
        case .unix(let path): .unix(path)
        case .inherited(let descriptor, _): .inherited(descriptor)
        }
    }
}

extension HTTPServer {
    /// The master's socket for an address, which accepts once the server is ready.
    /// - Returns: the address, with its port; nil when there is no master, or it has no such socket.
    func listen(
        forMasterOn address: ServerConfiguration.Address, _ shards: [ServerShard]
    ) throws -> ServerConfiguration.Address? {
        guard let descriptor = context.configuration.worker?.listener(address.listener) else { return nil }
        // A duplicate for the channel or the acceptor; two servers of one process have one each.
        let own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard own >= 0 else { throw IOError(errnoCode: errno, reason: "dup") }
        _ = fcntl(own, F_SETFL, fcntl(own, F_GETFL) | O_NONBLOCK)
        let tls = try tls(for: address)
        let expectsHeader = context.configuration.expectsProxyHeader
        let isInternet = Self.isInternet(own)
        let listener = Acceptor.Listener(descriptor: own) { descriptor in
            let shard = shards.dropFirst().reduce(shards[0]) { $1.openConnections < $0.openConnections ? $1 : $0 }
            shard.isGiven()
            var bootstrap = ClientBootstrap(group: shard.shard.eventLoop)
                .channelOption(.allowRemoteHalfClosure, value: true)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try Self.begin(on: channel, shards, tls: tls, expectsHeader: expectsHeader)
                    }
                }
            if isInternet { bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1) }
            bootstrap.withConnectedSocket(descriptor).whenComplete { _ in shard.wasTaken() }
        }
        state.withLock { $0.accepted.append(listener) }
        return switch address {
        case .tcp(let host, let port): .tcp(host, port: Self.port(of: own) ?? port)
        case .tls(let host, let port): .tls(host, port: Self.port(of: own) ?? port)
        case .unix, .inherited: address
        }
    }

    /// Starts to accept from the master's sockets.
    func accept(_ shards: [ServerShard]) throws {
        guard let worker = context.configuration.worker else { return }
        let listeners = state.withLock { $0.accepted }
        guard !listeners.isEmpty else { return }
        let acceptor = try Acceptor(
            listeners, worker, context.configuration.logger, on: shards[0].shard.eventLoop)
        state.withLock { $0.acceptor = acceptor }
    }

    private static func port(of descriptor: CInt) -> Int? {
        withAddress(of: descriptor) { address in
            switch CInt(address.pointee.sa_family) {
            case AF_INET:
                address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    Int(UInt16(bigEndian: $0.pointee.sin_port))
                }
            case AF_INET6:
                address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    Int(UInt16(bigEndian: $0.pointee.sin6_port))
                }
            default: nil
            }
        }
    }

    static func isInternet(_ descriptor: CInt) -> Bool { port(of: descriptor) != nil }

    private static func withAddress<Result>(
        of descriptor: CInt, _ work: (UnsafePointer<sockaddr>) -> Result?
    ) -> Result? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getsockname(descriptor, address, &length) == 0 ? work(address) : nil
            }
        }
    }

    /// Connects to the shared backend, and starts the maintenance work.
    /// - Parameter shard: waits for the tasks when the server ends.
    func share(_ shard: Shard) async throws {
        let configuration = context.configuration
        let client = state.withLock { $0.skein }
        if let location = configuration.shared, let client {
            context.share(try await location.connect(client))
        }
        let sharing = configuration.sharing
        if !sharing.states.isEmpty { try (context.sharedCore.backend as? PageBackend)?.reserve(sharing.states) }
        guard !sharing.handlers.isEmpty || !sharing.maintenance.isEmpty || !sharing.starting.isEmpty else { return }
        let core = context.sharedCore
        try await core.backend.listen { core.deliver($0) }
        // Not on the loop: handlers and maintenance may be slow.
        @Sendable func start(_ work: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
            shard.tasks.begin()
            return Task {
                await work()
                shard.tasks.end()
            }
        }
        let background =
            [start { await core.runHandlers() }]
            + sharing.starting.map { work in start { await work(Shared(core: core)) } }
        let maintenance = sharing.maintenance.map { maintenance in
            start { await maintenance.run(Shared(core: core), configuration.logger) }
        }
        state.withLock { state in
            state.background += background
            state.maintenance += maintenance
        }
    }

    /// Reports to the master that this worker serves and is alive, and handles the master's messages.
    func follow(_ worker: WorkerLink, _ shards: [ServerShard]) {
        // Each loop by itself, so that the master knows which one is blocked.
        for shard in shards {
            worker.record.beat(ofShard: shard.shard.index, at: Int64(NIODeadline.now().uptimeNanoseconds))
            shard.shard.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .seconds(1)) { _ in
                worker.record.beat(ofShard: shard.shard.index, at: Int64(NIODeadline.now().uptimeNanoseconds))
            }
        }
        worker.listen(
            grace: context.configuration.shutdownTimeout + .seconds(5),
            masterHasGone: { [logger = context.configuration.logger] in
                logger.warning("the master process ended; this worker ends, too")
                kill(getpid(), SIGTERM)
            })
        worker.ready()
    }
}
