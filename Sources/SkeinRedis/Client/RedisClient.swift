// The Redis client.

import NIOCore
@_exported import SkeinCore
import SkeinTransport
import Synchronization

/// A Redis client: all callers on an event loop share one connection, on which commands are pipelined.
///
/// Each command is a method that starts it and returns at once: `try await redis.get("hits").fetch(Int.self)`. Commands
/// of one caller are executed in order, possibly with those of others in between; use ``multi(_:)`` for an atomic
/// sequence.
public final class RedisClient: RedisCommands, MemberClient {
    public typealias Answer = Corequest<RedisResponse>

    /// The settings of the client.
    public let configuration: RedisConfiguration
    let session: Session
    let connector: RedisConnector
    private let routes: ShardLocal<any RedisRoute>
    private let isShutDown = Atomic<Bool>(false)
    let subscriber: RedisSubscriber

    package static var scheme: Alias.Scheme { .redis }

    package convenience init(_ url: String, _ dialer: Dialer, _ session: Session) throws(SkeinError) {
        self.init(try RedisConfiguration(url), session: session, dialer: dialer)
    }

    package init(_ configuration: RedisConfiguration, session: Session, dialer: Dialer) {
        self.configuration = configuration
        self.session = session
        let connector = RedisConnector(configuration: configuration, dialer: dialer)
        self.connector = connector
        routes = ShardLocal(session.shards) { shard in
            if case .cluster = configuration.topology {
                RedisClusterRoute(shard: shard, session: session, configuration: configuration, connector: connector)
            } else {
                RedisServerRoute(shard: shard, session: session, configuration: configuration, connector: connector)
            }
        }
        subscriber = RedisSubscriber(connector, on: session.pickShard())
    }

    deinit {
        guard !isShutDown.load(ordering: .acquiring) else { return }
        subscriber.close()
        for (route, shard) in zip(routes.all, session.shards.shards) { shard.eventLoop.execute { route.retire() } }
    }

    /// Starts a command and returns at once.
    @discardableResult
    public func send(_ command: RedisCommand) -> Answer { start(.one(command), timeout: nil) }

    /// Starts a command and returns at once.
    /// - Parameters:
    ///   - command: the command.
    ///   - timeout: from the moment it gets a slot to its response. Default: the client's; none for a blocking command.
    ///   - meta: metadata that the response carries.
    ///   - callback: called with the response, on an event loop.
    @discardableResult
    public func send(
        _ command: RedisCommand, timeout: Duration?, meta: RequestMetadata = RequestMetadata(),
        callback: (@Sendable (RedisResponse) -> Void)? = nil
    ) -> Answer { start(.one(command), timeout: timeout, meta: meta, callback: callback) }

    /// Executes commands one after the other, without other commands in between (MULTI and EXEC).
    /// - Parameter work: collects the commands: `redis.multi { $0.set("a", 1); $0.incr("b") }`.
    /// - Returns: the corequest, already started; its value is the list of their replies. A command that fails is an
    ///   error in the list; an unknown command aborts the transaction.
    @discardableResult
    public func multi(timeout: Duration? = nil, _ work: (RedisTransaction) -> Void) -> Answer {
        let transaction = RedisTransaction()
        work(transaction)
        return start(.transaction(transaction.commands), timeout: timeout)
    }

    @discardableResult
    func start(
        _ request: RedisRequest, timeout: Duration?, meta: RequestMetadata = RequestMetadata(),
        on own: (any RedisRoute)? = nil,
        callback: (@Sendable (RedisResponse) -> Void)? = nil
    ) -> Answer {
        let shard = session.pickShard()
        let call = RedisCall(
            request, route: own ?? routes[shard], session: session, shard: shard,
            timeout: timeout, standard: request.blocks ? nil : configuration.timeout, meta: meta, callback: callback)
        let corequest = call.handle
        call.submit()
        return corequest
    }

    /// The route of the caller's shard.
    var route: any RedisRoute { routes[session.pickShard()] }

    /// Open connections.
    public var connectionCount: Int {
        get async { await routes.onEach(session.shards) { $0.connectionCount }.reduce(0, +) }
    }

    package func isAlive(within limit: Duration) async -> Bool? {
        await start(.one(RedisCommand("PING")), timeout: limit).dispatch().isAlive
    }

    /// Closes every connection and fails what waits for one.
    package func shutdown() async {
        isShutDown.store(true, ordering: .releasing)
        subscriber.close()
        await routes.onEach(session.shards) { $0.shutdown() }
    }
}

/// The commands of a transaction.
public final class RedisTransaction: RedisCommands, Sendable {
    public typealias Answer = Void

    private let list = Mutex<[RedisCommand]>([])

    /// The commands so far.
    public var commands: [RedisCommand] { list.withLock { $0 } }

    /// Adds a command.
    public func send(_ command: RedisCommand) { list.withLock { $0.append(command) } }
}
