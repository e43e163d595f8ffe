import Foundation
import PeerSupport
import SkeinCore
import SkeinEngine
import SkeinMail
import Synchronization
import Testing

/// The agent with servers that fail in every way, and with dnsmasq.
@Suite("Mail: the agent", .serialized, .inTurn, .timeLimit(.minutes(4)))
struct MailAgentTests {
    private static func message(_ to: MailAddress..., subject: String = "subject") -> MailMessage {
        MailMessage(from: "a@example.org", to: to, subject: subject, text: "text")
    }

    /// An agent with short delays.
    static func agent(
        _ spool: MailSpool, to server: MailServer? = nil, _ change: (inout MailAgent.Configuration) -> Void = { _ in }
    ) -> MailAgent {
        var configuration = MailAgent.Configuration(relay: server?.url)
        configuration.firstRetry = .milliseconds(200)
        configuration.longestRetry = .seconds(1)
        configuration.name = "agent.test"
        configuration.logger = .silent
        change(&configuration)
        return MailAgent(spool, configuration)
    }

    /// Runs an agent during a closure.
    static func deliver<Value>(
        _ spool: MailSpool, to server: MailServer? = nil, _ change: (inout MailAgent.Configuration) -> Void = { _ in },
        _ work: (MailAgent) async throws -> Value
    ) async throws -> Value {
        let agent = agent(spool, to: server, change)
        let running = Task { try await agent.run() }
        do {
            let value = try await work(agent)
            running.cancel()
            try await running.value
            return value
        } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
    }

    static func deliver(_ spool: MailSpool, to server: MailServer, _ work: () async throws -> Void) async throws {
        try await deliver(spool, to: server) { _ in try await work() }
    }

    static func isEmpty(_ spool: MailSpool) -> Bool {
        // A delivered message leaves a report, which is checked after it.
        [MailSpool.State.new, .queue, .hold, .new, .queue].allSatisfy { spool.names($0).isEmpty }
    }

