import Foundation
import NIOCore
import NIOPosix
import PeerSupport
import Skein
import SkeinEngine
import SkeinTransport
import Synchronization
import Testing

/// The resolver against dnsmasq, and against a server that truncates, sends false data, stalls and refuses.
@Suite("DNS", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct DNSPeerTests {
    /// A separate event loop, because this test measures time.
    private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).any()

    private static let dnsmasq = Task {
        let port = try await Ports.free()
        let log = TestFolder.path("dnsmasq.log")
        let many = (0..<60).map { "--host-record=many.test,192.0.2.\($0 + 1)" }
        _ = try PeerProcess(
            "dnsmasq",
            [
                "--no-daemon", "--port=\(port)", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv",
                "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--user=root", "--log-queries", "--auth-ttl=60",
                "--local=/test/",
                "--host-record=one.test,127.0.0.1", "--host-record=both.test,127.0.0.1,::1",
                "--cname=alias.test,one.test",
                "--cname=far.test,alias.test", "--host-record=inside.search.test,192.0.2.5",
                "--address=/wild.test/192.0.2.6",
                "--host-record=xn--bcher-kva.test,192.0.2.8", "--host-record=dead.test,127.0.0.1,100::1",
                "--dns-forward-max=5000",
            ] + many, log: log)
        for _ in 0..<200 {
            let probe = try? await DNSPeerTests.ask("one.test", port)
            if probe?.isEmpty == false { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        return (port: port, log: log)
    }

    private static func configuration(_ servers: [String]) -> DNSConfiguration {
        var configuration = DNSConfiguration()
        configuration.servers = servers
        configuration.searchDomains = []
        configuration.timeout = .seconds(1)
        configuration.attempts = 2
        configuration.hostsFile = nil
        return configuration
    }

    private static func ask(_ name: String, _ port: Int) async throws -> [String] {
        let resolver = DNSResolver(configuration(["127.0.0.1:\(port)"]), eventLoop: Self.loop)
        return try await addresses(resolver, name)
    }

    private static func addresses(
        _ resolver: DNSResolver, _ name: String, _ type: DNSRecordType = .a
    ) async throws -> [String] {
        try await resolver.resolve(name, type, on: Self.loop).get().compactMap { IPAddress.text($0) }
            .sorted()
    }

    private func resolver(_ servers: [String], _ change: (inout DNSConfiguration) -> Void = { _ in }) -> DNSResolver {
        var configuration = Self.configuration(servers)
        change(&configuration)
        return DNSResolver(configuration, eventLoop: Self.loop)
    }

    @Test("addresses, aliases, names in any case, internationalised names, search domains")
    func answers() async throws {
        let server = "127.0.0.1:\(try await Self.dnsmasq.value.port)"
        let resolver = resolver([server]) { $0.searchDomains = ["search.test"] }
        for (name, expected) in [
            ("one.test", ["127.0.0.1"]), ("ONE.Test.", ["127.0.0.1"]), ("alias.test", ["127.0.0.1"]),
            ("far.test", ["127.0.0.1"]),
            ("inside", ["192.0.2.5"]), ("any.wild.test", ["192.0.2.6"]), ("bücher.test", ["192.0.2.8"]),
            ("none.test", []),
            ("localhost", ["127.0.0.1"]),
        ] {
            #expect(try await Self.addresses(resolver, name) == expected, "\(name)")
        }
        #expect(try await Self.addresses(resolver, "both.test", .aaaa) == ["::1"])
        #expect(try await Self.addresses(resolver, "one.test", .aaaa).isEmpty)
        await resolver.close()
    }

    @Test("a truncated response is repeated over TCP")
    func truncated() async throws {
        let (port, _) = try await Self.dnsmasq.value
        let resolver = resolver(["127.0.0.1:\(port)"])
        #expect(try await Self.addresses(resolver, "many.test").count == 60)
        // Sixty addresses fit into the 1232 bytes of EDNS; if the server marks the response as truncated, the client
        // still repeats the query over TCP.
        let cut = try await ScriptedDNSServer.start { question, _ in
            [ScriptedDNSServer.answer(question, address: [192, 0, 2, 1], flags: 0x8380)]
        }
        let failing = self.resolver([cut.address, "127.0.0.1:\(port)"])
        #expect(try await Self.addresses(failing, "one.test") == ["127.0.0.1"])
        await cut.stop()
        await resolver.close()
        await failing.close()
    }

    @Test("one query for a name, for any number of callers; none while it is cached")
    func oneQuestion() async throws {
        let server = try await ScriptedDNSServer.start { question, _ in
            [ScriptedDNSServer.answer(question, address: [127, 0, 0, 1])]
        }
        let resolver = resolver([server.address])
        let futures = (0..<1000).map { _ in resolver.resolve("a.test", .a, on: Self.loop) }
        for future in futures { #expect(try await future.get() == [[127, 0, 0, 1]]) }
        #expect(try await Self.addresses(resolver, "A.test") == ["127.0.0.1"])
        #expect(server.questions == 1)
        await server.stop()
        await resolver.close()
    }

    @Test("responses with a wrong ID or question, and malformed ones, are dropped")
    func lies() async throws {
        let server = try await ScriptedDNSServer.start { question, _ in
            var wrongNumber = ScriptedDNSServer.answer(question, address: [6, 6, 6, 6])
            wrongNumber.setInteger((question.getInteger(at: 0, as: UInt16.self) ?? 0) &+ 1, at: 0)
            var wrongName = ScriptedDNSServer.answer(question, address: [6, 6, 6, 6])
            wrongName.setInteger(UInt8(ascii: "z"), at: 13)
            return [
                wrongNumber, wrongName, ByteBuffer(string: "nonsense"), question,
                ScriptedDNSServer.answer(question, address: [127, 0, 0, 1]),
            ]
        }
        let resolver = resolver([server.address])
        #expect(try await Self.addresses(resolver, "a.test") == ["127.0.0.1"])
        await server.stop()
        await resolver.close()
    }

    @Test("a dead first server costs one timeout; one that refuses or fails costs none")
    func deadServer() async throws {
        let silent = try await ScriptedDNSServer.start { _, _ in [] }
        let failing = try await ScriptedDNSServer.start { question, _ in
            [ScriptedDNSServer.answer(question, address: [], flags: 0x8182)]
        }
        let good = "127.0.0.1:\(try await Self.dnsmasq.value.port)"
        let resolver = resolver([silent.address, failing.address, good])
        for name in ["one.test", "both.test", "alias.test", "any.wild.test"] {
            #expect(try await Self.addresses(resolver, name).count == 1)
        }
        #expect(silent.questions == 1)
        await silent.stop()
        await failing.stop()
        await resolver.close()
    }

    @Test("when no server responds, it is code 704 with the servers' names")
    func nobody() async throws {
        let resolver = resolver(["127.0.0.1:9", "[::1]:9"])
        let error = await #expect(throws: SkeinError.self) { try await Self.addresses(resolver, "a.test") }
        #expect(error?.code == .dnsNotFound)
        #expect(error?.message.contains("127.0.0.1:9") == true)
        var configuration = SkeinClient.Configuration()
        configuration.http.dns = Self.configuration(["127.0.0.1:\(try await Self.dnsmasq.value.port)"])
        let skein = SkeinClient(configuration)
        #expect(await skein.get("http://none.test/").dispatch().statusCode == 704)
        #expect(await skein.get("http://a..b/").dispatch().statusCode == 704)
        await resolver.close()
    }

    @Test("a session resolves by itself; a dead IPv6 address costs only the connection attempt delay")
    func session() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.http.dns = Self.configuration(["127.0.0.1:\(try await Self.dnsmasq.value.port)"])
        configuration.http.dns.timeout = .seconds(2)
        configuration.threads = 1  // a loop of its own: time counts here
        let skein = SkeinClient(configuration)
        let port = try await Peers.shared.nginxPort()
        let start = NIODeadline.now()
        for name in ["one.test", "far.test", "both.test", "dead.test"] {
            let response = await skein.get("http://\(name):\(port)/hello").dispatch()
            #expect(response.statusCode == 200, "\(response.reportLine)")
        }
        #expect(NIODeadline.now() - start < .seconds(3))
        await skein.shutdown()
        configuration.threads = nil
        configuration.http.dns.hosts = ["made.up": ["127.0.0.1"]]
        #expect(await SkeinClient(configuration).get("http://made.up:\(port)/hello").dispatch().statusCode == 200)
        configuration.http.dns.usesSystemResolver = true
        #expect(await SkeinClient(configuration).get("http://localhost:\(port)/hello").dispatch().statusCode == 200)
    }

    @Test("a name is resolved while its request waits for a slot; the source address is used")
    func prefetch() async throws {
        let names = try await ScriptedDNSServer.start { question, _ in
            [ScriptedDNSServer.answer(question, address: [127, 0, 0, 1])]
        }
        let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
        let (answers, goOn) = AsyncStream.makeStream(of: Void.self)
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)) { request in
            if request.path == "/first" {
                arrived.finish()
                for await _ in answers {}
            }
            return .text(request.remoteAddress?.ipAddress ?? "nobody")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        var configuration = SkeinClient.Configuration()
        configuration.concurrency = 1
        configuration.http.dns = Self.configuration([names.address])
        configuration.http.sourceAddress = "127.0.0.2"
        let skein = SkeinClient(configuration)
        let first = skein.get("http://127.0.0.1:\(port)/first")
        for await _ in arrivals {}
        let second = skein.get("http://later.test:\(port)/second")
        while names.questions < 2 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(!first.isOver && !second.isOver)
        goOn.finish()
        for corequest in [first, second] { #expect(try await corequest.dispatch().text() == "127.0.0.2") }
        #expect(names.questions == 2)
        await server.stop()
        await names.stop()
    }

    @Test("many names, one query each, over few sockets")
    func manyNames() async throws {
        let server = "127.0.0.1:\(try await Self.dnsmasq.value.port)"
        let resolver = resolver([server]) { $0.timeout = .seconds(5) }
        let futures = (0..<3000).map { resolver.resolve("n\($0).wild.test", .a, on: Self.loop) }
        for future in futures { #expect(try await future.get() == [[192, 0, 2, 6]]) }
        let (questions, sockets) = await resolver.statistics
        #expect(questions == 3000)
        #expect(sockets <= 64)
        await resolver.close()
    }

    @Test(
        "one kind of address counts when the server fails for the other one, in a session and in skein resolve",
        arguments: [UInt16(0x8182), 0x8184, 0x8185, 0], [true, false])
    func partly(flags: UInt16, hasIPv4: Bool) async throws {
        // SERVFAIL, NOTIMP, REFUSED, and no response for the other record type.
        let names = try await ScriptedDNSServer.start { question, _ in
            let type = question.getInteger(at: question.writerIndex - 11 - 4, as: UInt16.self)
            if (type == 1) == hasIPv4 {
                let address: [UInt8] = hasIPv4 ? [127, 0, 0, 1] : Array(repeating: 0, count: 15) + [1]
                return [ScriptedDNSServer.answer(question, address: address)]
            }
            return flags == 0 ? [] : [ScriptedDNSServer.answer(question, address: [], flags: flags)]
        }
        let server = HTTPServer(
            ServerConfiguration(addresses: [hasIPv4 ? .tcp("127.0.0.1", port: 0) : .tcp("::1", port: 0)], threads: 1)
        ) { _ in .text("here") }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        var configuration = SkeinClient.Configuration()
        configuration.http.dns = Self.configuration([names.address])
        let skein = SkeinClient(configuration)
        #expect(try await skein.get("http://partly.test:\(port)/").dispatch().text() == "here")
        let found = try await runToEnd(
            CommandTests.skein, ["resolve", "partly.test", "--timeout", "0.2", "--server", names.address])
        #expect(found.code == 0 && found.output == "partly.test \(hasIPv4 ? "127.0.0.1" : "::1")\n", "\(found.output)")
        await skein.shutdown()
        await server.stop()
        await names.stop()
    }

    @Test("a response is cached for its TTL, or for the minimum that is set")
    func kept() async throws {
        for (seconds, minimum, expected) in [(UInt32(0), Duration.zero, 2), (0, .seconds(300), 1), (60, .zero, 1)] {
            let names = try await ScriptedDNSServer.start { question, _ in
                var answer = ScriptedDNSServer.answer(question, address: [127, 0, 0, 1])
                answer.setInteger(seconds, at: answer.writerIndex - 10)
                return [answer]
            }
            let resolver = resolver([names.address]) { $0.minimumTimeToLive = minimum }
            _ = try await Self.addresses(resolver, "short.test")
            _ = try await Self.addresses(resolver, "short.test")
            #expect(names.questions == expected)
            await resolver.close()
            await names.stop()
        }
    }

    @Test("a name with an uncacheable response is not queried for every waiting request")
    func zeroTimeToLive() async throws {
        let names = try await ScriptedDNSServer.start { question, _ in
            var answer = ScriptedDNSServer.answer(question, address: [127, 0, 0, 1])
            answer.setInteger(UInt32(0), at: answer.writerIndex - 10)
            return [answer]
        }
        let port = try await Peers.shared.nginxPort()
        var configuration = SkeinClient.Configuration()
        configuration.concurrency = 2
        configuration.http.dns = Self.configuration([names.address])
        let skein = SkeinClient(configuration)
        let calls = (0..<1000).map { _ in skein.get("http://fleeting.test:\(port)/hello") }
        for call in calls { #expect(await call.dispatch().statusCode == 200) }
        #expect(names.questions < 20)
        await skein.shutdown()
        await names.stop()
    }

    @Test("a link-local address with its interface is connected to; the zone is not sent")
    func zone() async throws {
        let server = HTTPServer(ServerConfiguration(addresses: [.tcp("::1", port: 0)], threads: 1)) { request in
            .text(request.headers["Host"] ?? "")
        }
        guard case .tcp(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        let skein = SkeinClient()
        #expect(try await skein.get("http://[::1%25lo]:\(port)/").dispatch().text() == "[::1]:\(port)")
        let none = await skein.get("http://[::1%25nothing0]:\(port)/").dispatch()
        #expect(none.statusCode == 714 && none.failure?.message.contains("nothing0") == true)
        await skein.shutdown()
        await server.stop()
    }

    @Test("skein resolve prints addresses; load and get accept fixed addresses")
    func command() async throws {
        let server = "127.0.0.1:\(try await Self.dnsmasq.value.port)"
        let found = try await runToEnd(CommandTests.skein, ["resolve", "both.test", "none.test", "--server", server])
        #expect(found.code == 1)
        #expect(found.output.contains("both.test 127.0.0.1 ::1\n"))
        #expect(found.output.contains("none.test 704"))
        let json = try await runToEnd(
            CommandTests.skein, ["resolve", "one.test", "--type", "a", "--server", server, "--json"])
        #expect(json.output.contains("{\"addresses\":[\"127.0.0.1\"],\"name\":\"one.test\"}"))
        let port = try await Peers.shared.nginxPort()
        let got = try await runToEnd(
            CommandTests.skein,
            ["get", "--resolve", "made.up:\(port):127.0.0.1", "--body", "http://made.up:\(port)/hello"])
        #expect(got.output == "hello world", "\(got.errors)")
    }
}
