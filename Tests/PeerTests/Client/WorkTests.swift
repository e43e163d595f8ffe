import Foundation
import PeerSupport
import Skein
import SkeinWork
import Synchronization
import Testing

/// Work on threads and in other programs, as corequests beside requests.
@Suite("Work of other kinds", .serialized, .inTurn, .timeLimit(.minutes(2)))
struct WorkTests {
    @Test("Work on threads runs beside requests, fails with its error, and is bounded")
    func threads() async throws {
        let client = SkeinClient()
        let base = "http://127.0.0.1:\(try await Peers.shared.nginxPort())"
        let page = client.get("\(base)/hello")
        let sum = client.thread { (1...1000).reduce(0, +) }
        #expect(try await sum.fetch() == 500_500)
        #expect(await page.dispatch().statusCode == 200)
        struct Broken: Error {}
        let broken = await client.thread { () throws -> Int in throw Broken() }.dispatch()
        #expect(broken.statusCode == 701 && broken.failure?.cause is Broken)

        let pool = WorkPool(threads: 2, queue: 1)
        let gate = DispatchSemaphore(value: 0)
        let three = (0..<3).map { number in
            client.thread(on: pool) {
                gate.wait()
                return number
            }
        }
        let fourth = await client.thread(on: pool) { 0 }.dispatch()
        #expect(fourth.failure?.message.contains("3 work items") == true)
        for _ in 0..<3 { gate.signal() }
        for (number, work) in three.enumerated() { #expect(try await work.fetch() == number) }
        await client.shutdown()
    }

    @Test("Work that is cancelled before it has a thread does not start; timed-out work is not waited for")
    func cancelled() async throws {
        let client = SkeinClient()
        let pool = WorkPool(threads: 1, queue: 10)
        let gate = DispatchSemaphore(value: 0)
        let begun = Mutex(0)
        let first = client.thread(timeout: .milliseconds(50), on: pool) { gate.wait() }
        let second = client.thread(on: pool) { begun.withLock { $0 += 1 } }
        second.cancel()
        #expect(await second.dispatch().statusCode == 712)
        #expect(await first.dispatch().statusCode == 702)
        gate.signal()
        _ = try await client.thread(on: pool) { 1 }.fetch()
        #expect(begun.withLock { $0 } == 0)
        await client.shutdown()
    }

    @Test("The output of a program is read while it runs, no faster than it is consumed, and its input is written")
    func streamed() async throws {
        let client = SkeinClient()
        let cat = client.subprocess("cat")
        var received = 0
        async let written: Void = {
            for _ in 0..<64 { try await cat.write([UInt8](repeating: 7, count: 64 << 10)) }
            cat.closeInput()
        }()
        for try await piece in cat { received += piece.readableBytes }
        try await written
        #expect(received == 4 << 20)
        #expect(try await cat.exit().code == 0)
        await #expect(throws: SkeinError.self) { try await cat.write([1]) }
        let failed = client.subprocess("sh", "-c", "echo one; echo no >&2; exit 3")
        #expect(try await failed.reduce("") { $0 + String(buffer: $1) } == "one\n")
        let exit = try await failed.exit()
        #expect(exit.code == 3 && exit.errorText == "no\n")
        #expect(try await client.subprocess("sh", "-c", "echo dropped; exit 4").exit().code == 4)
        // One that writes without end is held back, and ended when nobody reads it any more.
        let file = TestFolder.path("endless")
        let endless = client.subprocess("sh", "-c", "trap 'echo over > \(file); exit' TERM; yes & wait")
        for try await _ in endless { break }
        endless.cancel()
        for _ in 0..<200 where !FileManager.default.fileExists(atPath: file) {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(FileManager.default.fileExists(atPath: file))
        // What a program has written before its end is not lost to a slow reader.
        let ended = client.subprocess("head", "-c", "300000", "/dev/zero")
        try await Task.sleep(for: .seconds(2))
        var count = 0
        for try await piece in ended {
            if count == 0 { try await Task.sleep(for: .milliseconds(1500)) }
            count += piece.readableBytes
        }
        #expect(count == 300_000)
        // A writer waits while nobody reads what comes back, and gives up when its task is cancelled.
        let unread = client.subprocess("cat")
        let accepted = Mutex(0)
        let writer = Task {
            for _ in 0..<1000 {
                try await unread.write([UInt8](repeating: 7, count: 64 << 10))
                accepted.withLock { $0 += 64 << 10 }
            }
        }
        try await Task.sleep(for: .milliseconds(500))
        #expect(accepted.withLock { $0 } < 2 << 20)
        writer.cancel()
        await #expect(throws: SkeinError.self) { try await writer.value }
        unread.cancel()
        await #expect(throws: SkeinError.self) { try await unread.exit() }
        // A program may close its output and go on to read.
        let kept = TestFolder.path("kept")
        let reading = client.subprocess("sh", "-c", "exec >&- 2>&-; cat > \(kept)")
        try await Task.sleep(for: .milliseconds(300))
        try await reading.write(Array("late".utf8))
        #expect(try await reading.exit().code == 0)
        #expect(try String(contentsOfFile: kept, encoding: .utf8) == "late")
        await #expect(throws: SkeinError.self) {
            for try await _ in client.subprocess("sleep", "60", timeout: .milliseconds(100)) {}
        }
        await #expect(throws: SkeinError.self) { for try await _ in client.subprocess("no-such-program") {} }
        let running = client.subprocess("sleep", "60")
        await client.shutdown()
        await #expect(throws: SkeinError.self, "it ends with its client") { try await running.exit() }
    }

    @Test("Programs get arguments, input and variables unchanged, and report their exit")
    func programs() async throws {
        let client = SkeinClient()
        let text = try await client.process("printf", "%s|", "a b", "$HOME", "\u{E9}\n;", "").fetch().text
        #expect(text == "a b|$HOME|\u{E9}\n;||")
        let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(try await client.process("cat", input: large).fetch().output == large, "in and out at one time")
        #expect(
            try await client.process("sh", "-c", "echo $WORD", environment: ["WORD": "wool"]).fetch().text == "wool\n")
        let failed = await client.process("sh", "-c", "echo no >&2; exit 3").dispatch()
        #expect(failed.statusCode == 500 && failed.content.code == 3 && failed.reason == "exit code 3: no")
        await #expect(throws: SkeinError.self) { _ = try await client.process("false").fetch() }
        #expect(await client.process("sh", "-c", "kill -9 $$").dispatch().content.code == 137)
        #expect(await client.process("no-such-program").dispatch().statusCode == 701)
        #expect(await client.process("/etc/hostname").dispatch().statusCode == 701, "it is no program")
        struct Row: Decodable { let n: Int }
        #expect(try await client.process("echo", "[{\"n\": 7}]").one(Row.self).n == 7)
        #expect(await client.process("yes", maximumOutput: 100_000).dispatch().statusCode == 719)
        await client.shutdown()
    }

