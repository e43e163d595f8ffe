import Foundation
import PeerSupport
import Testing

@testable import SkeinACME

/// When certificates are requested, and again after a failure.
@Suite("Renewal")
struct RenewalMachineTests {
    @Test("after two thirds of the lifetime, with a random twelfth")
    func renewal() {
        let day = 86_400.0
        #expect(RenewalMachine.renewal(start: 0, end: 90 * day, chance: 0) == 60 * day)
        #expect(RenewalMachine.renewal(start: 0, end: 90 * day, chance: 1) == 67.5 * day)
        #expect(RenewalMachine.renewal(start: 100, end: 50, chance: 1) == 100)
    }

    typealias Row = (kind: String, retryAfter: Double?, pauses: [Double])

    static let rows: [Row] = [
        ("unreachable", nil, [30, 60, 120]), ("connection", nil, [900, 1800, 3600]),
        ("serverInternal", nil, [30, 60, 120]), ("status 503", nil, [30, 60, 120]),
        ("badNonce", nil, [30, 60, 120]), ("unauthorized", nil, [900, 1800, 3600]), ("dns", nil, [900, 1800, 3600]),
        ("rejectedIdentifier", nil, [900, 1800, 3600]), ("status 403", nil, [900, 1800, 3600]),
        ("rateLimited", nil, [3600, 7200, 14_400]), ("rateLimited", 10_000, [10_000, 10_000, 14_400]),
    ]

    @Test("pauses grow with failures, by their kind", arguments: rows.indices)
    func failures(row: Int) {
        let (kind, retryAfter, pauses) = Self.rows[row]
        var machine = RenewalMachine()
        let problem = ACMEProblem(kind: kind, detail: "", retryAfter: retryAfter)
        #expect(pauses.indices.map { _ in machine.failed(.init(problem), chance: 0) } == pauses)
        for _ in 0..<100 { #expect(machine.failed(.init(problem), chance: 1) <= 1.2 * 86_400) }
        machine.succeeded()
        #expect(machine.failed(.init(problem), chance: 0) == pauses[0])
    }

    @Test("valid names for certificates")
    func names() {
        func problem(_ names: [String], _ challenge: ACMEChallenge = .http) -> Bool {
            var options = ACMEConfiguration(names: names, folder: "x")
            options.challenge = challenge
            return (try? options.check()) == nil
        }
        #expect(!problem(["example.org", "WWW.example.org", "xn--bcher-kva.example"]))
        for bad in [
            "", "localhost", "a..b", "a b.org", "-a.org", "http://a.org", "a.org/", "b\u{fc}cher.example",
            "*.example.org",
        ] {
            #expect(problem([bad]), "\(bad)")
        }
        #expect(
            problem([]) && !problem(["*.example.org"], .dns(program: "/bin/true"))
                && problem(["*.*.org"], .dns(program: "x")))
    }

    @Test("files: for their owner only, complete, and broken ones are requested again")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "skein-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let files = try CertificateFiles(folder)
        let path = files.path(["*.example.org"])
        #expect(path == "\(folder)/_.example.org.pem" && files.life(path) == nil)
        let made = try SelfSignedCertificate.make(names: ["a.example.org", "127.0.0.1"], days: 10)
        try files.write(made.certificate + made.key, to: path)
        let life = try #require(files.life(path))
        #expect(
            life.isSelfSigned && life.names == ["a.example.org"]
                && abs(life.end - Date().timeIntervalSince1970 - 864_000) < 60)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try files.write(String(made.certificate.prefix(200)), to: path)
        #expect(files.life(path) == nil)
        let account = files.account("https://a.example/directory")
        try files.keep(account, "https://a.example/directory")
        #expect(files.account("https://a.example/directory").key.rawRepresentation == account.key.rawRepresentation)
        #expect(files.account("https://b.example/directory").key.rawRepresentation != account.key.rawRepresentation)
    }
}
