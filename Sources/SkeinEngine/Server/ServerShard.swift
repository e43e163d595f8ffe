// What the connections of one loop share.

import Synchronization

/// One loop's share of a server.
///
/// Unchecked: touched on its shard's loop only.
final class ServerShard: @unchecked Sendable {
    let shard: Shard
    let context: ServerContext
    @exclusivity(unchecked) private var date = DateField()
    private var connections: [ObjectIdentifier: any ServerConnection] = [:]
    private(set) var isDraining = false
    private var drained: EventLoopPromise<Void>?

    init(shard: Shard, context: ServerContext) {
        self.shard = shard
        self.context = context
    }

    func dateField() -> ByteBuffer { date.field }
    func dateText() -> String { date.text }

    func opened(_ connection: any ServerConnection) {
        connections[ObjectIdentifier(connection)] = connection
        if isDraining { connection.drain() }
    }

    /// A connection goes on in another version of HTTP.
    func replaced(_ connection: any ServerConnection, by successor: any ServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        connections[ObjectIdentifier(successor)] = successor
        if isDraining { successor.drain() }
    }

    func closed(_ connection: any ServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        context.connectionClosed()
        if isDraining, connections.isEmpty { drained?.succeed() }
    }

    /// Lets every connection finish what is under way, and cuts off what is left after a time.
    func drain(within timeout: Duration) -> EventLoopFuture<Void> {
        isDraining = true
        let promise = shard.eventLoop.makePromise(of: Void.self)
        drained = promise
        for connection in connections.values { connection.drain() }
        if connections.isEmpty { promise.succeed() }
        let cut = shard.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
            for connection in self.connections.values { connection.cutOff() }
        }
        promise.futureResult.whenComplete { _ in cut.cancel() }
        return promise.futureResult
    }
}

/// What the whole server shares: settings, the handler, the number of connections.
final class ServerContext: Sendable {
    let configuration: ServerConfiguration
    let handling: Handling
    let headerTimeout: TimeAmount
    let bodyTimeout: TimeAmount
    let keepAliveTimeout: TimeAmount
    private let connections = Atomic<Int>(0)

    init(configuration: ServerConfiguration, handling: Handling) {
        self.configuration = configuration
        self.handling = handling
        headerTimeout = TimeAmount(configuration.headerTimeout)
        bodyTimeout = TimeAmount(configuration.bodyTimeout)
        keepAliveTimeout = TimeAmount(configuration.keepAliveTimeout)
    }

    var connectionCount: Int { connections.load(ordering: .relaxed) }

    /// Counts a connection. Returns false when there are too many.
    func connectionOpened() -> Bool {
        connections.wrappingAdd(1, ordering: .relaxed).newValue <= configuration.maximumConnections
    }

    func connectionClosed() { connections.wrappingSubtract(1, ordering: .relaxed) }
}
