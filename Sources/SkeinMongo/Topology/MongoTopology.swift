// The servers of a deployment and their roles, derived from their replies, without I/O and clock
// (https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring/server-discovery-and-monitoring.md).

import SkeinCore
import SkeinTransport

/// All servers of a deployment.
struct MongoTopology: Sendable {
    enum Kind: String, Sendable {
        case single
        case unknown
        case replicaSetWithoutPrimary = "replica set without a primary"
        case replicaSetWithPrimary = "replica set"
        case sharded
    }

    private(set) var kind: Kind
    private(set) var servers: [Endpoint: MongoServer]
    private(set) var setName: String?
    private var newestElection: (version: Int, id: ObjectID?) = (-1, nil)

    init(_ configuration: MongoConfiguration) {
        setName = configuration.replicaSet
        servers = Dictionary(configuration.hosts.map { ($0, MongoServer($0)) }) { first, _ in first }
        kind = configuration.isDirect ? .single : configuration.replicaSet == nil ? .unknown : .replicaSetWithoutPrimary
    }

    /// Processes a server's reply, or its failure.
    mutating func update(_ server: MongoServer) {
        guard let old = servers[server.address], !Self.isStale(server, than: old) else { return }
        var server = server
        if server.kind != .unknown, old.kind != .unknown {
            server.roundTrip = old.roundTrip * 0.8 + server.roundTrip * 0.2
        }
        if kind == .single, let setName, server.kind != .unknown, server.setName != setName {
            server = MongoServer(
                server.address,
                problem: "it belongs to the replica set \(server.setName ?? "without a name") and not to \(setName)")
        }
        servers[server.address] = server
        switch kind {
        case .single: break
        case .unknown: updateUnknown(server)
        case .sharded: if server.kind != .mongos, server.kind != .unknown { drop(server.address) }
        case .replicaSetWithPrimary, .replicaSetWithoutPrimary: updateSet(server)
        }
    }

    /// Whether newer information is known already.
    private static func isStale(_ new: MongoServer, than old: MongoServer) -> Bool {
        guard let process = new.topologyProcess, process == old.topologyProcess else { return false }
        // An error with a known topology version brings no news.
        return new.kind == .unknown
            ? new.topologyCounter <= old.topologyCounter : new.topologyCounter < old.topologyCounter
    }

    private mutating func updateUnknown(_ server: MongoServer) {
        switch server.kind {
        case .unknown, .ghost: break
        case .standalone:
            if servers.count == 1 { kind = .single } else { drop(server.address) }
        case .mongos: kind = .sharded
        case .primary, .secondary, .arbiter, .other:
            kind = .replicaSetWithoutPrimary
            updateSet(server)
        }
    }

    private mutating func updateSet(_ server: MongoServer) {
        switch server.kind {
        case .unknown, .ghost: break
        case .standalone, .mongos: drop(server.address)
        case .primary: updateFromPrimary(server)
        case .secondary, .arbiter, .other: updateFromMember(server)
        }
        let hasPrimary = servers.values.contains { $0.kind == .primary }
        kind = hasPrimary ? .replicaSetWithPrimary : .replicaSetWithoutPrimary
    }

    private mutating func updateFromPrimary(_ server: MongoServer) {
        if setName == nil { setName = server.setName }
        guard server.setName == setName else { return drop(server.address) }
        guard isNewest(server) else {
            servers[server.address] = MongoServer(server.address, problem: "it is a primary of an older election")
            return
        }
        // There is one primary; a former one has not noticed yet.
        for other in servers.values where other.kind == .primary && other.address != server.address {
            servers[other.address] = MongoServer(other.address, problem: "another member has become the primary")
        }
        for member in server.members where servers[member] == nil { servers[member] = MongoServer(member) }
        for address in servers.keys where !server.members.contains(address) { drop(address) }
    }

    /// Servers from 6.0 on compare elections first, older ones the versions of the configuration.
    private mutating func isNewest(_ server: MongoServer) -> Bool {
        guard let id = server.electionID, let version = server.setVersion else {
            if let version = server.setVersion { newestElection.version = max(newestElection.version, version) }
            return true
        }
        if let known = newestElection.id {
            let isOlder =
                server.wireVersion >= 17
                ? (id, version) < (known, newestElection.version) : (version, id) < (newestElection.version, known)
            if isOlder { return false }
        }
        newestElection = (version, id)
        return true
    }

