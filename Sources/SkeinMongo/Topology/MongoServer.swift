// The state of one server, from its last `hello` reply
// (https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring/server-discovery-and-monitoring.md).

import SkeinCore
import SkeinTransport

/// A server at the time of its last check.
struct MongoServer: Sendable, Hashable {
    enum Kind: String, Sendable {
        case unknown, standalone, mongos, primary, secondary, arbiter
        /// A replica set member that cannot serve reads.
        case other
        /// A server that is not a member yet.
        case ghost
    }

    let address: Endpoint
    var kind = Kind.unknown
    var setName: String?
    /// The members of its replica set, according to this server.
    var members: Set<Endpoint> = []
    /// Its own name in the set.
    var me: Endpoint?
    /// The primary, according to this server.
    var primary: Endpoint?
    var setVersion: Int?
    var electionID: ObjectID?
    var tags: [String: String] = [:]
    /// The time of the last write that it knows of, in milliseconds.
    var lastWrite: Int64?
    /// The time of that reply, in milliseconds.
    var heardAt: Int64 = 0
    var wireVersion = 0
    var hasSessions = false
    var maximumBatch = 100_000
    var maximumMessage = 48_000_000
    /// A counter of state changes, within one server process.
    var topologyProcess: ObjectID?
    var topologyCounter: Int64 = -1
    /// The round-trip time, a moving average.
    var roundTrip: Duration = .zero
    /// The reason why it is unknown.
    var problem: String?

    init(_ address: Endpoint, problem: String? = nil) {
        self.address = address
        self.problem = problem
    }

    /// - Parameters:
    ///   - hello: its reply.
    ///   - roundTrip: the round-trip time.
    ///   - now: milliseconds since 1970.
    init(_ address: Endpoint, hello: Document, roundTrip: Duration, now: Int64) {
        self.address = address
        self.roundTrip = roundTrip
        heardAt = now
        setName = hello["setName"]?.string
        kind = Self.kind(hello, setName)
        for list in ["hosts", "passives", "arbiters"] {
            for member in hello[list]?.array ?? [] {
                if let endpoint = Self.endpoint(member) { members.insert(endpoint) }
            }
        }
        me = hello["me"].flatMap(Self.endpoint)
        primary = hello["primary"].flatMap(Self.endpoint)
        setVersion = hello["setVersion"]?.int
        electionID = hello["electionId"]?.objectID
        for (name, value) in hello["tags"]?.document ?? [:] { tags[name] = value.string }
        if case .date(let date)? = hello["lastWrite"]?["lastWriteDate"] {
            lastWrite = min(max(0, date.milliseconds), 253_402_300_799_999)  // the end of the year 9999
        }
        wireVersion = hello["maxWireVersion"]?.int ?? 0
        hasSessions = hello["logicalSessionTimeoutMinutes"]?.int != nil
        maximumBatch = max(1, hello["maxWriteBatchSize"]?.int ?? maximumBatch)
        maximumMessage = max(1 << 20, hello["maxMessageSizeBytes"]?.int ?? maximumMessage)
        topologyProcess = hello["topologyVersion"]?["processId"]?.objectID
        topologyCounter = hello["topologyVersion"]?["counter"]?.int.map(Int64.init) ?? -1
    }

    private static func kind(_ hello: Document, _ setName: String?) -> Kind {
        if hello["msg"]?.string == "isdbgrid" { return .mongos }
        if hello["isreplicaset"]?.isTrue == true { return .ghost }
        guard setName != nil else { return .standalone }
        if hello["hidden"]?.isTrue == true { return .other }
        if hello["isWritablePrimary"]?.isTrue == true || hello["ismaster"]?.isTrue == true { return .primary }
        if hello["secondary"]?.isTrue == true { return .secondary }
        return hello["arbiterOnly"]?.isTrue == true ? .arbiter : .other
    }

    private static func endpoint(_ name: BSON) -> Endpoint? {
        name.string.flatMap { Endpoint(hostAndPort: $0.lowercased()[...], port: 27017) }
    }

    /// Whether it accepts commands on data.
    var holdsData: Bool { [.standalone, .mongos, .primary, .secondary].contains(kind) }
    /// Whether writes to it can be retried safely.
    var retriesWrites: Bool { hasSessions && (kind == .primary || kind == .mongos) }
}
