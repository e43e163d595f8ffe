// State shared by the connections of one loop.

import CSkeinWorkers
import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWorkers
import Synchronization

/// One loop's part of a server.
///
/// Unchecked: used on its shard's loop only.
final class ServerShard: @unchecked Sendable {
    let shard: Shard
    let context: ServerContext
    let handling: Handling
    /// The client of the handlers.
    let skein: SkeinClient
    let log: ShardLog?
    let statistics: ShardStatistics
    /// The requests in flight, for crash reports; nil without a master.
    let underWay: RequestsUnderWay?
    @exclusivity(unchecked) private var date: DateField
    @exclusivity(unchecked) private var requests: UInt32 = 0
    private var connectionNumber: UInt32
    private var connections: [ObjectIdentifier: any ServerConnection] = [:]
    /// Connections, including those assigned to the loop that have not arrived yet.
    private let load = Atomic<Int>(0)
    private(set) var isDraining = false
    private var drained: EventLoopPromise<Void>?

    init(shard: Shard, context: ServerContext, handling: Handling, skein: SkeinClient, log: RequestLog?) {
        self.shard = shard
        self.context = context
        self.handling = handling
        self.skein = skein
        date = DateField(context.configuration.clock)
        self.log = log.map { ShardLog($0, shard: shard) }
        statistics = context.statistics[shard.index]
        underWay = context.configuration.worker.map { RequestsUnderWay($0.record, shard: shard.index) }
        connectionNumber = UInt32(shard.index)
    }

    /// Records a completed request.
    func record(_ scope: RequestScope) {
        guard !scope.isRecorded else { return }
        scope.isRecorded = true
        let now = shard.now
        statistics.add(scope, finished: now)
        underWay?.end(scope)
        log?.add(scope, finished: now)
    }

    /// The name of the process in the log: a worker by its number, or the only process.
    var workerName: String { context.workerName }

    /// The number of a request among those of the loop.
    func nextRequest() -> UInt32 {
        requests &+= 1
        return requests
    }

    /// A number that is unique among the connections of the server.
    func nextConnection() -> UInt32 {
        statistics.connections.add(1)
        defer { connectionNumber &+= UInt32(skein.shards.count) }
        return connectionNumber
    }

    func dateField() -> ByteBuffer { date.field }
    func dateText() -> String { date.text }

    /// Connections of the loop; thread-safe.
    var openConnections: Int { load.load(ordering: .relaxed) }

    /// Another thread has assigned a connection to the loop.
    func isGiven() { load.add(1, ordering: .relaxed) }

    /// The connection has arrived, and is counted by itself, or has failed.
    func wasTaken() { load.subtract(1, ordering: .relaxed) }

    func opened(_ connection: any ServerConnection) {
        connections[ObjectIdentifier(connection)] = connection
        load.add(1, ordering: .relaxed)
        if isDraining { connection.drain() }
    }

    /// A connection continues in another version of HTTP.
    func replaced(_ connection: any ServerConnection, by successor: any ServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        connections[ObjectIdentifier(successor)] = successor
        if isDraining { successor.drain() }
    }

    func closed(_ connection: any ServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        load.subtract(1, ordering: .relaxed)
        if connection.isCounted { context.connectionClosed(from: connection.remoteAddress) }
        if isDraining, connections.isEmpty { drained?.succeed() }
    }

    /// Lets every connection complete its requests, and closes the others after a time.
    func drain(within timeout: Duration) -> EventLoopFuture<Void> {
        isDraining = true
        let promise = shard.eventLoop.makePromise(of: Void.self)
        drained = promise
        for connection in connections.values { connection.drain() }
        if connections.isEmpty { promise.succeed() }
        // WebSockets of a replaced worker continue; shortly before the end, they are closed so that clients reconnect.
        let leave = shard.eventLoop.scheduleTask(in: TimeAmount(max(.zero, timeout - .seconds(1)))) {
            guard self.context.isReplaced else { return }
            for connection in self.connections.values { connection.leave(.serviceRestart) }
        }
        let cut = shard.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
            for connection in self.connections.values { connection.cutOff() }
        }
        promise.futureResult.whenComplete { _ in
            leave.cancel()
            cut.cancel()
        }
        return promise.futureResult
    }
}

/// State shared by the whole server: settings and counts.
final class ServerContext: Sendable {
    let configuration: ServerConfiguration
    // Separate from the configuration, which is too large to be copied for each request.
    let connectionLimits: HTTP1ServerMachine.Limits
    let maximumBodySize: Int
    let uncheckedFields: [String]
    let trustsProxies: Bool
    let started = NIODeadline.now()
    let worker: WorkerLink?
    private let shared = Mutex<SharedCore?>(nil)
    private let localRates = LocalRateStore()
    /// The counters of the loops.
    let statistics: [ShardStatistics]
    /// The memory of incomplete messages of all WebSockets.
    let unfinishedMessages: MemoryBudget
    /// The permits for streamed compression.
    let encoders: EncoderPermits
    private let mountPoints = Mutex<[MountPoint]>([])
    private let appWork = Mutex<ShutdownWork?>(nil)
    private let namedCaches = Mutex<[(name: String, cache: HTTPCache)]>([])
    private let connections = Atomic<Int>(0)
    /// Connections by address, for addresses that are counted.
    private let clients = Mutex<[String: Int]>([:])