    @Test("temporary failures are retried, permanent ones are reported to the sender, without duplicates")
    func failures() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        let all: [MailAddress] = [
            "ok@x.test", "later@x.test", "grey@x.test", "drop@x.test", "never@x.test", "busy@x.test", "ok@y.test",
            "never-2@y.test",
        ]
        for address in all { _ = try spool.store(Self.message(address, subject: "one \(address.mailbox)")) }
        var many = Self.message(subject: "many")
        many.to = ["ok-m@x.test", "later-m@x.test", "never-m@y.test", "grey-m@y.test"]
        _ = try spool.store(many)
        let status = try await Self.deliver(spool, to: server) { agent in
            try await wait("an empty spool") { Self.isEmpty(spool) }
            return await agent.status
        }
        let kept = server.kept
        func count(_ recipient: String) -> Int { kept.filter { $0.to.contains(recipient) }.count }
        for recipient in [
            "ok@x.test", "later@x.test", "grey@x.test", "drop@x.test", "busy@x.test", "ok@y.test", "ok-m@x.test",
            "later-m@x.test", "grey-m@y.test",
        ] {
            #expect(count(recipient) == 1, "\(recipient)")
        }
        #expect(count("never@x.test") == 0 && status.counters.failed == 3)
        // Two messages with one recipient each, and the one with many.
        let reports = kept.filter { $0.from == "<>" }
        #expect(reports.count == 3 && reports.allSatisfy { $0.to == ["a@example.org"] })
        #expect(spool.names(.failed).count == 3)
        let report = try #require(reports.first { $0.text.contains("\"many\"") })
        let read = try await runToEnd(
            Peers.python(),
            [
                "-c",
                """
                import email, email.policy, sys
                m = email.message_from_string(sys.stdin.read(), policy=email.policy.default)
                parts = list(m.iter_parts())
                print(m.get_content_type(), m.get_param("report-type"), [p.get_content_type() for p in parts], m.defects)
                fields = parts[1].get_payload()
                print(fields[0]["Reporting-MTA"], len(fields), fields[1]["Final-Recipient"], fields[1]["Action"], fields[1]["Status"])
                print(fields[1]["Diagnostic-Code"])
                print(email.message_from_string(parts[2].get_payload())["Subject"])
                """,
            ], input: report.text.replacingOccurrences(of: "\r\n", with: "\n"))
        #expect(
            read.output == """
                multipart/report delivery-status ['text/plain', 'message/delivery-status', 'text/rfc822-headers'] []
                dns; agent.test 2 rfc822; never-m@y.test failed 5.1.1
                smtp; 550 5.1.1 there is nobody of that name
                many

                """, "\(read.output) \(read.errors)")
        await server.process.stop()
    }

    @Test("a connection that ends after the message may have delivered it: it is sent again, and counted")
    func uncertain() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        _ = try spool.store(Self.message("dropend@x.test"))
        let status = try await Self.deliver(spool, to: server) { agent in
            try await wait("an empty spool") { Self.isEmpty(spool) }
            return await agent.status
        }
        #expect(server.kept.count == 2 && status.counters.uncertain == 1)
        await server.process.stop()
    }

    @Test("releasing all messages during delivery neither duplicates them nor breaks the agent")
    func flushed() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        for number in 0..<300 { _ = try spool.store(Self.message(MailAddress("ok-\(number)@x.test"))) }
        for number in 0..<30 {
            _ = try spool.store(
                Self.message(MailAddress("later-\(number)@x.test"), MailAddress("ok-l\(number)@y.test")))
        }
        try await Self.deliver(spool, to: server) { agent in
            try await wait("an empty spool") {
                for id in spool.names(.queue) { _ = try? spool.retry(id) }
                return Self.isEmpty(spool)
            }
        }
        let got = server.kept.flatMap(\.to)
        #expect(got.count == 360 && Set(got).count == 360, "\(got.count) of \(Set(got).count)")
        #expect(spool.names(.failed).isEmpty)
        await server.process.stop()
    }

    @Test("a report for several recipients has the last response for each of them")
    func many() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        var message = Self.message(subject: "many")
        message.to = (0..<120).map { MailAddress("\($0 % 2 == 0 ? "never" : "ok")-\($0)@x.test") }
        _ = try spool.store(message)
        var silent = MailSpool.Options()
        silent.notify = []
        _ = try spool.store(Self.message("never-silent@x.test"), silent)
        try await Self.deliver(spool, to: server) { _ in
            try await wait("an empty spool") { Self.isEmpty(spool) }
        }
        let reports = server.kept.filter { $0.from == "<>" }
        #expect(reports.count == 1, "nobody is told who does not want to be")
        #expect(reports.first?.text.components(separatedBy: "Status: 5.1.1").count == 61)
        #expect(Set(server.kept.filter { $0.from != "<>" }.flatMap(\.to)).count == 60)
        await server.process.stop()
    }

    @Test("servers that disconnect at any point are retried, and none blocks a delivery for ever")
    func rude() async throws {
        let port = try await Ports.free()
        let script = """
            import socket, sys, threading, time
            server = socket.create_server(("127.0.0.1", \(port)))
            print("ready", flush=True)
            endings = [b"", b"220 x\\r\\n", b"220 x\\r\\n250 x\\r\\n", b"220 x\\r\\n250 x\\r\\n421 bye\\r\\n", b"garbage\\r\\n" * 9,
                       b"220 x\\r\\n250-x\\r\\n250 STARTTLS\\r\\n220 go\\r\\n250 injected\\r\\n" + b"x" * 100000]
            for number in range(10**6):
                client, _ = server.accept()
                def serve(client=client, said=endings[number % len(endings)]):
                    try:
                        for line in said.split(b"\\n", 3):
                            client.sendall(line + b"\\n" if line else b"")
                            time.sleep(0.02)
                    except OSError:
                        pass
                    client.close()
                threading.Thread(target=serve).start()
            """
        let peer = try PeerProcess(Peers.python(), ["-c", script], log: TestFolder.path("rude.log"))
        _ = try await peer.untilPrinted("ready")
        let spool = try MailSpool(TestFolder.path("spool"))
        for number in 0..<20 { _ = try spool.store(Self.message(MailAddress("a\(number)@x.test"))) }
        let agent = Self.agent(spool) { configuration in
            configuration.relay = "smtp://127.0.0.1:\(port)"
            configuration.firstRetry = .milliseconds(20)
            configuration.longestRetry = .milliseconds(50)
        }
        let running = Task { try await agent.run() }
        try await wait("60 attempts") { await agent.status.counters.deferred >= 60 }
        running.cancel()
        try await running.value
        #expect(await agent.status.running == 0 && spool.names(.queue).count == 20)
        await peer.stop()
    }

    @Test("expired messages are given up, and reported to the sender; a failed report is dropped")
    func expired() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        var options = MailSpool.Options()
        options.lifetime = .milliseconds(600)
        _ = try spool.store(Self.message("full@x.test"), options)
        var unknown = Self.message("full@x.test")
        unknown.returnPath = "never@x.test"
        _ = try spool.store(unknown, options)
        let status = try await Self.deliver(spool, to: server) { agent in
            try await wait("an empty spool") { Self.isEmpty(spool) && spool.names(.failed).count == 3 }
            return await agent.status
        }
        #expect(server.kept.map(\.to) == [["a@example.org"]])
        #expect(status.counters.expired == 2 && status.counters.failed == 3)
        await server.process.stop()
    }

    @Test("an unreachable server is retried; delayed messages wait for their time, and urgent ones go first")
    func away() async throws {
        let port = try await Ports.free()
        let spool = try MailSpool(TestFolder.path("spool"))
        var low = Self.message("ok-low@x.test")
        low.priority = .low
        var high = Self.message("ok-high@x.test")
        high.priority = .high
        var later = MailSpool.Options()
        later.delay = .seconds(3)
        let began = ContinuousClock.now
        _ = try spool.store(Self.message("ok-later@x.test"), later)
        for message in [low, Self.message("ok-normal@x.test"), high] { _ = try spool.store(message) }
        let agent = Self.agent(spool) { configuration in
            configuration.relay = "smtp://127.0.0.1:\(port)"
            configuration.concurrency = 1...1
        }
        let running = Task { try await agent.run() }
        try await wait("a failure") { await agent.status.counters.deferred > 0 }
        let server = try await MailServer(port: port)
        _ = try await server.untilKept(4)
        running.cancel()
        try await running.value
        #expect(server.kept.last?.to == ["ok-later@x.test"] && began.duration(to: .now) >= .seconds(3))
        await server.process.stop()
    }

    @Test("of two agents only one gets the spool; people hold, release, delete")
    func people() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        let ids = try (0..<3).map { _ in try spool.store(Self.message("full@x.test")) }
        try await Self.deliver(spool, to: server) { agent in
            try await wait("attempts") { await agent.status.counters.deferred >= 3 }
            await #expect(throws: SkeinError.self) { try await Self.agent(spool, to: server).run() }
            try await wait("hold") { spool.hold(ids[0]) }
            try await wait("delete") { try spool.delete(ids[1]) }
            #expect(try spool.open(ids[0])?.state == .hold)
            #expect(try spool.retry(ids[2]))
            try await wait("no more of what is gone") { await agent.status.messages == 1 }
            #expect(try spool.open(ids[1]) == nil)
        }
        #expect(server.kept.isEmpty)
        await server.process.stop()
    }

    @Test("a message modified on the disk is not sent")
    func changed() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        var large = Self.message("ok-large@x.test")
        large.attach([UInt8](repeating: 5, count: 300_000), as: "x")
        for message in [Self.message("ok-small@x.test"), large] {
            let id = try spool.store(message)
            let path = "\(spool.folder)/new/\(id)"
            var data = try #require(FileManager.default.contents(atPath: path))
            data[data.count / 3] ^= 1
            try data.write(to: URL(filePath: path))
        }
        _ = try spool.store(Self.message("ok@x.test"))
        try await Self.deliver(spool, to: server) { agent in
            _ = try await server.untilKept(1)
            try await wait("the others") { await agent.status.counters.failed + agent.status.counters.deferred >= 2 }
        }
        #expect(!server.kept.contains { $0.to.contains { $0.contains("small") || $0.contains("large") } })
        await server.process.stop()
        // A server that is told the size beforehand receives fewer bytes than that.
        let sink = MailSink(logger: .silent) { mail in
            if mail.recipients.contains("ok-large@x.test") { Issue.record("a broken message was taken") }
        }
        let port = try await sink.start(port: 0)
        let id = try spool.store(large)
        let path = "\(spool.folder)/new/\(id)"
        var data = try #require(FileManager.default.contents(atPath: path))
        data[data.count / 2] ^= 1
        try data.write(to: URL(filePath: path))
        try await Self.deliver(spool) {
            $0.relay = "smtp://127.0.0.1:\(port)"
        } _: { agent in
            try await wait("the end") { await agent.status.counters.failed >= 1 }
        }
        await sink.stop()
    }

    /// An app that sends mail.
    private struct Shop: App {
        let post: MailPost

        func bootstrap(at mount: MountPoint) async throws -> any App {
            mount.client?.useMail(post)
            return self
        }

        func respond(to request: ServerRequest) async throws -> ServerResponse {
            let recipients = MailAddress.list(String(buffer: try await request.body.collect()))
            let message = MailMessage(
                from: "shop@example.org", to: recipients, subject: "Your order", text: "It is on its way.")
            do {
                return .text("\(try await request.skein.mail(message).fetch(MailID.self))")
            } catch let error as SkeinError where error.code == .exception {
                return .text(error.message, status: .badRequest)
            }
        }
    }

    @Test("the app gets the outcome of deliveries and failures")
    func outcomes() async throws {
        let server = try await MailServer()
        let spool = try MailSpool(TestFolder.path("spool"))
        final class Heard: Sendable {
            let outcomes = Mutex<[MailOutcome]>([])
        }
        let heard = Heard()
        let post = try MailPost(
            spool, name: "shop", onDelivered: { outcome in heard.outcomes.withLock { $0.append(outcome) } },
            onBounced: { outcome in heard.outcomes.withLock { $0.append(outcome) } })
        var engine = Engine()
        engine.mount("/", Shop(post: post))
        let client = try await TestClient.onPort(engine)
        let answer = try await client.post("/order", body: .text("ok@x.test, never@x.test"))
        #expect(try await client.post("/order", body: .text("nobody")).status == .badRequest)
        try await Self.deliver(spool, to: server) { _ in
            try await wait("the outcome") { heard.outcomes.withLock { !$0.isEmpty } }
        }
        let outcome = try #require(heard.outcomes.withLock { $0.first })
        #expect(
            outcome.id == answer.text && outcome.failed.map(\.address) == ["never@x.test"]
                && outcome.subject == "Your order")
        #expect(outcome.failed.first?.reason.contains("550 5.1.1") == true)
        await client.stop()
        await server.process.stop()
    }

    @Test("each domain's servers are found in the DNS, in the order of their preference")
    func exchanges() async throws {
        let server = try await MailServer()
        let dns = try await Ports.free()
        let dnsmasq = try PeerProcess(
            "dnsmasq",
            [
                "--no-daemon", "--port=\(dns)", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv",
                "--no-hosts",
                "--conf-file=/dev/null", "--pid-file", "--user=root", "--local=/test/",
                "--mx-host=two.test,dead.test,10",
                "--mx-host=two.test,mail.test,20", "--host-record=mail.test,127.0.0.1",
                "--host-record=dead.test,127.0.0.3",
                "--mx-host=null.test,.,0", "--host-record=plain.test,127.0.0.1", "--mx-host=other.test,mail.test,5",
            ], log: TestFolder.path("dnsmasq.log"))
        try await Ports.untilOpen(dns)
        let spool = try MailSpool(TestFolder.path("spool"))
        var message = Self.message(
            "ok@two.test", "ok-2@two.test", "ok@plain.test", "ok@null.test", "ok@nowhere.test", "ok@other.test",
            "ok@[127.0.0.1]")
        message.returnPath = "back@plain.test"
        _ = try spool.store(message)
        try await Self.deliver(spool) { configuration in
            configuration.port = server.port
            configuration.dns.servers = ["127.0.0.1:\(dns)"]
            configuration.dns.searchDomains = []
            configuration.dns.hostsFile = nil
        } _: { _ in
            try await wait("an empty spool") { Self.isEmpty(spool) }
        }
        let to = server.kept.map(\.to)
        for recipients in [["ok@two.test", "ok-2@two.test"], ["ok@plain.test"], ["ok@other.test"], ["ok@[127.0.0.1]"]] {
            #expect(to.filter { $0 == recipients }.count == 1, "\(to)")
        }
        let report = try #require(server.kept.first { $0.from == "<>" })
        #expect(report.to == ["back@plain.test"] && report.text.contains("5.1.10") && report.text.contains("5.1.2"))
        await dnsmasq.stop()
        await server.process.stop()
    }

    @Test("the agent is started, queried and stopped in the background, and outlives its starter")
    func background() async throws {
        let server = try await MailServer()
        let folder = TestFolder.path("spool")
        let page = try await Ports.free()
        func skein(_ arguments: String...) async throws -> Finished {
            try await runToEnd(CommandTests.skein, ["mail"] + arguments + ["--spool", folder])
        }
        #expect(try await skein("agent", "status").code == 1)
        let started = try await skein("agent", "start", "--relay", server.url, "--page", "\(page)")
        #expect(started.code == 0, "\(started.errors)")
        let again = try await skein("agent", "start", "--relay", server.url)
        #expect(again.code == 1 && again.errors.contains("is running already"))
        #expect(try await skein("send", "--from", "a@x.test", "--to", "ok@x.test", "--text", "hello").code == 0)
        _ = try await server.untilKept(1)
        try await wait("status") {
            try await skein("agent", "status", "--json").output.contains("\"delivered\":1")
        }
        let shown = try await runToEnd("curl", ["-s", "http://127.0.0.1:\(page)/.metrics"])
        #expect(shown.output.contains("skein_mail_delivered_total 1"))
        // The options of the last start are used.
        #expect(try await skein("agent", "restart").code == 0)
        #expect(try await skein("send", "--from", "a@x.test", "--to", "ok-again@x.test", "--text", "hello").code == 0)
        _ = try await server.untilKept(2)
        #expect(try await skein("agent", "stop").output.contains("has ended"))
        #expect(try await skein("agent", "stop").output.contains("no agent"))
        let wrong = try await skein("agent", "start", "--relay", "nonsense")
        #expect(wrong.code == 2 && wrong.errors.contains("is not a mail server URL"))
        await server.process.stop()
    }
}

