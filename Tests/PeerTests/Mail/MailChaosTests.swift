import Foundation
import PeerSupport
import SkeinCore
import SkeinMail
import Synchronization
import Testing

/// Everything fails at random. `SKEIN_MAIL_CHAOS=10000` makes a long run of it.
@Suite("Mail: chaos", .serialized, InTurn(places: 3), .timeLimit(.minutes(20)))
struct MailChaosTests {
    private final class Counter: Sendable {
        private let value = Mutex(0)
        var count: Int { value.withLock { $0 } }
        func add() { value.withLock { $0 += 1 } }
    }

    @Test("nothing is lost while the agent and the server are killed, and the server fails at random")
    func chaos() async throws {
        let count = ProcessInfo.processInfo.environment["SKEIN_MAIL_CHAOS"].flatMap { Int($0) } ?? 600
        let spoolFolder = TestFolder.path("spool")
        let spool = try MailSpool(spoolFolder)
        let port = try await Ports.free()
        let log = TestFolder.path("mails")
        var random = SeededGenerator(seed: 11)
        let stored = Counter()
        let storing = Task {
            for number in 0..<count {
                var message = MailMessage(
                    from: "a@example.org", to: [MailAddress("ok-\(number)@x.test")], subject: "number \(number)",
                    text: "text")
                if number % 7 == 0 { message.to.append(MailAddress("ok-\(number)@y.test")) }
                if number % 100 == 0 { message.bcc = (0..<110).map { MailAddress("ok-\(number)-\($0)@z.test") } }
                if number % 50 == 0 { message.attach([UInt8](repeating: 1, count: 200_000), as: "x") }
                message.headers = [("X-Number", "\(number)")]
                _ = try spool.store(message)
                stored.add()
            }
        }
        func startAgent() throws -> PeerProcess {
            try PeerProcess(
                CommandTests.skein,
                [
                    "mail", "agent", "run", "--spool", spoolFolder, "--relay", "smtp://127.0.0.1:\(port)",
                    "--first-retry", "0.3",
                    "--longest-retry", "1",
                ], log: TestFolder.path("agent.log"))
        }
        var agent = try startAgent()
        var server = try await MailServer("--chaos", "1", port: port, log: log)
        let end = ContinuousClock.now + .seconds(count > 1000 ? 600 : 90)
        var kills = 0
        while ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(random.number(200...1200)))
            if kills > 3, stored.count == count, MailAgentTests.isEmpty(spool) { break }
            switch random.number(0...3) {
            case 0:
                kills += 1
                await agent.stop(SIGKILL)
                agent = try startAgent()
            case 1:
                kills += 1
                await server.process.stop(SIGKILL)
                server = try await MailServer("--chaos", "\(random.number(1...1000))", port: port, log: log)
            default: break
            }
        }
        try await storing.value
        try await wait("an empty spool") { MailAgentTests.isEmpty(spool) }
        await agent.stop()
        await server.process.stop()
        var got: [String: Int] = [:]
        for kept in server.kept { for recipient in kept.to { got["\(recipient)", default: 0] += 1 } }
        var lost: [String] = []
        for number in 0..<count {
            if got["ok-\(number)@x.test"] == nil { lost.append("ok-\(number)@x.test") }
            if number % 100 == 0 { lost += (0..<110).map { "ok-\(number)-\($0)@z.test" }.filter { got[$0] == nil } }
            if number % 7 == 0, got["ok-\(number)@y.test"] == nil { lost.append("ok-\(number)@y.test") }
        }
        #expect(lost.isEmpty, "lost: \(lost.prefix(5))")
        let twice = got.values.reduce(0) { $0 + $1 - 1 }
        print("mail: \(count) messages, \(kills) kills, \(lost.count) lost, \(twice) duplicates")
        // Each kill, and each connection that ends after the message, can leave as many as were in progress.
        #expect(kills > 3 && twice <= kills * 70 + count / 10)
        #expect(spool.names(.failed).isEmpty)
    }
}
