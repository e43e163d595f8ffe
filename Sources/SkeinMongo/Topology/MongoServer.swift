// What is known of one server, from its last answer to `hello`
// (https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring/server-discovery-and-monitoring.md).

import SkeinCore
import SkeinTransport

/// A server as it was when it was asked last.
struct MongoServer: Sendable, Hashable {
    enum Kind: String, Sendable {
        case unknown, standalone, mongos, primary, secondary, arbiter
        /// A member of a replica set that cannot be read from.
        case other
        /// One that has not been made a member yet.
        case ghost
    }

    let address: Endpoint
    var kind = Kind.unknown
    var setName: String?
    /// The members of its replica set, as it knows them.
    var members: Set<Endpoint> = []
    /// By which name it is known in its set.
    var me: Endpoint?
    /// Who is the primary, as it knows it.
    var primary: Endpoint?
    var setVersion: Int?
    var electionID: ObjectID?
    var tags: [String: String] = [:]
    /// The last write that it knows of, in milliseconds.
    var lastWrite: Int64?
    /// When that was said, in milliseconds.
    var heardAt: Int64 = 0
    var wireVersion = 0
    var hasSessions = false
    var maximumBatch = 100_000
    var maximumMessage = 48_000_000
    /// Counts the changes of its state, within one process of the server.
    var topologyProcess: ObjectID?
    var topologyCounter: Int64 = -1
    /// How long it takes to ask it, a moving mean.
    var roundTrip: Duration = .zero
    /// Why it is not known.
    var problem: String?

    init(_ address: Endpoint, problem: String? = nil) {
        self.address = address
        self.problem = problem
    }

    /// - Parameters:
    ///   - hello: its answer.
    ///   - roundTrip: how long it took.
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

    /// Whether it takes commands.
    var holdsData: Bool { [.standalone, .mongos, .primary, .secondary].contains(kind) }
    /// Whether writes to it can be repeated without being done twice.
    var retriesWrites: Bool { hasSessions && (kind == .primary || kind == .mongos) }
}
