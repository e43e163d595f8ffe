import Foundation
import PeerSupport
import Skein
import SkeinEngine
import Testing

/// TLS of the client against nginx and openssl, of the server against curl and openssl.
@Suite("TLS", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct TLSTests {
    private func session(_ change: (inout HTTPConfiguration) -> Void) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.logger = .silent
        change(&configuration.http)
        return SkeinClient(configuration)
    }

    /// Starts nginx with a port for each certificate, and one more that requires a client certificate.
    private static func nginx() async throws -> (ports: [String: Int], folder: String) {
        let certificates = try await Certificates.shared.folder()
        let folder = TestFolder.path("tls-web")
        try FileManager.default.createDirectory(atPath: "\(folder)/temp", withIntermediateDirectories: true)
        var ports: [String: Int] = [:]
        var servers = ""
        for name in ["good", "expired", "future", "other", "self", "chained", "broken", "unknown", "mutual", "old"] {
            let port = try await Ports.free()
            ports[name] = port
            let file = name == "mutual" || name == "old" ? "good" : name
            servers += """
                server {
                  listen 127.0.0.1:\(port) ssl \(name == "old" ? "" : "http2");
                  ssl_certificate \(certificates)/\(file).pem; ssl_certificate_key \(certificates)/\(file).pem;
                  \(name == "mutual" ? "ssl_client_certificate \(certificates)/ca.pem; ssl_verify_client on;" : "")
                  ssl_protocols \(name == "old" ? "TLSv1.2" : "TLSv1.2 TLSv1.3");
                  location / { default_type text/plain; return 200 "$ssl_protocol $server_protocol $ssl_client_s_dn"; }
                }

                """
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "\($0)_temp_path \(folder)/temp/\($0);"
        }
        let configuration = """
            daemon off; worker_processes 1; pid \(folder)/pid; error_log \(folder)/error.log;
            events { worker_connections 1024; }
            http { access_log off; \(temporary.joined(separator: " "))
            \(servers) }
            """
        let path = try TestFolder.write(configuration, as: "tls-web.conf")
        _ = try PeerProcess("nginx", ["-c", path, "-p", folder, "-e", "\(folder)/error.log"], log: "\(folder)/out.log")
        try await Ports.untilOpen(ports["old"] ?? 0)
        return (ports, certificates)
    }

    private static let shared = Task { try await nginx() }

    /// The port with a good certificate, and the file of its root.
    static func goodPort() async throws -> (port: Int, roots: String) {
        let (ports, folder) = try await shared.value
        return (ports["good"] ?? 0, "\(folder)/ca.pem")
    }

    /// The port that requires a client certificate.
    static func mutualPort() async throws -> Int { try await shared.value.ports["mutual"] ?? 0 }

    @Test("a certificate of a trusted root is accepted, and available on the response")
    func accepted() async throws {
        let (ports, folder) = try await Self.shared.value
        for roots in [ClientTLSConfiguration.Roots.file("\(folder)/ca.pem"), .directory("\(folder)/roots")] {
            let skein = session { $0.tls.roots = roots }
            for name in ["good", "chained"] {
                for host in ["localhost", "127.0.0.1"] {
                    let response = await skein.get("https://\(host):\(ports[name] ?? 0)/").dispatch()
                    #expect(response.statusCode == 200, "\(response.reportLine)")
                    #expect(try response.text().hasPrefix("TLSv1.3 HTTP/2.0"))
                    #expect(response.version == .http2)
                    #expect(response.tls?.version == .tls13)
                    #expect(response.tls?.applicationProtocol == "h2")
                    #expect(response.tls?.peerCertificate?.names.contains("127.0.0.1") == true)
                }
            }
        }
    }

    @Test("HTTP/1.1 if the server or the caller requires it; TLS 1.2 if nothing newer is available")
    func versions() async throws {
        let (ports, folder) = try await Self.shared.value
        let old = session { $0.tls.roots = .file("\(folder)/ca.pem") }
        let group = CorequestGroup((0..<20).map { _ in old.get("https://localhost:\(ports["old"] ?? 0)/") })
        for response in await group.dispatch() {
            #expect(try response.text() == "TLSv1.2 HTTP/1.1 ", "\(response.reportLine)")
            #expect(response.tls?.version == .tls12)
        }
        let forced = session {
            $0.tls.roots = .file("\(folder)/ca.pem")
            $0.http2.use = .never
        }
        #expect(await forced.get("https://localhost:\(ports["good"] ?? 0)/").dispatch().version == .http1_1)
        let strict = session {
            $0.tls.roots = .file("\(folder)/ca.pem")
            $0.tls.minimumVersion = .tls13
        }
        let refused = await strict.get("https://localhost:\(ports["old"] ?? 0)/").dispatch()
        #expect(refused.statusCode == 713)
        #expect(refused.failure?.message.contains("minimumVersion") == true, "\(refused.reportLine)")
    }

    @Test(
        "each certificate that is not to be trusted is refused with its reason, and accepted without verification",
        arguments: [
            ("expired", "expired 20"), ("future", "valid only from 20"),
            ("other", "not for localhost but for other.test"),
            ("self", "self-signed"), ("broken", "which does not chain to a trusted root"),
            ("unknown", "which does not chain to a trusted root"),
        ])
    func refused(name: String, reason: String) async throws {
        let (ports, folder) = try await Self.shared.value
        let url = "https://localhost:\(ports[name] ?? 0)/"
        let skein = session { $0.tls.roots = .file("\(folder)/ca.pem") }
        let response = await skein.get(url).dispatch()
        #expect(response.statusCode == 713)
        #expect(response.failure?.message.contains(reason) == true, "\(response.reportLine)")
        #expect(response.failure?.message.contains("verify: .none") == true)
        var request = HTTPRequest(.get, try HTTPURL(url))
        request.tls = ClientTLSConfiguration(verify: .none)
        #expect(await skein.start(request).dispatch().statusCode == 200)
        #expect(await skein.get(url).dispatch().statusCode == 713)
        #expect(await session { $0.tls.verify = .none }.get(url).dispatch().statusCode == 200)
    }

    @Test("the system's roots do not trust the test CA; a file without a certificate is a clear error")
    func roots() async throws {
        let (ports, _) = try await Self.shared.value
        let url = "https://localhost:\(ports["good"] ?? 0)/"
        #expect(await session { _ in }.get(url).dispatch().statusCode == 713)
        let missing = await session { $0.tls.roots = .file("/none.pem") }.get(url).dispatch()
        #expect(missing.failure?.message.contains("/none.pem") == true, "\(missing.reportLine)")
    }

    @Test("a client certificate is sent on request; without one, the server refuses")
    func clientCertificate() async throws {
        let (ports, folder) = try await Self.shared.value
        let url = "https://localhost:\(ports["mutual"] ?? 0)/"
        let skein = session {
            $0.tls.roots = .file("\(folder)/ca.pem")
            $0.tls.certificateFile = "\(folder)/client.pem"
        }
        let response = await skein.get(url).dispatch()
        #expect(String(buffer: response.content).contains("CN=a client"), "\(response.reportLine)")
        #expect(await session { $0.tls.roots = .file("\(folder)/ca.pem") }.get(url).dispatch().statusCode >= 400)
    }

    @Test("a server without TLS, or one that closes, is code 713 with the reason; a silent one a timeout")
    func noTLS() async throws {
        let plain = await session { _ in }.get("https://127.0.0.1:\(try await Peers.shared.nginxPort())/").dispatch()
        #expect(plain.statusCode == 713)
        #expect(plain.failure?.message.contains("does not speak TLS") == true, "\(plain.reportLine)")
        let server = try await ScriptedServer.start { $0 == 0 ? [.close] : [.wait] }
        let closed = await session { _ in }.get("https://127.0.0.1:\(server.port)/").dispatch()
        #expect(closed.statusCode == 713)
        let silent = await session { $0.connectTimeout = .milliseconds(300) }.get("https://127.0.0.1:\(server.port)/")
            .dispatch()
        #expect(silent.statusCode == 702)
        await server.stop()
    }

    @Test("a manually driven connection with TLS options of its own, and the certificate")
    func driven() async throws {
        let (ports, folder) = try await Self.shared.value
        let connection = try HTTPConnection(
            "https://localhost:\(ports["good"] ?? 0)", tls: ClientTLSConfiguration(roots: .file("\(folder)/ca.pem")))
        try await connection.sendRequest(.get, "/")
        #expect(try await connection.readResponse().status == 200)
        #expect(String(buffer: try await connection.readAll()).hasPrefix("TLSv1.3 HTTP/1.1"))
        #expect(await connection.tls?.peerCertificate?.subject == "good.test")
        await connection.disconnect()
    }

    @Test("openssl s_server: its certificate is read, the key log is written")
    func openssl() async throws {
        let folder = try await Certificates.shared.folder()
        let port = try await Ports.free()
        let peer = try PeerProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", "\(folder)/good.pem", "-key", "\(folder)/good.pem",
                "-www",
            ],
            log: TestFolder.path("s_server.log"))
        try await Ports.untilOpen(port)
        let log = TestFolder.path("keys")
        let skein = session {
            $0.tls.roots = .file("\(folder)/ca.pem")
            $0.tls.keyLogFile = log
        }
        let response = await skein.get("https://localhost:\(port)/").dispatch()
        #expect(response.statusCode == 200, "\(response.reportLine)")
        #expect(response.version == .http1_0)
        #expect(try String(contentsOfFile: log, encoding: .utf8).contains("CLIENT_TRAFFIC_SECRET_0 "))
        await peer.stop()
    }
}

