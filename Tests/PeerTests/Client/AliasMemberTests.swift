import Foundation
import GRPCCore
import NIOCore
import PeerSupport
import Skein
import SkeinAWS
import SkeinGRPC
import SkeinHTTP
import SkeinMongo
import SkeinPostgres
import SkeinRedis
import SkeinSQLite
import SkeinTransport
import SkeinWork
import Testing

/// The members of aliases beside HTTP's: found by DNS, checked by their own protocols, asked all at once.
@Suite("Members of aliases", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct AliasMemberTests {
    /// gunicorn at one loopback address, with an app that reports its address and the Host field.
    private static func server(_ address: String, _ port: Int) async throws -> PeerProcess {
        let folder = TestFolder.path("members")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let app = """
            import os, time
            def application(environ, start_response):
                if environ["PATH_INFO"] == "/slow/" + os.environ["MEMBER"]: time.sleep(5)
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [(os.environ["MEMBER"] + " " + environ["HTTP_HOST"]).encode()]
            """
        try app.write(toFile: "\(folder)/where.py", atomically: true, encoding: .utf8)
        let process = try PeerProcess(
            Peers.python("gunicorn"),
            ["-b", "\(address):\(port)", "-k", "gthread", "--threads", "8", "--chdir", folder, "where"],
            environment: ["MEMBER": address], log: TestFolder.path("members.log"))
        for _ in 0..<500 {
            if process.output.contains("Booting worker") { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        return process
    }

    /// dnsmasq with a file of hosts that can be changed.
    private static func dns(_ hosts: String, _ options: [String]) async throws -> (PeerProcess, port: Int) {
        let port = try await Ports.free()
        let process = try PeerProcess(
            "dnsmasq",
            [
                "--no-daemon", "--port=\(port)", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv",
                "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--user=root", "--local=/test/",
                "--addn-hosts=\(hosts)", "--local-ttl=1",
            ] + options, log: TestFolder.path("members-dns.log"))
        for _ in 0..<500 {
            if process.output.contains("started") { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        return (process, port)
    }

    private static func client(dns port: Int) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.http.dns.servers = ["127.0.0.1:\(port)"]
        configuration.http.dns.searchDomains = []
        configuration.http.dns.hostsFile = nil
        return SkeinClient(configuration)
    }

    /// Who answers some requests, and the Host fields they were sent.
    private func answers(_ client: SkeinClient, _ count: Int = 30) async throws -> (
        members: Set<String>, hosts: Set<String>
    ) {
        var members: Set<String> = [], hosts: Set<String> = []
        for _ in 0..<count {
            let words = try await client.get("@search/x").text().split(separator: " ").map(String.init)
            members.insert(words[0])
            hosts.insert(words[1])
        }
        return (members, hosts)
    }

    private func until(_ isSo: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(20)
        while try await !isSo() {
            try #require(ContinuousClock.now < end)
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    @Test("each address of a host is a member, by its name, as DNS changes; what was learned stays")
    func addresses() async throws {
        let port = try await Ports.free()
        let servers = [try await Self.server("127.0.0.2", port), try await Self.server("127.0.0.3", port)]
        let hosts = try TestFolder.write("127.0.0.2 search.test\n", as: "hosts")
        let (dns, dnsPort) = try await Self.dns(hosts, [])
        let client = Self.client(dns: dnsPort)
        try client.alias("@search", .http("dns+search.test:\(port) 2"))
        // At once, before DNS has answered for the alias.
        #expect(try await answers(client, 1).members == ["127.0.0.2"])
        try await until { try client.members(of: "@search").map(\.url) == ["http://127.0.0.2:\(port)"] }
        let first = try await answers(client)
        #expect(first.members == ["127.0.0.2"] && first.hosts == ["search.test:\(port)"], "\(first)")
        try "127.0.0.2 search.test\n127.0.0.3 search.test\n".write(toFile: hosts, atomically: false, encoding: .utf8)
        dns.send(SIGHUP)
        try await until { try client.members(of: "@search").count == 2 }
        let members = try client.members(of: "@search")
        #expect(members[0].requests >= 30 && members.map(\.weight) == [2, 2], "\(members)")
        try await until { try await answers(client).members == ["127.0.0.2", "127.0.0.3"] }
        try "127.0.0.3 search.test\n".write(toFile: hosts, atomically: false, encoding: .utf8)
        dns.send(SIGHUP)
        try await until { try client.members(of: "@search").count == 1 }
        #expect(try await answers(client).members == ["127.0.0.3"])
        // Without an answer the members stay.
        await dns.stop()
        try await Task.sleep(for: .seconds(2))
        #expect(try await answers(client).members == ["127.0.0.3"])
        await client.shutdown()
        for server in servers { await server.stop() }
    }

    @Test("the instances of a service (SRV) are members by their weights; the first request waits for DNS")
    func services() async throws {
        let port = try await Ports.free()
        let servers = [try await Self.server("127.0.0.2", port), try await Self.server("127.0.0.3", port)]
        let hosts = try TestFolder.write(
            "127.0.0.2 one.test\n127.0.0.3 two.test\n127.0.0.4 spare.test\n", as: "hosts")
        let (dns, dnsPort) = try await Self.dns(
            hosts,
            [
                "--srv-host=_http._tcp.search.test,one.test,\(port),10,60",
                "--srv-host=_http._tcp.search.test,two.test,\(port),10,20",
                "--srv-host=_http._tcp.search.test,spare.test,\(port),20,100",
                // No URL has such a host.
                "--srv-host=_http._tcp.odd.test,one.test,\(port),10,1",
                "--srv-host=_http._tcp.odd.test,node.999,80,10,1",
            ])
        let client = Self.client(dns: dnsPort)
        var alias = try Alias.http("srv+http://_http._tcp.search.test")
        alias.balancing.policy = .roundRobin
        try client.alias("@search", alias)
        let answers = try await answers(client, 40)
        #expect(answers.hosts == ["one.test:\(port)", "two.test:\(port)"], "\(answers)")
        let members = try client.members(of: "@search")
        #expect(members.map(\.weight) == [60, 20] && members.map(\.requests) == [30, 10], "\(members)")
        try client.alias("@odd", .http("srv+http://_http._tcp.odd.test"))
        #expect(try await client.get("@odd/x").text() == "127.0.0.2 one.test:\(port)")
        try client.alias("@nothing", .http("srv+http://_http._tcp.nothing.test"))
        #expect(throws: SkeinError.self) { try client.all("@nothing") }
        await client.shutdown()
        await dns.stop()
        for server in servers { await server.stop() }
    }

    @Test("a database that cannot be connected to costs no statement")
    func failOver() async throws {
        let client = SkeinClient()
        let closed = try await Ports.free()
        let postgres = try await PostgresPeer.shared.get().url()
        try client.alias("@pg", .postgres("postgres://weaver@127.0.0.1:\(closed)/weaver", postgres))
        let redis = try await RedisPeer.shared.get()
        try client.alias("@store", .redis("redis://127.0.0.1:\(closed)", redis.url("/6")))
        try client.alias("@files", .sqlite("/nowhere/at/all.db", TestFolder.path("there.db")))
        for _ in 0..<10 {
            #expect(try await client.postgres("@pg").execute("SELECT 1").one(Int.self) == 1)
            try await client.redis("@store").incr("alive").commit()
            try await client.sqlite("@files").execute("SELECT 1").commit()
        }
        #expect(try client.members(of: "@pg").map(\.isAvailable) == [false, true])
        // Registered again with other settings, it still does.
        var again = try Alias.postgres("postgres://weaver@127.0.0.1:\(closed)/weaver", postgres)
        again.balancing.outliers.ejection = .milliseconds(1)
        try client.alias("@pg", again)
        for _ in 0..<4 { #expect(try await client.postgres("@pg").execute("SELECT 1").one(Int.self) == 1) }
        try client.alias("@gone", .postgres("127.0.0.1:\(closed)/a", "127.0.0.1:\(closed)/b"))
        #expect(await (try client.postgres("@gone")).execute("SELECT 1").dispatch().statusCode == 714)
        await client.shutdown()
    }

    @Test("the same for every member, in every protocol")
    func everyMember() async throws {
        let client = SkeinClient()
        let closed = try await Ports.free()
        let postgres = try await PostgresPeer.shared.get().url()
        try client.alias("@pg", .postgres(postgres, "postgres://weaver@127.0.0.1:\(closed)/weaver", postgres))
        let rows = try client.all("@pg").postgres { $0.execute("SELECT 7") }
        #expect(await rows.dispatch().map(\.statusCode) == [200, 714, 200])
        #expect(try await client.all("@pg").postgres { $0.execute("SELECT 7") }.fetch(quorum: 2).count == 2)
        await #expect(throws: SkeinError.self) {
            try await client.all("@pg").postgres { $0.execute("SELECT 7") }.fetch(quorum: 3)
        }
        let redis = try await RedisPeer.shared.get()
        try client.alias("@store", .redis(redis.url("/7"), redis.url("/8")))
        try await client.all("@store").redis { $0.set("everywhere", 1) }.commit()
        #expect(try await client.redis(redis.url("/8")).get("everywhere").fetch(Int.self) == 1)
        let mongo = try await MongoPeer.shared.get()
        try client.alias("@documents", .mongo(mongo.uri("every1"), mongo.uri("every2")))
        try await client.all("@documents").mongo { $0["people"].insertOne(["name": "Ada"]) }.commit()
        #expect(try await client.mongo(mongo.uri("every2"))["people"].count().fetch(Int.self) == 1)
        try client.alias("@files", .sqlite(TestFolder.path("a.db"), TestFolder.path("b.db")))
        try await client.all("@files").sqlite { $0.execute("CREATE TABLE t (x)") }.commit()
        let script = """
            import sys
            from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCServer
            from xmlrpc.server import SimpleXMLRPCServer
            kind = SimpleJSONRPCServer if sys.argv[1] == "json" else SimpleXMLRPCServer
            server = kind(("127.0.0.1", 0), logRequests=False)
            server.register_function(lambda a, b: a + b, "add")
            print("listening", server.server_address[1], flush=True)
            server.serve_forever()
            """
        for kind in ["json", "xml"] {
            let calls = try PeerProcess(
                Peers.python(), ["-c", script, kind], log: TestFolder.path("every-\(kind).log"))
            let port = try await calls.untilPrinted("listening ")
            try client.alias("@calls", .http("127.0.0.1:\(port)", "127.0.0.1:\(port) 2"))
            let sums: [Int] =
                if kind == "json" {
                    try await client.all("@calls").jsonrpc("/") { $0.add(2, 3) }.fetch(Int.self)
                } else {
                    try await client.all("@calls").xmlrpc("/RPC2") { $0.add(2, 3) }.fetch(Int.self)
                }
            #expect(sums == [5, 5])
            #expect(try client.members(of: "@calls").map(\.requests) == [1, 1])
            await calls.stop()
        }
        #expect(throws: SkeinError.self) { try client.all("@pg").redis { $0.get("x") } }
        await client.shutdown()
    }

    @Test("skein sql and skein redis with --all print what every member answers")
    func commands() async throws {
        let redis = try await RedisPeer.shared.get()
        try await redis.command("-n", "9", "SET", "where", "nine")
        try await redis.command("-n", "10", "SET", "where", "ten")
        let alias = "@store=\(redis.url("/9")), \(redis.url("/10"))"
        let replies = try await runToEnd(
            CommandTests.skein, ["redis", "--all", "--alias", alias, "@store", "GET", "where"])
        #expect(replies.output == "nine\nten\n", "\(replies)")
        let postgres = try await PostgresPeer.shared.get().url()
        let rows = try await runToEnd(
            CommandTests.skein,
            ["sql", "--all", "--raw", "--alias", "@pg=\(postgres), \(postgres) 2", "@pg", "SELECT 7 AS n"])
        #expect(rows.code == 0 && rows.output.filter { $0 == "7" }.count == 2, "\(rows)")
        let wrong = try await runToEnd(CommandTests.skein, ["sql", "--all", postgres, "SELECT 1"])
        #expect(wrong.code == 2 && wrong.errors.contains("alias"))
    }

    @Test("a quorum does not wait for the slow; a group without one has partial results at its time limit")
    func quorum() async throws {
        let port = try await Ports.free()
        let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        var servers: [PeerProcess] = []
        for address in addresses { servers.append(try await Self.server(address, port)) }
        let client = SkeinClient()
        try client.alias("@search", Alias(.http, addresses.map { "\($0):\(port)" }))
        let begun = ContinuousClock.now
        let some = try await client.all("@search").get("/slow/127.0.0.3").dispatch(quorum: 2)
        #expect(some.map { $0?.statusCode } == [200, nil, 200])
        #expect(ContinuousClock.now - begun < .seconds(3))
        let partial = try await client.all("@search").get("/slow/127.0.0.4").dispatch(timeout: .seconds(1))
        #expect(partial.map(\.statusCode) == [200, 200, 702])
        await client.shutdown()
        for server in servers { await server.stop(SIGKILL) }
    }

    @Test("SQS and DynamoDB at an alias: signed for the member, another one when it is not there")
    func amazon() async throws {
        let aws = try await AWSPeer.shared.get()
        let client = SkeinClient()
        try client.alias("@aws", .http("127.0.0.1:\(try await Ports.free())", aws.endpoint))
        let configuration = AWSConfiguration(
            region: "eu-west-1", endpoint: "@aws", credentials: AWSCredentials(accessKey: "AKTEST", secretKey: "secret")
        )
        let queue = try await client.sqs(configuration).createQueue("aliased")
        for number in 0..<5 { try await queue.send("job \(number)").commit() }
        #expect(try await queue.messages(maximum: 10, wait: .seconds(1)).count == 5)
        var direct = configuration
        direct.endpoint = aws.endpoint
        let tables = try await client.dynamodb(configuration).tableNames()
        #expect(try await client.dynamodb(direct).tableNames() == tables)
        #expect(try client.members(of: "@aws")[1].requests >= 6)
        await client.shutdown()
    }

    @Test("checks by SELECT 1, PING and a connection take out a member that hangs, and bring it back")
    func checks() async throws {
        let client = SkeinClient()
        let (one, two) = (try await RedisPeer(), try await RedisPeer())
        var store = try Alias.redis(one.url(), two.url())
        store.healthCheck = HealthCheck(interval: .milliseconds(100), timeout: .milliseconds(300))
        try client.alias("@store", store)
        try await client.redis("@store").incr("n").commit()
        one.send(SIGSTOP)
        try await until { try client.members(of: "@store").map(\.isAvailable) == [false, true] }
        for _ in 0..<10 { try await client.redis("@store").incr("n").commit(timeout: .seconds(2)) }
        // A check that ends after the checks were given up does not count.
        store.healthCheck = nil
        try client.alias("@store", store)
        try await Task.sleep(for: .milliseconds(500))
        #expect(try client.members(of: "@store").allSatisfy(\.isAvailable))
        store.healthCheck = HealthCheck(interval: .milliseconds(100), timeout: .milliseconds(300))
        try client.alias("@store", store)
        try await until { try client.members(of: "@store").map(\.isAvailable) == [false, true] }
        one.send(SIGCONT)
        try await until { try client.members(of: "@store").allSatisfy(\.isAvailable) }
        let postgres = try await PostgresPeer.shared.get().url()
        var database = try Alias.postgres(postgres, "postgres://weaver@127.0.0.1:\(try await Ports.free())/weaver")
        database.healthCheck = HealthCheck(interval: .milliseconds(100))
        try client.alias("@pg", database)
        try await client.postgres("@pg").execute("SELECT 1").commit()
        try await until { try client.members(of: "@pg").map(\.isAvailable) == [true, false] }
        let nginx = try await Peers.shared.nginxPort()
        var pages = try Alias.http("127.0.0.1:\(nginx)", "127.0.0.1:\(try await Ports.free())")
        pages.healthCheck = HealthCheck(.connect, interval: .milliseconds(100))
        try client.alias("@pages", pages)
        try await until { try client.members(of: "@pages").map(\.isAvailable) == [true, false] }
        await client.shutdown()
        await one.crash()
        await two.crash()
    }

    @Test("grpcio's health service decides over its member")
    func grpcHealth() async throws {
        let script = """
            import sys, grpc
            from concurrent import futures
            from grpc_health.v1 import health, health_pb2, health_pb2_grpc
            server = grpc.server(futures.ThreadPoolExecutor(4))
            servicer = health.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
            states = health_pb2.HealthCheckResponse
            servicer.set("loom", states.SERVING)
            print("listening", server.add_insecure_port("127.0.0.1:0"), flush=True)
            server.start()
            for line in sys.stdin:
                servicer.set("loom", states.SERVING if line.strip() == "up" else states.NOT_SERVING)
            """
        let client = SkeinClient()
        let servers = (client.subprocess(Peers.python(), "-c", script), client.subprocess(Peers.python(), "-c", script))
        func port(_ server: Subprocess) async throws -> String {
            var text = ""
            for try await piece in server {
                text += String(buffer: piece)
                if text.hasSuffix("\n") { return text.dropFirst("listening ".count).trimmingCharacters(in: .newlines) }
            }
            throw PeerError("the server has ended")
        }
        var alias = try Alias.http("127.0.0.1:\(try await port(servers.0))", "127.0.0.1:\(try await port(servers.1))")
        alias.healthCheck = HealthCheck(.grpc(service: "loom"), interval: .milliseconds(100))
        try client.alias("@looms", alias)
        try await servers.0.write(Array("down\n".utf8))
        try await until { try client.members(of: "@looms").map(\.isAvailable) == [false, true] }
        try await servers.0.write(Array("up\n".utf8))
        try await until { try client.members(of: "@looms").allSatisfy(\.isAvailable) }
        // A service that the server does not know is not healthy; the last member is used all the same.
        alias.healthCheck = HealthCheck(.grpc(service: "nothing"), interval: .milliseconds(100))
        try client.alias("@looms", alias)
        try await until { try client.members(of: "@looms").allSatisfy { !$0.isAvailable } }
        servers.0.cancel()
        servers.1.cancel()
        await client.shutdown()
    }
}
