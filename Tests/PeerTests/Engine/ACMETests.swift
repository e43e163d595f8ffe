import Foundation
import PeerSupport
import SkeinACME
import SkeinCore
import SkeinEngine
import SkeinHTTP
import Synchronization
import Testing

/// Certificates of pebble, Let's Encrypt's test server, with nonces that it rejects and short-lived certificates.
@Suite("Automatic certificates", .serialized, .inTurn, .timeLimit(.minutes(4)))
struct ACMETests {
    /// pebble with its DNS server, which resolves all names to this machine.
    private struct Authority {
        let directory: String
        let management: String
        let dnsManagement: String
        let httpPort: Int
        let tlsPort: Int
        let pebble: PeerProcess
        let names: PeerProcess
        let roots: String

        static func start(life: Int) async throws -> Authority {
            let certificates = try await Certificates.shared.folder()
            let ports = try await [Ports.free(), Ports.free(), Ports.free(), Ports.free(), Ports.free(), Ports.free()]
            let names = try PeerProcess(
                "pebble-challtestsrv",
                [
                    "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", "127.0.0.1:\(ports[0])", "-http01", "",
                    "-https01", "", "-tlsalpn01", "", "-management", "127.0.0.1:\(ports[1])",
                ], log: TestFolder.path("challtestsrv.log"))
            try await Ports.untilOpen(ports[1])
            let configuration = """
                {"pebble": {"listenAddress": "127.0.0.1:\(ports[2])", "managementListenAddress": "127.0.0.1:\(ports[3])",
                "certificate": "\(certificates)/good.pem", "privateKey": "\(certificates)/good.pem",
                "httpPort": \(ports[4]), "tlsPort": \(ports[5]), "ocspResponderURL": "", "externalAccountBindingRequired": false,
                "certificateValidityPeriod": \(life), "retryAfter": {"authz": 1, "order": 1}}}
                """
            let file = try TestFolder.write(configuration, as: "json")
            let pebble = try PeerProcess(
                "pebble", ["-config", file, "-dnsserver", "127.0.0.1:\(ports[0])"],
                environment: ["PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "30", "PEBBLE_AUTHZREUSE": "0"],
                log: TestFolder.path("pebble.log"))
            try await Ports.untilOpen(ports[2])
            return Authority(
                directory: "https://localhost:\(ports[2])/dir", management: "https://localhost:\(ports[3])",
                dnsManagement: "http://127.0.0.1:\(ports[1])", httpPort: ports[4], tlsPort: ports[5], pebble: pebble,
                names: names,
                roots: "\(certificates)/ca.pem")
        }

        /// A file with the root of the certificates that it issues.
        func issuedRoot() async throws -> String {
            let run = try await runToEnd("curl", ["-sS", "--cacert", roots, "\(management)/roots/0"])
            return try TestFolder.write(run.output, as: "pem")
        }

        func stop() async {
            await pebble.stop()
            await names.stop()
        }
    }

    private func configuration(
        _ authority: Authority, names: String, folder: String, clear: Int, secure: Int, _ more: String = ""
    )
        throws -> String
    {
        try TestFolder.write(
            """
            [[listen]]
            address = "127.0.0.1:\(clear)"
            redirect_to_tls = true
            [[listen]]
            address = "127.0.0.1:\(secure)"
            tls = true
            [acme]
            names = [\(names)]
            email = "you@example.org"
            folder = "\(folder)"
            directory = "\(authority.directory)"
            roots = "\(authority.roots)"
            \(more)
            [[mount]]
            path = "/"
            text = "hello"
            """, as: "toml")
    }

    private func curl(_ name: String, _ port: Int, _ arguments: String...) async throws -> Finished {
        try await runToEnd(
            "curl",
            ["-sS", "--max-time", "10", "--resolve", "\(name):\(port):127.0.0.1", "https://\(name):\(port)/"]
                + arguments)
    }

