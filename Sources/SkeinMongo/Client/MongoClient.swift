// The MongoDB client.

import NIOCore
@_exported import SkeinCore
import SkeinTransport
import Synchronization

/// A MongoDB deployment: one server, a replica set, or the routers of a cluster. All callers on an event loop share a
/// few connections to each server.
public final class MongoClient: MemberClient {
    /// The settings of the client.
    public let configuration: MongoConfiguration
    private let session: Session
    private let routes: ShardLocal<MongoRoute>
    let monitor: MongoMonitor
    let sessions = MongoSessionPool()
    private let isShutDown = Atomic<Bool>(false)

    package static var scheme: Alias.Scheme { .mongo }

    package convenience init(_ url: String, _ dialer: Dialer, _ session: Session) throws(SkeinError) {
        self.init(try MongoConfiguration(url), session: session, dialer: dialer)
    }

    package init(_ configuration: MongoConfiguration, session: Session, dialer: Dialer) {
        self.configuration = configuration
        self.session = session
        let connector = MongoConnector(configuration: configuration, dialer: dialer)
        let monitor = MongoMonitor(connector, on: session.pickShard())
        self.monitor = monitor
        routes = ShardLocal(session.shards) {
            MongoRoute(shard: $0, session: session, connector: connector, monitor: monitor)
        }
    }

    deinit {
        guard !isShutDown.load(ordering: .acquiring) else { return }
        monitor.shutdown()
        for (route, shard) in zip(routes.all, session.shards.shards) { shard.eventLoop.execute { route.retire() } }
    }

    /// A database by its name.
    public subscript(name: String) -> MongoDatabase { MongoDatabase(client: self, name: name) }

    /// The database of the connection string, else `test`.
    public var database: MongoDatabase { self[configuration.database] }

    /// The names of all databases.
    public func databaseNames() async throws -> [String] {
        try await self["admin"].run(["listDatabases": 1, "nameOnly": true]).fetch().reply["databases"]?.array?
            .compactMap { $0["name"]?.string } ?? []
    }

    @discardableResult
    func start(
        _ command: MongoCommand, ids: [BSON] = [], timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata(),
        callback: MongoCall.Callback? = nil
    ) -> Corequest<MongoResponse> {
        let call = MongoCall(
            command, of: self, session: session, shard: session.pickShard(), timeout: timeout,
            standard: configuration.timeout,
            ids: ids, meta: meta, callback: callback)
        let corequest = call.handle
        call.submit()
        return corequest
    }

    /// Starts several commands one after the other, with a combined response.
    func startAll(_ name: String, _ work: @escaping @Sendable () async -> MongoResponse) -> Corequest<MongoResponse> {
        CorequestTask.start(
            session, work, failed: { failure, response in response.failed(failure) }, callback: nil)
    }

    func route(of shard: Shard) -> MongoRoute { routes[shard] }

    /// A response without a server's reply.
    func response(
        _ name: String, _ reply: Document, error: MongoError? = nil, failure: SkeinError? = nil, ids: [BSON] = []
    ) -> MongoResponse {
        MongoResponse(
            meta: RequestMetadata(), method: name, content: MongoResult(reply: reply, insertedIDs: ids),
            logger: session.logger,
            failure: failure, mongoError: error, peer: configuration.description)
    }

    /// The limits of a message for all servers; nil until a server has responded.
    var writeLimits: (count: Int, size: Int)? {
        let servers = monitor.topology.servers.values.filter(\.holdsData)
        guard let count = servers.map(\.maximumBatch).min(), let size = servers.map(\.maximumMessage).min() else {
            return nil
        }
        return (count, size - (64 << 10))
    }

    /// Open connections, except those for monitoring.
    public var connectionCount: Int {
        get async { await routes.onEach(session.shards) { $0.connectionCount }.reduce(0, +) }
    }

    package func isAlive(within limit: Duration) async -> Bool? {
        await database.run(["ping": 1], timeout: limit).dispatch().isAlive
    }

    /// Closes every connection and fails what waits for one.
    package func shutdown() async {
        // Optional: the server drops sessions by itself after half an hour.
        let ended = sessions.takeAll()
        if !ended.isEmpty, await connectionCount > 0 {
            await start(MongoCommand(["endSessions": .array(ended)], on: "admin"), timeout: .milliseconds(500))
                .dispatch()
        }
        isShutDown.store(true, ordering: .releasing)
        monitor.shutdown()
        await routes.onEach(session.shards) { $0.shutdown() }
    }
}

extension MongoResponse {
    func failed(_ failure: SkeinError) -> MongoResponse {
        MongoResponse(
            meta: meta, method: method, content: content, logger: logger, failure: failure, mongoError: mongoError,
            peer: peer)
    }
}
