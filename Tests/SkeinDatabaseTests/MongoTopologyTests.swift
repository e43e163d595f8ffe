import SkeinCore
import SkeinTransport
import Testing

@testable import SkeinMongo

/// The responses of servers, and the resulting view of the topology.
@Suite("MongoDB topology")
struct MongoTopologyTests {
    private static func at(_ name: String) -> Endpoint { .host(name, port: 27017) }

    private static func member(
        _ name: String, _ role: String, set: String = "rs", hosts: [String] = ["a", "b", "c"], version: Int = 1,
        election: Int? = nil, adding: Document = [:], roundTrip: Duration = .milliseconds(1)
    ) -> MongoServer {
        var hello: Document = [
            "ok": 1, "setName": .string(set), "hosts": .array(hosts.map { .string($0) }), "setVersion": BSON(version),
            "maxWireVersion": 17, "logicalSessionTimeoutMinutes": 30,
        ]
        switch role {
        case "primary": hello.append("isWritablePrimary", true)
        case "secondary": hello.append("secondary", true)
        case "arbiter": hello.append("arbiterOnly", true)
        default: break
        }
        if let election { hello.append("electionId", .objectID(ObjectID(high: 0, low: UInt32(election)))) }
        for (key, value) in adding { hello.append(key, value) }
        return MongoServer(at(name), hello: hello, roundTrip: roundTrip, now: 1_000_000)
    }

    private static func topology(_ uri: String, _ answers: [MongoServer] = []) throws -> MongoTopology {
        var topology = MongoTopology(try MongoConfiguration(uri))
        for answer in answers { topology.update(answer) }
        return topology
    }

    private static func names(_ topology: MongoTopology, _ selector: MongoTopology.Selector) -> [String] {
        topology.candidates(for: selector, threshold: .milliseconds(15), heartbeat: .seconds(10)).map(\.address.host)
            .sorted()
    }

    @Test("a standalone server is used directly")
    func standalone() throws {
        var topology = try Self.topology("a")
        #expect(Self.names(topology, .write).isEmpty && topology.kind == .unknown)
        topology.update(MongoServer(Self.at("a"), hello: ["ok": 1, "maxWireVersion": 17], roundTrip: .zero, now: 0))
        #expect(topology.kind == .single && Self.names(topology, .write) == ["a"])
    }