    /// The only account in a folder.
    private static func account(_ folder: String) throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("account-") }
        #expect(names.count == 1)
        return try String(contentsOfFile: "\(folder)/\(names.first ?? "")", encoding: .utf8)
    }

    private final class Load: Sendable {
        let isOver = Mutex(false)
    }

    @Test("the first certificate, renewals under load, an unreachable CA, a restart: HTTPS is always available")
    func life() async throws {
        let authority = try await Authority.start(life: 15)
        let folder = TestFolder.path("acme")
        let secure = try await Ports.free()
        let file = try configuration(
            authority, names: #""a.example.org", "b.example.org""#, folder: folder, clear: authority.httpPort,
            secure: secure)
        let log = TestFolder.path("acme.log")
        let skein = try PeerProcess(CommandTests.skein, ["run", file], log: log)
        _ = try await skein.untilPrinted("listening on 127.0.0.1:\(secure)")
        // The initial certificate is self-signed; the authority's follows.
        #expect(try await curl("a.example.org", secure, "-k").output == "hello")
        _ = try await skein.untilPrinted("is renewed")
        let root = try await authority.issuedRoot()
        for name in ["a.example.org", "b.example.org"] {
            let run = try await curl(name, secure, "--cacert", root)
            #expect(run.output == "hello", "\(run)")
        }
        let account = try Self.account(folder)
        let load = Load()
        async let failures: Int = {
            var configuration = SkeinClient.Configuration()
            configuration.http.tls.verify = .none
            configuration.http.keepAlive = false
            let client = SkeinClient(configuration)
            var failed = 0
            while !load.isOver.withLock({ $0 }), !Task.isCancelled {
                let response = await client.get("https://127.0.0.1:\(secure)/").dispatch()
                if response.statusCode != 200 {
                    failed += 1
                    Issue.record("\(response.reportLine)")
                }
            }
            await client.shutdown()
            return failed
        }()
        let first = try String(contentsOfFile: "\(folder)/a.example.org.pem", encoding: .utf8)
        // Two thirds of 15 s later.
        var second = first
        for _ in 0..<600 where second == first {
            try await Task.sleep(for: .milliseconds(50))
            second = try String(contentsOfFile: "\(folder)/a.example.org.pem", encoding: .utf8)
        }
        #expect(second != first)
        #expect(try Self.account(folder) == account)
        await authority.pebble.stop(SIGKILL)
        _ = try await skein.untilPrinted("there is no certificate for a.example.org, b.example.org")
        load.isOver.withLock { $0 = true }
        #expect(await failures == 0)
        await skein.stop(SIGKILL)
        // Another process continues with the files on disk.
        let again = try PeerProcess(CommandTests.skein, ["run", file], log: TestFolder.path("acme-again.log"))
        _ = try await again.untilPrinted("listening on 127.0.0.1:\(secure)")
        #expect(try await curl("a.example.org", secure, "-k").output == "hello")
        #expect(try String(contentsOfFile: "\(folder)/a.example.org.pem", encoding: .utf8) == second)
        #expect(await again.stop() == 0)
        await authority.names.stop()
    }

    @Test("by tls-alpn-01, while other clients are served; an unrequested name is refused")
    func handshake() async throws {
        let authority = try await Authority.start(life: 86_400)
        let file = try configuration(
            authority, names: #""c.example.org""#, folder: TestFolder.path("acme-tls"), clear: try await Ports.free(),
            secure: authority.tlsPort, "challenge = \"tls\"")
        let skein = try PeerProcess(CommandTests.skein, ["run", file], log: TestFolder.path("acme-tls.log"))
        _ = try await skein.untilPrinted("is renewed")
        let run = try await curl("c.example.org", authority.tlsPort, "--cacert", try await authority.issuedRoot())
        #expect(run.output == "hello", "\(run)")
        await skein.stop()
        await authority.stop()

        // While a challenge is open, both kinds of clients connect to the same port.
        let challenges = CertificateChallenges()
        let made = try SelfSignedCertificate.make(names: ["d.example.org"])
        try challenges.set("d.example.org", certificate: made.certificate, key: made.key)
        var engine = try await Engine().secured()
        engine.challenges = challenges
        engine.get("/") { _ in "hello" }
        try await serving(engine) { (port, _) async throws in
            func shown(_ arguments: [String]) async throws -> String {
                let run = try await runToEnd("openssl", ["s_client", "-connect", "127.0.0.1:\(port)"] + arguments)
                return run.output + run.errors
            }
            let authority = try await shown(["-alpn", "acme-tls/1", "-servername", "d.example.org"])
            #expect(authority.contains("CN=d.example.org") || authority.contains("CN = d.example.org"), "\(authority)")
            #expect(authority.contains("ALPN protocol: acme-tls/1"))
            #expect(
                try await !shown(["-alpn", "acme-tls/1", "-servername", "e.example.org"]).contains("BEGIN CERTIFICATE"))
            #expect(try await shown(["-alpn", "h2", "-servername", "localhost"]).contains("ALPN protocol: h2"))
            for version in ["--http1.1", "--http2", "--tls-max=1.2"] {
                let option = version == "--tls-max=1.2" ? ["--tls-max", "1.2"] : [version]
                let run = try await runToEnd(
                    "curl", ["-sSk", "--max-time", "5", "https://localhost:\(port)/"] + option)
                #expect(run.output == "hello", "\(version) \(run)")
            }
            // A connection that is not TLS is not a challenge either.
            #expect(try await runToEnd("curl", ["-sS", "--max-time", "5", "http://localhost:\(port)/"]).code != 0)
        }
    }

    @Test("skein certificate: openssl and curl accept it as a root")
    func local() async throws {
        let file = TestFolder.path("local.pem")
        let made = try await runToEnd(
            CommandTests.skein, ["certificate", "localhost", "127.0.0.1", "--out", file, "--days", "10"])
        #expect(made.code == 0, "\(made)")
        #expect(try await runToEnd(CommandTests.skein, ["certificate", "--out", file]).code == 2)
        #expect(try await runToEnd("openssl", ["verify", "-CAfile", file, file]).output == "\(file): OK\n")
        let folder = TestFolder.path("local")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "hello".write(toFile: "\(folder)/index.html", atomically: true, encoding: .utf8)
        let port = try await Ports.free()
        let skein = try PeerProcess(
            CommandTests.skein, ["serve", folder, "--listen", "127.0.0.1:\(port)", "--tls-cert", file],
            log: TestFolder.path("local.log"))
        _ = try await skein.untilPrinted("listening on ")
        for host in ["localhost", "127.0.0.1"] {
            #expect(
                try await runToEnd("curl", ["-sS", "--cacert", file, "https://\(host):\(port)/"]).output == "hello")
        }
        await skein.stop()
    }

    @Test("a wildcard by DNS; a failing challenge; a new account key")
    func dns() async throws {
        let authority = try await Authority.start(life: 86_400)
        let hook = TestFolder.path("hook.sh")
        try """
        #!/bin/sh
        echo "$@" >> \(hook).log
        if [ "$1" = set ]; then
            exec curl -sS -X POST -d "{\\"host\\": \\"$2.\\", \\"value\\": \\"$3\\"}" \(authority.dnsManagement)/set-txt
        fi
        exec curl -sS -X POST -d "{\\"host\\": \\"$2.\\"}" \(authority.dnsManagement)/clear-txt

        """.write(toFile: hook, atomically: true, encoding: .utf8)
        chmod(hook, 0o755)
        let folder = TestFolder.path("acme-dns")
        let secure = try await Ports.free()
        let file = try configuration(
            authority, names: #""*.example.org", "example.org""#, folder: folder, clear: try await Ports.free(),
            secure: secure,
            "dns_program = \"\(hook)\"")
        let skein = try PeerProcess(CommandTests.skein, ["run", file], log: TestFolder.path("acme-dns.log"))
        _ = try await skein.untilPrinted("is renewed")
        let root = try await authority.issuedRoot()
        for name in ["example.org", "any.example.org"] {
            let run = try await curl(name, secure, "--cacert", root)
            #expect(run.output == "hello", "\(run)")
        }
        let calls = try String(contentsOfFile: "\(hook).log", encoding: .utf8)
        #expect(calls.components(separatedBy: "set _acme-challenge.example.org ").count == 3, "\(calls)")
        #expect(calls.components(separatedBy: "clear _acme-challenge.example.org ").count == 3, "\(calls)")
        await skein.stop()

        // Nothing listens on the port that the authority connects to.
        let lost = try configuration(
            authority, names: #""lost.example.org""#, folder: TestFolder.path("acme-lost"),
            clear: try await Ports.free(), secure: secure)
        let refused = try PeerProcess(CommandTests.skein, ["run", lost], log: TestFolder.path("acme-lost.log"))
        let why = try await refused.untilPrinted("there is no certificate for lost.example.org: ")
        #expect(why.hasPrefix("connection: ") && why.hasSuffix(" min"), "\(why)")
        #expect(try await curl("lost.example.org", secure, "-k").output == "hello")
        await refused.stop()

        var options = ACMEConfiguration(names: ["*.example.org", "example.org"], folder: folder)
        options.directory = authority.directory
        options.rootsFile = authority.roots
        options.challenge = .dns(program: hook)
        let manager = try CertificateManager(options, challenges: CertificateChallenges(), renewed: {})
        #expect(manager.isIssued)
        func key() throws -> String? {
            try JSONValue(json: Self.account(folder))["key"]?.string
        }
        let old = try key()
        try await manager.changeAccountKey()
        #expect(try key() != old)
        try await manager.changeAccountKey()
        await authority.stop()
    }
}
