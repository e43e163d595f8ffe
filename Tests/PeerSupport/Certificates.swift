// Certificates of every kind, created once for a test run by Python's trustme.

import Foundation

/// The folder with the certificates: each `NAME.pem` holds a chain and its key.
public actor Certificates {
    public static let shared = Certificates()

    private var made: Task<String, any Error>?

    /// Creates them on the first use: `good` (localhost, 127.0.0.1), `expired`, `future`, `other` (other.test), `wild`
    /// (*.wild.test), `self` (self-signed), `chained` (with an intermediate), `broken` (without it), `client`,
    /// `stranger` (a client of another authority); `ca` is the root, `roots/` a directory with it.
    public func folder() async throws -> String {
        if let made { return try await made.value }
        let task = Task { try await Self.make() }
        made = task
        return try await task.value
    }

    private static func make() async throws -> String {
        let folder = TestFolder.path("certificates")
        try FileManager.default.createDirectory(atPath: "\(folder)/roots", withIntermediateDirectories: true)
        let script = """
            import datetime, os, sys, trustme
            folder = sys.argv[1]
            now = datetime.datetime.now(datetime.timezone.utc)
            day = datetime.timedelta(days=1)
            def write(name, cert):
                path = f"{folder}/{name}.pem"
                cert.private_key_and_cert_chain_pem.write_to_path(path)
                os.chmod(path, 0o644)
            ca = trustme.CA(organization_name="Skein tests", organization_unit_name="root")
            other = trustme.CA()
            ca.cert_pem.write_to_path(f"{folder}/ca.pem")
            ca.cert_pem.write_to_path(f"{folder}/roots/ca.crt")
            names = ["localhost", "127.0.0.1", "::1"]
            write("good", ca.issue_cert(*names, common_name="good.test"))
            write("expired", ca.issue_cert(*names, not_before=now - 3 * day, not_after=now - day))
            write("future", ca.issue_cert(*names, not_before=now + day, not_after=now + 3 * day))
            write("other", ca.issue_cert("other.test"))
            write("wild", ca.issue_cert("*.wild.test"))
            write("client", ca.issue_cert("client@skein.test", common_name="a client"))
            write("stranger", other.issue_cert("stranger@skein.test"))
            write("unknown", other.issue_cert(*names))
            child = ca.create_child_ca()
            chained = child.issue_cert(*names)
            write("chained", chained)
            with open(f"{folder}/broken.pem", "wb") as file:
                file.write(chained.private_key_pem.bytes() + chained.cert_chain_pems[0].bytes())
            os.chmod(f"{folder}/broken.pem", 0o644)
            """
        let run = try await runToEnd(Peers.python(), ["-c", script, folder])
        guard run.code == 0 else { throw PeerError("no certificates: \(run.errors)") }
        let signed = try await runToEnd(
            "openssl",
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=self.test", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "\(folder)/self.key", "-out",
                "\(folder)/self.crt",
            ])
        guard signed.code == 0 else { throw PeerError("no self-signed certificate: \(signed.errors)") }
        let both =
            try String(contentsOfFile: "\(folder)/self.key", encoding: .utf8)
            + String(contentsOfFile: "\(folder)/self.crt", encoding: .utf8)
        try both.write(toFile: "\(folder)/self.pem", atomically: true, encoding: .utf8)
        return folder
    }
}