    init(configuration: ServerConfiguration) {
        self.configuration = configuration
        connectionLimits = HTTP1ServerMachine.Limits(
            header: TimeAmount(configuration.headerTimeout), body: TimeAmount(configuration.bodyTimeout),
            keepAlive: TimeAmount(configuration.keepAliveTimeout), requests: configuration.maximumRequestsPerConnection,
            rate: BodyRate(minimum: configuration.minimumBodyRate))
        worker = configuration.worker
        let count = max(1, configuration.threads)
        statistics = (0..<count).map { [worker] in ShardStatistics(worker?.record, shard: $0) }
        worker?.record.shards = count
        unfinishedMessages = MemoryBudget(limit: configuration.maximumUnfinishedMessages)
        encoders = EncoderPermits(
            maximum: configuration.maximumEncoders, perConnection: configuration.maximumEncodersPerConnection)
        maximumBodySize = configuration.maximumBodySize
        uncheckedFields = configuration.uncheckedFields
        trustsProxies = !configuration.trustedProxies.isEmpty
    }

    /// Whether another worker serves in place of this one.
    var isReplaced: Bool { worker?.record.isReplaced ?? false }

    /// The name of the process in the log.
    var workerName: String { worker.map { "W\($0.slot)" } ?? "M" }

    /// The state shared with other processes.
    var sharedCore: SharedCore {
        shared.withLock { shared in
            if let shared { return shared }
            let made = SharedCore(PageBackend.orNone(worker), configuration.sharing, worker: worker?.slot)
            shared = made
            return made
        }
    }

    /// Closes a remote backend.
    func closeShared() async { await shared.withLock { $0 }?.backend.close() }

    /// Sets a remote backend for the shared state.
    func share(_ backend: any SharedBackend) {
        shared.withLock { $0 = SharedCore(backend, configuration.sharing, worker: worker?.slot) }
    }

    /// The store of rate limits without their own store.
    var rates: any RateStore {
        worker == nil && configuration.shared == nil ? localRates : sharedCore.backend.rates
    }

    var headerTimeout: TimeAmount { connectionLimits.header }
    var bodyTimeout: TimeAmount { connectionLimits.body }
    var keepAliveTimeout: TimeAmount { connectionLimits.keepAlive }
    var rate: BodyRate { connectionLimits.rate }

    /// The mount points.
    var mounts: [MountPoint] {
        get { mountPoints.withLock { $0 } }
        set { mountPoints.withLock { $0 = newValue } }
    }

    /// The shutdown work of the current apps.
    var work: ShutdownWork? {
        get { appWork.withLock { $0 } }
        set { appWork.withLock { $0 = newValue } }
    }

    /// The caches of the mounted apps, by the path of the first mount that has it.
    var caches: [(name: String, cache: HTTPCache)] {
        get { namedCaches.withLock { $0 } }
        set { namedCaches.withLock { $0 = newValue } }
    }

    var connectionCount: Int { connections.load(ordering: .relaxed) }

    /// Counts a connection. Returns the reason when it is one too many.
    func connectionOpened(from address: SocketAddress?) -> StaticString? {
        let isAddressFull = count(address).map { address in
            clients.withLock { clients in
                clients[address, default: 0] += 1
                return clients[address, default: 0] > configuration.maximumConnectionsPerAddress
            }
        }
        let all = connections.wrappingAdd(1, ordering: .relaxed).newValue
        if let worker { skein_add(worker.record.connections, 1) }
        if all > configuration.maximumConnections { return "too many connections" }
        return isAddressFull == true ? "too many connections from your address" : nil
    }

    func connectionClosed(from address: SocketAddress?) {
        connections.wrappingSubtract(1, ordering: .relaxed)
        if let worker { skein_add(worker.record.connections, -1) }
        guard let address = count(address) else { return }
        clients.withLock { clients in
            let left = clients[address, default: 1] - 1
            clients[address] = left > 0 ? left : nil
        }
    }

    /// The key by which a client is counted; nil for clients that are not.
    private func count(_ address: SocketAddress?) -> String? {
        guard let text = address?.ipAddress, text != "::1", !text.hasBytePrefix("127."),
            !configuration.trustedProxies.contains(where: { $0.contains(text) })
        else { return nil }
        return text
    }
}