    @Test("a set is found through any member, and its primary as well")
    func discovery() throws {
        var topology = try Self.topology("b", [Self.member("b", "secondary")])
        #expect(topology.kind == .replicaSetWithoutPrimary && topology.servers.count == 3)
        #expect(Self.names(topology, .write).isEmpty)
        topology.update(Self.member("a", "primary"))
        topology.update(Self.member("c", "secondary"))
        #expect(topology.kind == .replicaSetWithPrimary && Self.names(topology, .write) == ["a"])
        #expect(Self.names(topology, .read(.secondary)) == ["b", "c"])
        #expect(Self.names(topology, .read(.nearest)) == ["a", "b", "c"])
        // The primary steps down, and another one is elected.
        topology.update(MongoServer(Self.at("a"), problem: "it said: not primary"))
        #expect(
            topology.kind == .replicaSetWithoutPrimary && Self.names(topology, .read(.primaryPreferred)) == ["b", "c"])
        topology.update(Self.member("b", "primary", election: 2))
        #expect(Self.names(topology, .write) == ["b"])
    }

    @Test("members not listed by the primary are removed, listed ones are added")
    func membership() throws {
        let topology = try Self.topology("a,x/?replicaSet=rs", [Self.member("a", "primary", hosts: ["a", "d"])])
        #expect(Set(topology.servers.keys.map(\.host)) == ["a", "d"])
    }

    @Test(
        "strangers are dropped",
        arguments: [
            member("b", "secondary", set: "other"),
            MongoServer(at("b"), hello: ["ok": 1, "msg": "isdbgrid"], roundTrip: .zero, now: 0),
            MongoServer(at("b"), hello: ["ok": 1], roundTrip: .zero, now: 0),
            member("b", "secondary", adding: ["me": "elsewhere:27017"]),
        ])
    func strangers(answer: MongoServer) throws {
        let topology = try Self.topology(
            "a,b/?replicaSet=rs", [Self.member("a", "primary", hosts: ["a", "b"]), answer])
        #expect(topology.servers.keys.map(\.host) == ["a"] && Self.names(topology, .write) == ["a"])
    }

    @Test("a primary of an older election is ignored, and of two the newer one counts")
    func elections() throws {
        var topology = try Self.topology("a,b/?replicaSet=rs", [Self.member("a", "primary", election: 5)])
        topology.update(Self.member("b", "primary", election: 4))
        #expect(Self.names(topology, .write) == ["a"])
        topology.update(Self.member("b", "primary", election: 6))
        #expect(Self.names(topology, .write) == ["b"])
        topology.update(Self.member("a", "primary", election: 5))
        #expect(Self.names(topology, .write) == ["b"])
    }

    @Test("outdated news is ignored")
    func stale() throws {
        let process = ObjectID()
        func version(_ counter: Int) -> Document {
            ["topologyVersion": ["processId": .objectID(process), "counter": .int64(Int64(counter))]]
        }
        var topology = try Self.topology(
            "a/?replicaSet=rs", [Self.member("a", "primary", hosts: ["a"], adding: version(3))])
        topology.update(Self.member("a", "secondary", hosts: ["a"], adding: version(2)))
        #expect(Self.names(topology, .write) == ["a"])
        var late = MongoServer(Self.at("a"), problem: "it said: not primary")
        (late.topologyProcess, late.topologyCounter) = (process, 3)
        topology.update(late)
        #expect(Self.names(topology, .write) == ["a"])
        late.topologyCounter = 4
        topology.update(late)
        #expect(Self.names(topology, .write).isEmpty)
    }

    @Test("all routers are used, and other servers are not")
    func sharded() throws {
        func router(_ name: String, _ time: Duration) -> MongoServer {
            MongoServer(Self.at(name), hello: ["ok": 1, "msg": "isdbgrid"], roundTrip: time, now: 0)
        }
        let topology = try Self.topology(
            "a,b,c", [router("a", .milliseconds(1)), router("b", .milliseconds(40)), Self.member("c", "primary")])
        #expect(topology.kind == .sharded && topology.servers.count == 2)
        #expect(Self.names(topology, .write) == ["a"])  // b is too far away
    }

    @Test("tags, latency and staleness select the server for reads")
    func preferences() throws {
        func write(_ milliseconds: Int64) -> Document {
            ["lastWrite": ["lastWriteDate": .date(BSONDate(milliseconds: milliseconds))]]
        }
        var old = write(700_000)
        old.append("tags", ["dc": "ny"])
        var fresh = write(995_000)
        fresh.append("tags", ["dc": "sf"])
        let topology = try Self.topology(
            "a/?replicaSet=rs",
            [
                Self.member("a", "primary", adding: write(999_000)), Self.member("b", "secondary", adding: old),
                Self.member("c", "secondary", adding: fresh, roundTrip: .milliseconds(10)),
            ])
        func read(_ mode: MongoReadPreference.Mode, _ tags: [[String: String]] = [], _ age: Duration? = nil) -> [String]
        {
            Self.names(topology, .read(MongoReadPreference(mode, tagSets: tags, maximumStaleness: age)))
        }
        #expect(read(.secondary, [["dc": "sf"]]) == ["c"])
        #expect(read(.secondary, [["dc": "nowhere"], [:]]) == ["b", "c"])
        #expect(read(.secondary, [["dc": "nowhere"]]).isEmpty)
        #expect(read(.secondaryPreferred, [["dc": "nowhere"]]) == ["a"])
        #expect(read(.secondary, [], .seconds(90)) == ["c"])
        #expect(read(.nearest, [], .seconds(90)) == ["a", "c"])
        #expect(topology.explanation.contains("a:27017 is primary"))
    }
}
