import Foundation
import Logging
import Testing

@testable import SkeinCore

@Suite("Loggers")
struct LoggingTests {
    @Test("a full log file is renamed, and only a number of them are retained")
    func rotation() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "skein-log-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "app.log").path
        let logger = try Logger.file(path, maximumBytes: 400, keep: 2)
        for number in 0..<40 { logger.info("line \(number)\nwith a break", metadata: ["n": "\(number)"]) }
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == [
                "app.log", "app.log.1", "app.log.2",
            ])
        let newest = try String(contentsOfFile: path, encoding: .utf8)
        #expect(newest.contains("line 39⏎with a break n=39\n"))
        for name in ["app.log", "app.log.1", "app.log.2"] {
            #expect(try Data(contentsOf: folder.appending(path: name)).count <= 400)
        }
    }

    @Test("a log file that cannot be opened is an error that names it")
    func unopenable() {
        let error = #expect(throws: SkeinError.self) { try Logger.file("/nonexistent/folder/app.log") }
        #expect(error?.peer == "/nonexistent/folder/app.log")
    }
}

@Suite("Deadlines")
struct DeadlineTests {
    @Test("an inner deadline shortens, never lengthens")
    func nesting() async {
        let near = Deadline.after(.seconds(1))
        let far = Deadline.after(.seconds(100))
        await withDeadline(near) {
            await withDeadline(far) { #expect(Deadline.current == near) }
        }
        await withDeadline(far) {
            await withDeadline(near) { #expect(Deadline.current == near) }
        }
        #expect(Deadline.current == nil)
    }
}

/// One log file to which several processes write.
@Suite("A log file of several processes")
struct SharedLogFileTests {
    @Test("No line is lost or torn, and a full file is renamed once")
    func writers() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "skein-log-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/requests.log"
        // Each has opened the file separately, as processes do.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    let file = try RotatingFile(path: path, maximumBytes: 60_000, keep: 50)
                    for number in 0..<2000 {
                        file.write("writer \(writer) line \(number) \(String(repeating: "x", count: number % 90))\n")
                        if number % 100 == 0 { try await Task.sleep(for: .milliseconds(25)) }
                    }
                }
            }
            try await group.waitForAll()
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        var numbers: [Int: [Int]] = [:]
        for name in files {
            let text = try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
            #expect(text.hasSuffix("\n"))
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count >= 4, words[0] == "writer", let writer = Int(words[1]), let number = Int(words[3])
                else {
                    Issue.record("torn: \(line)")
                    continue
                }
                #expect((words.count > 4 ? words[4].count : 0) == number % 90)
                numbers[writer, default: []].append(number)
            }
        }
        for writer in 0..<4 { #expect(numbers[writer]?.sorted() == Array(0..<2000)) }
        #expect((5...20).contains(files.count), "\(files.count) files of about 540 KB in parts of 60")
    }
}
