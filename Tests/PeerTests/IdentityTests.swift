import Foundation
import NIOSSL
import PeerSupport
import Skein
import SkeinTransport
import Testing

/// Matching a certificate to a host name, compared with openssl and curl.
@Suite("Identity of servers", .timeLimit(.minutes(3)))
struct IdentityTests {
    /// Names of a certificate, the requested host, and whether the two match (RFC 9525). `!` marks those where openssl,
    /// which follows an older rule, differs.
    private static let table: [(names: String, host: String, fits: Bool)] = [
        ("DNS:a.test", "a.test", true), ("DNS:a.test", "A.TEST", true), ("DNS:A.Test", "a.test", true),
        ("DNS:a.test", "b.test", false), ("DNS:a.test", "x.a.test", false), ("DNS:a.test", "a.test.evil", false),
        ("DNS:a.test", "aXtest", false), ("DNS:a.test", "test", false), ("DNS:*.a.test", "x.a.test", true),
        ("DNS:*.a.test", "a.test", false), ("DNS:*.a.test", "x.y.a.test", false), ("DNS:*.a.test", "X.A.test", true),
        ("DNS:*.test", "a.test", false), ("DNS:*", "a.test", false), ("DNS:*.*.test", "a.b.test", false),
        ("DNS:a.*.test", "a.b.test", false), ("DNS:*.a.test", "*.a.test", true),
        ("DNS:*.a.test", "xn--e1.a.test", true),
        ("DNS:x*.a.test", "xy.a.test", false), ("DNS:*x.a.test", "yx.a.test", false),
        ("DNS:x*y.a.test", "xzy.a.test", false),
        ("DNS:b.test,DNS:a.test", "a.test", true), ("DNS:b.test,DNS:c.test", "a.test", false),
        ("DNS:a_b.test", "a_b.test", true), ("DNS:xn--mnchen-3ya.test", "xn--mnchen-3ya.test", true),
        ("DNS:localhost", "localhost", true), ("IP:127.0.0.1", "127.0.0.1", true), ("IP:127.0.0.1", "127.0.0.2", false),
        ("IP:127.0.0.1", "localhost", false), ("IP:127.0.0.1", "a.test", false), ("IP:::1", "::1", true),
        ("IP:::1", "0:0:0:0:0:0:0:1", true), ("IP:::1", "::2", false), ("IP:::ffff:7f00:1", "127.0.0.1", false),
        ("IP:127.0.0.1", "::ffff:127.0.0.1", false), ("DNS:127.0.0.1", "127.0.0.1", false),
        ("DNS:a.test,IP:10.0.0.1", "10.0.0.1", true), ("DNS:a.test,IP:10.0.0.1", "a.test", true),
        ("DNS:*.0.0.1", "127.0.0.1", false), ("email:a@a.test", "a.test", false),
        ("URI:https://a.test/", "a.test", false),
        ("DNS:a.test", "a.test.", true), ("DNS:aa.test", "a.test", false), ("DNS:*.a.b.test", "x.a.b.test", true),
        ("", "common.test", false), ("DNS:a.test", "common.test", false),
    ]

    @Test("a table of names, compared with openssl")
    func names() async throws {
        let folder = TestFolder.path("identity")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let cases = Self.table.map { [$0.names, $0.host] }
        let input = try TestFolder.write(
            String(decoding: try JSONEncoder().encode(cases), as: UTF8.self), as: "cases.json")
        let answers = try await python(
            """
            import json, subprocess, sys, ipaddress
            folder, cases = sys.argv[1], json.load(open(sys.argv[2]))
            subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{folder}/key.pem"], check=True)
            answers = []
            for number, (names, host) in enumerate(cases):
                path = f"{folder}/{number}.pem"
                command = ["openssl", "req", "-x509", "-key", f"{folder}/key.pem", "-days", "2", "-subj", "/CN=common.test", "-out", path]
                if names: command += ["-addext", f"subjectAltName={names}"]
                subprocess.run(command, check=True, capture_output=True)
                try:
                    ipaddress.ip_address(host)
                    check = "-checkip"
                except ValueError: check = "-checkhost"
                said = subprocess.run(["openssl", "x509", "-in", path, "-noout", check, host], capture_output=True, text=True).stdout
                answers.append("does match" in said)
            print(json.dumps(answers))
            """, folder, input)
        var different: [String] = []
        for (number, row) in Self.table.enumerated() {
            let certificate = try #require(NIOSSLCertificate.fromPEMFile("\(folder)/\(number).pem").first)
            #expect(ServerIdentity(certificate).isFor(row.host) == row.fits, "\(row)")
            if answers[number] != .bool(row.fits) { different.append("\(row.names) \(row.host)") }
        }
        // Where openssl differs: it uses the common name of a certificate without names, and wildcards within a label,
        // and does not handle the trailing dot of the root.
        #expect(
            Set(different) == [
                " common.test", "DNS:x*.a.test xy.a.test", "DNS:*x.a.test yx.a.test", "DNS:a.test a.test.",
            ])
    }

    @Test("a certificate for an address does not match a name, directly and through a proxy's tunnel")
    func addressIsNoName() async throws {
        let folder = try await Certificates.shared.folder()
        let made = try await runToEnd(
            Peers.python(),
            [
                "-c",
                """
                import os, sys, trustme
                ca = trustme.CA()
                ca.cert_pem.write_to_path(sys.argv[1] + "/addresses-ca.pem")
                path = sys.argv[1] + "/address.pem"
                ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
                os.chmod(path, 0o644)
                """, folder,
            ])
        #expect(made.code == 0, "\(made.errors)")
        let port = try await Ports.free()
        let server = try PeerProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", "\(folder)/address.pem", "-key",
                "\(folder)/address.pem", "-www", "-quiet",
            ],
            log: TestFolder.path("s_server.log"))
        try await Ports.untilOpen(port)
        let proxy = try await ProxyPeerTests.squid.value.plain
        for useProxy in [false, true] {
            var configuration = SkeinClient.Configuration()
            configuration.logger = .silent
            configuration.http.tls.roots = .file("\(folder)/addresses-ca.pem")
            if useProxy { configuration.http.proxy = .always(try Proxy("http://127.0.0.1:\(proxy)")) }
            let skein = SkeinClient(configuration)
            let named = await skein.get("https://localhost:\(port)/").dispatch()
            #expect(named.failure?.code == .tlsHandshakeFailed, "\(named.reportLine)")
            #expect(
                named.failure?.message.contains("not for localhost but for 127.0.0.1") == true, "\(named.reportLine)")
            #expect(await skein.get("https://127.0.0.1:\(port)/").dispatch().statusCode == 200)
            await skein.shutdown()
        }
        for (host, code) in [("localhost", 60), ("127.0.0.1", 0)] as [(String, Int32)] {
            let theirs = try await runToEnd(
                "curl",
                ["-sS", "-o", "/dev/null", "--cacert", "\(folder)/addresses-ca.pem", "https://\(host):\(port)/"])
            #expect(theirs.code == code, "\(theirs.errors)")
        }
        await server.stop()
    }
}