    @Test("A timed-out program is killed with its process group, and nothing is left open")
    func ended() async throws {
        let client = SkeinClient()
        // Descriptors of other tests in this process have low numbers.
        func pipes() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").filter { name in
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
                return Int(name) ?? 0 >= 200 && target?.hasPrefix("pipe:") == true
            }.count
        }
        _ = try await client.process("true").fetch()
        let before = try pipes()
        let mark = "4\(UInt32.random(in: 1000...9999)).5"
        let start = ContinuousClock.now
        let late = client.process(
            "sh", "-c", "sleep \(mark) & trap '' TERM; sleep \(mark)", timeout: .milliseconds(200))
        #expect(await late.dispatch().statusCode == 702)
        #expect(start.duration(to: .now) < .seconds(1), "the corequest does not wait for the program")
        // Pipes held open by a background program do not delay a corequest.
        let quick = client.process("sh", "-c", "sleep \(mark) & echo started")
        #expect(try await quick.fetch().text == "started\n")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { _ = await client.process("true").dispatch() } }
        }
        var left = "?"
        for _ in 0..<200 where !left.isEmpty {
            left = try await runToEnd("pgrep", ["-f", "sleep \(mark)"]).output
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(left.isEmpty, "\(left)")
        for _ in 0..<500 where try pipes() > before { try await Task.sleep(for: .milliseconds(20)) }
        #expect(try pipes() <= before)
        await client.shutdown()
    }
}
