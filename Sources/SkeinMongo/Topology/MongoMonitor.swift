// Monitors the servers, and notifies calls that wait for one.

import NIOCore
import SkeinCore
import SkeinTransport
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Receives changes of the topology. On any thread.
protocol MongoTopologyListener: AnyObject, Sendable {
    func topologyChanged(_ topology: MongoTopology)
}

/// Monitors the servers of one client.
///
/// Unchecked: `checks` is used on its shard's loop only.
final class MongoMonitor: @unchecked Sendable {
    private struct State: Sendable {
        var topology: MongoTopology
        /// The latest cluster time, which is sent to all servers.
        var clusterTime: Document?
        var isShutDown = false
        var listeners: [any MongoTopologyListener] = []
    }

    /// The monitoring of one server.
    ///
    /// Unchecked: used on the monitor's loop only.
    private final class Check: @unchecked Sendable {
        var connection: MongoConnection?
        var isUnderWay = false
        var isWanted = false
        var lastBegun = NIODeadline.uptimeNanoseconds(0)
        var timer: Scheduled<Void>?
    }

    private let configuration: MongoConfiguration
    private let connector: MongoConnector
    private let shard: Shard
    private let state: Mutex<State>
    private var checks: [Endpoint: Check] = [:]
    private static let shortestInterval = TimeAmount.milliseconds(500)

    init(_ connector: MongoConnector, on shard: Shard) {
        configuration = connector.configuration
        self.connector = connector
        self.shard = shard
        state = Mutex(State(topology: MongoTopology(connector.configuration)))
    }

    /// The current topology.
    var topology: MongoTopology { state.withLock { $0.topology } }
    var clusterTime: Document? { state.withLock { $0.clusterTime } }

    func add(_ listener: any MongoTopologyListener) { state.withLock { $0.listeners.append(listener) } }

    /// A suitable server for a command; nil if there is none.
    func select(_ selector: MongoTopology.Selector) -> (server: MongoServer, kind: MongoTopology.Kind)? {
        state.withLock { state in
            let candidates = state.topology.candidates(
                for: selector, threshold: configuration.localThreshold, heartbeat: configuration.heartbeatInterval)
            return (candidates.count == 1 ? candidates.first : candidates.randomElement()).map {
                ($0, state.topology.kind)
            }
        }
    }

    /// Updates the cluster time.
    func saw(clusterTime: Document) {
        guard let moment = Self.moment(clusterTime) else { return }
        state.withLock { state in
            if let known = state.clusterTime.flatMap(Self.moment), known >= moment { return }
            state.clusterTime = clusterTime
        }
    }

    private static func moment(_ clusterTime: Document) -> BSONTimestamp? {
        if case .timestamp(let moment)? = clusterTime["clusterTime"] { moment } else { nil }
    }

    // MARK: Probes

    /// Requests an early check of every server, since a call waits for one.
    func checkSoon() {
        shard.run {
            self.follow()
            for (address, check) in self.checks { self.schedule(address, check, after: .zero) }
        }
    }

    /// A server's role has changed, or it is unreachable.
    /// - Parameter topologyVersion: the server's topology version, if its own reply reported the change.
    func lost(_ address: Endpoint, because problem: String, topologyVersion: Document? = nil) {
        shard.run {
            var server = MongoServer(address, problem: problem)
            server.topologyProcess = topologyVersion?["processId"]?.objectID
            server.topologyCounter = topologyVersion?["counter"]?.int.map(Int64.init) ?? -1
            self.apply(server)
            if let check = self.checks[address] { self.schedule(address, check, after: .zero) }
        }
    }

    /// Starts monitoring new servers and stops monitoring removed ones.
    private func follow() {
        let (addresses, isShutDown) = state.withLock { (Set($0.topology.servers.keys), $0.isShutDown) }
        for (address, check) in checks where isShutDown || !addresses.contains(address) {
            checks[address] = nil
            check.timer?.cancel()
            check.connection?.close()
        }
        guard !isShutDown else { return }
        for address in addresses where checks[address] == nil {
            let check = Check()
            checks[address] = check
            begin(address, check)
        }
    }

