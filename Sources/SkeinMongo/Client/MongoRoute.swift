// Selects a suitable server for a command, and one of this loop's connections to it.

import NIOCore
import SkeinCore
import SkeinTransport

/// Selects servers for the commands of one shard.
///
/// Unchecked: used on its shard's loop only.
final class MongoRoute: MongoTopologyListener, @unchecked Sendable {
    private let shard: Shard
    private let session: Session
    private let connector: MongoConnector
    let monitor: MongoMonitor
    @exclusivity(unchecked) private var pools: [Endpoint: PipelinePool<MongoConnection>] = [:]
    @exclusivity(unchecked) private var waiting: [(call: MongoCall, timer: Scheduled<Void>)] = []
    @exclusivity(unchecked) private var isShutDown = false

    init(shard: Shard, session: Session, connector: MongoConnector, monitor: MongoMonitor) {
        self.shard = shard
        self.session = session
        self.connector = connector
        self.monitor = monitor
        monitor.add(self)
    }

    var connectionCount: Int { pools.values.reduce(0) { $0 + $1.count } }

    /// Sends a command, or queues it until there is a suitable server.
    func send(_ call: MongoCall) {
        guard !isShutDown else { return call.failLater(shuttingDown) }
        if let (server, kind) = monitor.select(call.selector) { return send(call, to: server, kind) }
        let limit = TimeAmount(connector.configuration.serverSelectionTimeout)
        let timer = shard.eventLoop.scheduleTask(in: limit) { [weak self] () -> Void in self?.giveUp(call) }
        waiting.append((call, timer))
        monitor.waits(1)
        monitor.checkSoon()
    }

    private func send(_ call: MongoCall, to server: MongoServer, _ kind: MongoTopology.Kind) {
        call.chose(server, kind)
        let pool = pool(for: server.address)
        if call.command.blocks { call.sendAlone(pool) } else { pool.submit(call) }
    }

    private func pool(for address: Endpoint) -> PipelinePool<MongoConnection> {
        if let pool = pools[address] { return pool }
        let (shard, connector) = (shard, connector)
        let pool = PipelinePool<MongoConnection>(
            shard: shard, session: session, limits: connector.configuration.pool, peer: "mongodb://\(address)"
        ) {
            connector.open(address, shard)
        }
        pools[address] = pool
        return pool
    }

    private func giveUp(_ call: MongoCall) {
        guard let place = waiting.firstIndex(where: { $0.call === call }) else { return }
        waiting.remove(at: place)
        monitor.waits(-1)
        call.fail(
            SkeinError(
                .connectionFailed, peer: call.peer,
                because: "no suitable server for the command was found within "
                    + "\(connector.configuration.serverSelectionTimeout): \(monitor.topology.explanation)"))
    }

    // MARK: Changes

    func topologyChanged(_ topology: MongoTopology) {
        shard.run {
            for (address, pool) in self.pools where topology.servers[address] == nil {
                self.pools[address] = nil
                pool.retire()
            }
            let all = self.waiting
            self.waiting = []
            for (call, timer) in all {
                if call.isOver {
                    self.monitor.waits(-1)
                    timer.cancel()
                } else if let (server, kind) = self.monitor.select(call.selector) {
                    self.monitor.waits(-1)
                    timer.cancel()
                    self.send(call, to: server, kind)
                } else {
                    self.waiting.append((call, timer))
                }
            }
        }
    }

    // MARK: The end

    private var shuttingDown: SkeinError {
        SkeinError(
            .shuttingDown, peer: connector.configuration.description, because: "the session is shutting down")
    }

    func shutdown() {
        isShutDown = true
        for (call, timer) in waiting {
            timer.cancel()
            call.fail(shuttingDown)
        }
        waiting = []
        for pool in pools.values { pool.shutdown() }
    }

    /// Closes idle connections, and keeps none from now on; commands in flight continue.
    func retire() { for pool in pools.values { pool.retire() } }
}