extension MailAgentTests {
    @Test("an app in Python sends mail through the predecessor's API, and the agent started with it outlives it")
    func python() async throws {
        let mail = try await MailServer()
        let spool = TestFolder.path("spool")
        let server = try await PythonServer(
            "mail_app:app", "--mail-agent", "--mail-relay", mail.url, environment: ["SKEIN_MAIL_SPOOL": spool])
        let sent = try await server.ask("/?n=1&to=ok@x.test")
        let text = String(buffer: sent.content)
        #expect(sent.statusCode == 200 && text.contains("[200, \""), "\(text)")
        let same = try await server.ask("/?n=1&to=ok@x.test")
        #expect(same.content == sent.content)
        #expect(try await server.ask("/?n=2&to=nobody").statusCode == 400)
        #expect(try await server.ask("/?n=3&to=ok@x.test&smtp=ftp://x").statusCode == 400)
        await server.process.stop()
        let stored = try await runToEnd(
            CommandTests.skein, ["mail", "send", "--spool", spool, "--from", "a@x.test", "--to", "ok-2@x.test"])
        #expect(stored.code == 0 && stored.errors.isEmpty)
        let kept = try await mail.untilKept(2)
        let first = try #require(kept.first { $0.to == ["ok@x.test"] })
        #expect(ReadMessage(first.bytes)["subject"] == "Größe 1" && first.text.contains("Content-ID: <ID_A>"))
        #expect(kept.count == 2)
        let stopped = try await runToEnd(CommandTests.skein, ["mail", "agent", "stop", "--spool", spool])
        #expect(stopped.output.contains("has ended"))
        await mail.process.stop()
    }
}

