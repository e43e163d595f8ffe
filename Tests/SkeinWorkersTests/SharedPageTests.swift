import CSkeinWorkers
import Foundation
import SkeinCore
import Testing

@testable import SkeinWorkers

/// Memory that processes share.
@Suite("The shared page")
struct SharedPageTests {
    @Test("States are found by their bytes, from every mapping, and count exactly under 16 writers")
    func states() async throws {
        let page = try SharedPage()
        let other = try SharedPage(descriptor: fcntl(page.descriptor, F_DUPFD_CLOEXEC, 0))
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<16 {
                group.addTask {
                    let own = writer % 2 == 0 ? page : other
                    for _ in 0..<5000 { _ = try? own.add(1, to: "count") }
                }
            }
        }
        #expect(try page.value(of: "count") == 80_000)
        #expect(try other.value(of: "never") == 0)
        #expect(try !page.compareAndSet("count", expected: 1, to: 5))
        #expect(try page.compareAndSet("count", expected: 80_000, to: .max))
        #expect(try page.add(1, to: "count") == .min, "it wraps around")
        #expect(try page.lastChange(of: "quiet") == nil)
        try page.touch("quiet")
        let changed = try #require(try other.lastChange(of: "quiet"))
        #expect(abs(changed - Date().timeIntervalSince1970) < 5)
        // Two spellings of one character are two names.
        try page.set("\u{E9}", to: 1)
        #expect(try page.value(of: "e\u{301}") == 0)
        #expect(Set(page.states.map(\.name)).count == page.states.count - 1 || page.states.count == 5)
    }

    @Test("Limits for the length and the number of names")
    func names() throws {
        let page = try SharedPage()
        for name in ["", String(repeating: "x", count: 89)] {
            #expect(throws: SkeinError.self) { try page.value(of: name) }
        }
        for number in 0..<1024 { try page.set("\(number)", to: number) }
        #expect(throws: SkeinError.self) { try page.value(of: "one more") }
        #expect(try page.value(of: "1023") == 1023)
    }

    @Test("An invalid file, or one of another version, is refused")
    func foreign() throws {
        let path = "\(FileManager.default.temporaryDirectory.path)/skein-page-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(count: 1 << 16).write(to: URL(filePath: path))
        let descriptor = open(path, O_RDWR)
        #expect(throws: SkeinError.self) { try SharedPage(descriptor: descriptor) }
        close(descriptor)
    }

    @Test("Counters of ended processes stay in the sums, and their records are reused")
    func records() throws {
        let page = try SharedPage()
        var taken: [ProcessRecord] = []
        while let record = page.takeRecord(slot: taken.count, generation: 1) { taken.append(record) }
        #expect(taken.count == 128)
        for (index, record) in taken.enumerated() {
            record.own(Int32(1000 + index))
            record.shards = 2
            skein_count(record.counters(ofShard: 1) + 3, 5)
        }
        #expect(page.sums(4) == [0, 0, 0, 640])
        for record in taken[..<64] { record.end() }
        #expect(page.sums(4) == [0, 0, 0, 640])
        #expect(page.records.count == 64)
        let again = try #require(page.takeRecord(slot: 0, generation: 2))
        again.own(1)
        #expect(again.sum(3) == 0)
    }

    @Test("Counts by name; the least recently used ones are evicted")
    func meters() throws {
        let page = try SharedPage()
        func use(_ name: String, at now: Double) -> Double {
            page.withMeter(name, at: now) { meter in
                meter.used += 1
                return meter.used
            }
        }
        #expect(use("a", at: 1) == 1)
        #expect(use("a", at: 2) == 2)
        #expect(use("b", at: 2) == 1)
        for number in 0..<100_000 { _ = use("n\(number)", at: 3 + Double(number)) }
        #expect(use("a", at: 200_000) == 1, "it was forgotten")
        #expect(use("n99999", at: 200_001) == 2)
    }

    @Test("One holder of a lock in all processes, and increasing fences")
    func locks() async throws {
        let page = try SharedPage()
        // For the system, two lock tables are like two processes.
        let (here, there) = (try NamedLocks(page), try NamedLocks(page))
        let first = try #require(try here.tryLock("a"))
        #expect(try here.tryLock("a") == nil)
        #expect(try there.tryLock("a") == nil)
        #expect(try there.tryLock("b") != nil)
        here.release(first)
        let second = try #require(try there.tryLock("a"))
        #expect(second.fence == first.fence + 1)
        there.release(second)
        nonisolated(unsafe) var inside = 0
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    let locks = task % 2 == 0 ? here : there
                    for _ in 0..<50 {
                        guard let hold = try? await Self.lock("count", of: locks) else { return }
                        let before = inside
                        await Task.yield()
                        inside = before + 1
                        locks.release(hold)
                    }
                }
            }
        }
        #expect(inside == 400)
    }

    /// Takes a lock as soon as it is free, and fails after two minutes.
    private static func lock(_ name: String, of locks: NamedLocks) async throws -> NamedLocks.Hold {
        let end = ContinuousClock.now + .seconds(120)
        var pause = Duration.microseconds(200)
        while ContinuousClock.now < end {
            if let hold = try locks.tryLock(name) { return hold }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(10))
        }
        throw SkeinError(.timeout, because: "the lock is not free")
    }

    @Test("A lock is free when its holder's process ends, however it does")
    func lostHolders() async throws {
        let page = try SharedPage()
        let locks = try NamedLocks(page)
        let (entry, index) = try page.lock("fragile")
        _ = entry
        // Python takes the system's lock on the same file, and is killed while it holds the lock.
        let program = """
            import fcntl, os, struct, sys, time
            file = os.open('/proc/\(getpid())/fd/\(page.descriptor)', os.O_RDWR)
            fcntl.fcntl(file, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, \(index), 1, 0))
            os.write(1, b'held\\n')
            time.sleep(60)
            """
        for _ in 0..<20 {
            let process = Process()
            let pipe = Pipe()
            process.executableURL = URL(filePath: "/usr/bin/python3")
            process.arguments = ["-c", program]
            process.standardOutput = pipe
            try process.run()
            #expect(pipe.fileHandleForReading.availableData == Data("held\n".utf8))
            #expect(try locks.tryLock("fragile") == nil)
            kill(process.processIdentifier, SIGKILL)
            let hold = try await Self.lock("fragile", of: locks)
            locks.release(hold)
            process.waitUntilExit()
        }
    }

    @Test("Broadcasts are read as written, and a sender's gaps are counted")
    func broadcasts() throws {
        let message = Broadcast(topic: "t\u{E9}", bytes: [0, 255, 10])
        let sent = message.encoded(from: 7, number: 3)
        let got = try #require(Broadcast.decode(sent))
        #expect(got.broadcast == message && got.sender == 7 && got.number == 3)
        for count in 0..<18 { #expect(Broadcast.decode(Array(sent.prefix(count))) == nil) }
        var order = BroadcastOrder()
        #expect(order.receive(5, from: 1) == 0, "the first one that this process hears")
        #expect(order.receive(6, from: 1) == 0)
        #expect(order.receive(9, from: 1) == 2)
        #expect(order.receive(1, from: 2) == 0)
        #expect(order.receive(9, from: 1) == 0)
        for sender in 10..<1000 as Range<UInt64> { #expect(order.receive(1, from: sender) == 0) }
    }

    @Test("A pid file has one owner, and is ignored without one")
    func pidFile() throws {
        let path = "\(FileManager.default.temporaryDirectory.path)/skein-\(UUID()).pid"
        #expect(PidFile.owner(of: path) == nil)
        let file = try PidFile(locking: path)
        file.write()
        #expect(PidFile.owner(of: path) == getpid())
        #expect(throws: SkeinError.self) { try PidFile(locking: path) }
        file.remove()
        #expect(!FileManager.default.fileExists(atPath: path))
        try "1\n".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(PidFile.owner(of: path) == nil, "nobody has locked it")
        try PidFile(locking: path).remove()
        try? FileManager.default.removeItem(atPath: path)
    }

    @Test("Words of a command line, parsed as by systemd")
    func unit() {
        var unit = ServiceUnit(name: "blog", command: ["/opt/my blog/blog", "--db", "100%$HOME", "a\"b\\c", ""])
        unit.user = "www"
        let text = unit.text
        #expect(text.contains("ExecStart=\"/opt/my blog/blog\" --db 100%%$$HOME \"a\\\"b\\\\c\" \"\"\n"))
        #expect(text.contains("User=www\n") && text.contains("Type=notify\n"))
    }

    @Test("Lines of a report that are not stack frames are not changed, whatever clients put into them")
    func hostileFrames() {
        let lines = [
            "", "(", ")", "+", "(+)", "(+", "x(+)", "x(+0x)", "x(+0xg)", "x(+1)", "+()", ")+(", "x(y+0x)",
            "under way: (+0x1)",
            "under way: a(+0x1)b", "x(+0xffffffffffffffffff)", "\u{E9}(+\u{301}0x1)",
        ]
        #expect(CrashReport.readable(lines, program: "/proc/self/exe") == lines)
    }

    @Test("Names that are only read take no room")
    func asked() throws {
        let page = try SharedPage()
        for number in 0..<2000 { #expect(try page.lastChange(of: "\(number)") == nil) }
        #expect(page.states.isEmpty)
    }

    @Test("Corrupted numbers of a worker do no harm")
    func wildWrites() throws {
        let page = try SharedPage()
        let record = try #require(page.takeRecord(slot: 0, generation: 1))
        record.own(1)
        let bytes = UnsafeMutableRawBufferPointer(start: skein_page_record(page.page, 0), count: 2048)
        for pattern in [Int64.min, -1, .max] {
            // All except the process ID.
            for place in stride(from: 8, to: bytes.count, by: 8) {
                bytes.storeBytes(of: pattern, toByteOffset: place, as: Int64.self)
            }
            page[.started] = Int(pattern)
            _ = ServerStatusReport(page).text
            _ = page.sums(25)
            _ = record.mostSilent
            #expect((0...64).contains(record.shards))
        }
        record.end()
    }

    @Test("Function names in stack frames")
    func frames() {
        let lines = CrashReport.readable(
            [
                "signal 11", "/lib/libx.so(+0x1f) [0x7f]", "/lib/libx.so($sSS5countSivg+0x10)[0x1]",
                "skein/x: worker #0(+0x0)[0x0]",
            ],
            program: "/proc/self/exe")
        #expect(
            lines == [
                "signal 11", "libx.so + 0x1f", "libx.so: Swift.String.count.getter : Swift.Int + 16", "program + 0x0",
            ])
    }
}