/// TLS of the server against curl and openssl.
@Suite("TLS server", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct TLSServerTests {
    private func serving(
        _ change: (inout ServerTLSConfiguration, String) -> Void = { _, _ in },
        _ test: (Int, String, HTTPServer) async throws -> Void
    ) async throws {
        let folder = try await Certificates.shared.folder()
        var configuration = ServerConfiguration(addresses: [.tls("127.0.0.1", port: 0)], threads: 1)
        configuration.logger = .silent
        var tls = ServerTLSConfiguration(
            certificates: ["good", "other", "wild"].map {
                .init(certificateFile: "\(folder)/\($0).pem", keyFile: "\(folder)/\($0).pem")
            })
        change(&tls, folder)
        configuration.tls = tls
        let server = HTTPServer(configuration) { request in
            .text("\(request.version) \(request.isSecure) \(request.tls?.peerCertificate?.subject ?? "nobody")")
        }
        guard case .tls(_, let port)? = try await server.start().first else { throw PeerError("no port") }
        do {
            try await test(port, folder, server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private func curl(_ arguments: String...) async throws -> String {
        let finished = try await runToEnd("curl", ["-sS", "--max-time", "20"] + arguments)
        return finished.output + finished.errors
    }

    @Test("curl: HTTP/2 and HTTP/1.1 by ALPN; the certificate of the requested host")
    func names() async throws {
        try await serving { (port, folder, _) async throws in
            let roots = "\(folder)/ca.pem"
            #expect(try await curl("--cacert", roots, "https://localhost:\(port)/") == "HTTP/2.0 true nobody")
            #expect(
                try await curl("--cacert", roots, "--http1.1", "https://localhost:\(port)/") == "HTTP/1.1 true nobody")
            for host in ["other.test", "a.wild.test"] {
                let answer = try await curl(
                    "--cacert", roots, "--resolve", "\(host):\(port):127.0.0.1", "https://\(host):\(port)/")
                #expect(answer == "HTTP/2.0 true nobody")
            }
            let wrong = try await curl(
                "--cacert", roots, "--resolve", "b.a.wild.test:\(port):127.0.0.1", "https://b.a.wild.test:\(port)/")
            #expect(wrong.contains("SSL"))
            #expect(try await curl("http://127.0.0.1:\(port)/").contains("curl: ("))
        }
    }

    @Test("curl: a client certificate of the right CA is accepted, another one and none are refused")
    func clientCertificates() async throws {
        try await serving {
            $0.clientCertificates = .required(rootsFile: "\($1)/ca.pem")
        } _: { (port, folder, _) async throws in
            let url = "https://localhost:\(port)/"
            let known = try await curl("--cacert", "\(folder)/ca.pem", "--cert", "\(folder)/client.pem", url)
            #expect(known == "HTTP/2.0 true a client")
            #expect(try await curl("--cacert", "\(folder)/ca.pem", url).contains("curl: ("))
            let stranger = try await curl("--cacert", "\(folder)/ca.pem", "--cert", "\(folder)/stranger.pem", url)
            #expect(stranger.contains("curl: ("))
        }
    }

    @Test("openssl s_client: an old version is refused; certificates are reloaded at run time")
    func reload() async throws {
        let copy = TestFolder.path("reloaded.pem")
        let folder = try await Certificates.shared.folder()
        try FileManager.default.copyItem(atPath: "\(folder)/good.pem", toPath: copy)
        try await serving { options, _ in
            options.certificates = [.init(certificateFile: copy, keyFile: copy)]
            options.minimumVersion = .tls13
        } _: { (port, _, server) async throws in
            let arguments = [
                "s_client", "-connect", "127.0.0.1:\(port)", "-servername", "localhost", "-CAfile", "\(folder)/ca.pem",
            ]
            #expect(try await runToEnd("openssl", arguments).output.contains("CN = good.test"))
            #expect(try await runToEnd("openssl", arguments + ["-tls1_2"]).code != 0)
            try FileManager.default.removeItem(atPath: copy)
            #expect(throws: SkeinError.self) { try server.reloadCertificates() }
            #expect(try await runToEnd("openssl", arguments).output.contains("CN = good.test"))
            try FileManager.default.copyItem(atPath: "\(folder)/self.pem", toPath: copy)
            try server.reloadCertificates()
            #expect(try await runToEnd("openssl", arguments).output.contains("CN = self.test"))
        }
    }

    @Test("a server without a valid certificate does not start, with a reason")
    func missing() async throws {
        var configuration = ServerConfiguration(addresses: [.tls("127.0.0.1", port: 0)], threads: 1)
        let none = await #expect(throws: SkeinError.self) {
            try await HTTPServer(configuration) { _ in .text("") }.start()
        }
        #expect(none?.message.contains("configuration.tls") == true)
        configuration.tls = ServerTLSConfiguration(certificates: [
            .init(certificateFile: "/none.pem", keyFile: "/none.pem")
        ])
        let wrong = await #expect(throws: SkeinError.self) {
            try await HTTPServer(configuration) { _ in .text("") }.start()
        }
        #expect(wrong?.message.contains("/none.pem") == true)
    }
}