extension MailAgentTests {
    @Test("a domain with an MTA-STS policy gets no mail through other servers")
    func transportPolicy() async throws {
        let folder = try await Certificates.shared.folder()
        let (port, dns, web) = (try await Ports.free(), try await Ports.free(), try await Ports.free())
        let script = """
            import http.server, ssl
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    found = self.path == "/.well-known/mta-sts.txt"
                    policy = b"version: STSv1\\nmode: enforce\\nmx: mail.wild.test\\nmax_age: 3600\\n"
                    self.send_response(200 if found else 404)
                    self.send_header("Content-Length", str(len(policy)))
                    self.end_headers()
                    self.wfile.write(policy)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", \(web)), Handler)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain("\(folder)/wild.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
            print("ready", flush=True)
            server.serve_forever()
            """
        let policies = try PeerProcess(Peers.python(), ["-c", script], log: TestFolder.path("policies.log"))
        _ = try await policies.untilPrinted("ready")
        let dnsmasq = try PeerProcess(
            "dnsmasq",
            [
                "--no-daemon", "--port=\(dns)", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv",
                "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--user=root", "--local=/test/",
                "--mx-host=wild.test,mail.wild.test,10", "--host-record=mail.wild.test,127.0.0.1",
                "--host-record=mta-sts.wild.test,127.0.0.1", "--txt-record=_mta-sts.wild.test,v=STSv1; id=1;",
                "--mx-host=free.test,mail.wild.test,10",
            ], log: TestFolder.path("dnsmasq.log"))
        try await Ports.untilOpen(dns)
        for (certificate, isProven) in [("wild", true), ("good", false)] {
            let server = try await MailServer("--tls", "\(folder)/\(certificate).pem", port: port)
            let spool = try MailSpool(TestFolder.path("spool"))
            for recipient: MailAddress in ["ok@wild.test", "ok@free.test"] {
                _ = try spool.store(MailMessage(from: "a@example.org", to: [recipient], subject: "s"))
            }
            try await Self.deliver(spool) { configuration in
                configuration.port = port
                configuration.policyPort = web
                configuration.usesTransportPolicies = true
                configuration.roots = .file("\(folder)/ca.pem")
                configuration.dns.servers = ["127.0.0.1:\(dns)"]
                configuration.dns.searchDomains = []
                configuration.dns.hostsFile = nil
            } _: { agent in
                _ = try await server.untilKept(isProven ? 2 : 1)
                if !isProven { try await wait("attempts") { await agent.status.counters.deferred >= 2 } }
            }
            #expect(server.kept.allSatisfy { $0.tls == true })
            #expect(server.kept.contains { $0.to == ["ok@wild.test"] } == isProven)
            await server.process.stop()
        }
        await policies.stop()
        await dnsmasq.stop()
    }
}
