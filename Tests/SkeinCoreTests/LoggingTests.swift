import Foundation
import Logging
import Testing

@testable import SkeinCore

@Suite("Loggers")
struct LoggingTests {
    @Test("a full log file is moved aside, and only so many are kept")
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