    private func schedule(_ address: Endpoint, _ check: Check, after wait: TimeAmount) {
        guard !check.isUnderWay else { return check.isWanted = true }
        check.timer?.cancel()
        let moment = max(.now() + wait, check.lastBegun + Self.shortestInterval)
        check.timer = shard.eventLoop.scheduleTask(deadline: moment) { [weak self] in self?.begin(address, check) }
    }

    private func begin(_ address: Endpoint, _ check: Check) {
        guard checks[address] === check, !check.isUnderWay else { return }
        check.isUnderWay = true
        check.isWanted = false
        check.lastBegun = .now()
        if let connection = check.connection, connection.isUsable { return ask(connection, check) }
        connector.open(address, shard, isMonitor: true).whenComplete { [weak self] result in
            guard let self, self.checks[address] === check else {
                if case .success(let connection) = result { connection.close() }
                return
            }
            switch result {
            case .success(let connection):
                check.connection = connection
                self.heard(connection.hello, from: connection, check, after: connection.roundTrip)
            case .failure(let error): self.missed(address, check, (error as? SkeinError)?.message ?? "\(error)")
            }
        }
    }

    private func ask(_ connection: MongoConnection, _ check: Check) {
        let start = NIODeadline.now()
        let limit = shard.eventLoop.scheduleTask(in: TimeAmount(configuration.pool.connectTimeout)) {
            connection.close(
                because: SkeinError(.timeout, peer: connection.peer, because: "the server did not answer hello in time")
            )
        }
        let name = connection.hello.contains("isWritablePrimary") ? "hello" : "isMaster"
        connection.ask([name: 1, "helloOk": true]) { [weak self] result in
            limit.cancel()
            guard let self, self.checks[connection.address] === check else { return }
            switch result {
            case .success(let reply) where MongoError.inside(reply) == nil:
                self.heard(reply, from: connection, check, after: .nanoseconds((.now() - start).nanoseconds))
            case .success(let reply):
                self.missed(
                    connection.address, check, MongoError(reply).map { "\($0)" } ?? "its answer to hello is not usable")
            case .failure(let error): self.missed(connection.address, check, error.message)
            }
        }
    }

    private func heard(_ hello: Document, from connection: MongoConnection, _ check: Check, after roundTrip: Duration) {
        if let time = hello["$clusterTime"]?.document { saw(clusterTime: time) }
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        ended(
            check, with: MongoServer(connection.address, hello: hello, roundTrip: roundTrip, now: now))
    }

    private func missed(_ address: Endpoint, _ check: Check, _ problem: String) {
        check.connection?.close()
        check.connection = nil
        // A server that was reachable until now is checked once more immediately.
        if topology.servers[address].map({ $0.kind != .unknown }) == true { check.isWanted = true }
        ended(check, with: MongoServer(address, problem: problem))
    }

    private func ended(_ check: Check, with server: MongoServer) {
        check.isUnderWay = false
        apply(server)
        guard checks[server.address] === check else { return }
        // An unreachable server is checked at the maximum rate while a call waits for one.
        let isWanted = check.isWanted || server.kind == .unknown && isAwaited
        schedule(server.address, check, after: isWanted ? .zero : TimeAmount(configuration.heartbeatInterval))
    }

    private func apply(_ server: MongoServer) {
        let (topology, listeners) = state.withLock { state in
            state.topology.update(server)
            return (state.topology, state.listeners)
        }
        follow()
        for listener in listeners { listener.topologyChanged(topology) }
    }

    /// The number of calls that wait for a server.
    private let waiting = Atomic<Int>(0)
    private var isAwaited: Bool { waiting.load(ordering: .relaxed) > 0 }
    func waits(_ change: Int) { waiting.wrappingAdd(change, ordering: .relaxed) }

    /// Stops monitoring.
    func shutdown() {
        state.withLock { state in
            state.isShutDown = true
            state.listeners = []
        }
        shard.eventLoop.execute { self.follow() }
    }
}