    private mutating func updateFromMember(_ server: MongoServer) {
        if setName == nil { setName = server.setName }
        guard server.setName == setName else { return drop(server.address) }
        if kind != .replicaSetWithPrimary {
            for member in server.members where servers[member] == nil { servers[member] = MongoServer(member) }
        }
        if let me = server.me, me != server.address { drop(server.address) }
    }

    private mutating func drop(_ address: Endpoint) { servers[address] = nil }

    // MARK: Selection

    /// The requirement of a command.
    enum Selector: Hashable, Sendable {
        case write
        case read(MongoReadPreference)
        case server(Endpoint)
    }

    /// The suitable servers within the latency window (…/server-selection/server-selection.md).
    func candidates(for selector: Selector, threshold: Duration, heartbeat: Duration) -> [MongoServer] {
        if case .server(let address) = selector { return servers[address].map { $0.holdsData ? [$0] : [] } ?? [] }
        let able: [MongoServer]
        switch kind {
        case .unknown: able = []
        case .single: able = servers.values.filter { $0.kind != .unknown && $0.kind != .ghost }
        case .sharded: able = servers.values.filter { $0.kind == .mongos }
        case .replicaSetWithPrimary, .replicaSetWithoutPrimary:
            guard case .read(let preference) = selector else { return servers.values.filter { $0.kind == .primary } }
            able = members(for: preference, heartbeat: heartbeat)
        }
        guard let nearest = able.map(\.roundTrip).min() else { return [] }
        return able.filter { $0.roundTrip <= nearest + threshold }
    }

    private func members(for preference: MongoReadPreference, heartbeat: Duration) -> [MongoServer] {
        let primaries = servers.values.filter { $0.kind == .primary }
        func secondaries() -> [MongoServer] {
            matching(preference, fresh(servers.values.filter { $0.kind == .secondary }, preference, heartbeat))
        }
        switch preference.mode {
        case .primary: return primaries
        case .primaryPreferred: return primaries.isEmpty ? secondaries() : primaries
        case .secondary: return secondaries()
        case .secondaryPreferred:
            let list = secondaries()
            return list.isEmpty ? primaries : list
        case .nearest:
            let all = primaries + servers.values.filter { $0.kind == .secondary }
            return matching(preference, fresh(all, preference, heartbeat))
        }
    }

    private func matching(_ preference: MongoReadPreference, _ list: [MongoServer]) -> [MongoServer] {
        if preference.tagSets.isEmpty { return list }
        for set in preference.tagSets {
            let matching = list.filter { server in set.allSatisfy { server.tags[$0.key] == $0.value } }
            if !matching.isEmpty { return matching }
        }
        return []
    }

    /// Secondaries within the staleness limit, by estimate.
    private func fresh(
        _ list: [MongoServer], _ preference: MongoReadPreference, _ heartbeat: Duration
    ) -> [MongoServer] {
        guard let limit = preference.maximumStaleness else { return list }
        let milliseconds = Int64(limit / .milliseconds(1))
        let interval = Int64(heartbeat / .milliseconds(1))
        let primary = servers.values.first { $0.kind == .primary }
        let newest = servers.values.filter { $0.kind == .secondary }.compactMap(\.lastWrite).max() ?? 0
        return list.filter { server in
            guard server.kind == .secondary, let write = server.lastWrite else { return true }
            if let primary, let primaryWrite = primary.lastWrite {
                return (server.heardAt - write) - (primary.heardAt - primaryWrite) + interval <= milliseconds
            }
            return newest - write + interval <= milliseconds
        }
    }

    /// The state of the topology in a sentence, for timeout errors.
    var explanation: String {
        let list = servers.values.sorted { "\($0.address)" < "\($1.address)" }.map { server in
            "\(server.address) is \(server.kind == .unknown ? "not known" : "\(server.kind)")"
                + (server.problem.map { " (\($0))" } ?? "")
        }
        return list.isEmpty ? "no server is left" : list.joined(separator: ", ")
    }
}
