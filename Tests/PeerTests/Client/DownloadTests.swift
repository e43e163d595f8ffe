import Foundation
import PeerSupport
import Skein
import Synchronization
import Testing

/// Downloads from nginx, interrupted and resumed.
@Suite("Downloads", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct DownloadTests {
    private func nginx() async throws -> String { "http://127.0.0.1:\(try await Peers.shared.nginxPort())" }

    private static let varied = Data(
        (0..<4 << 18).flatMap { withUnsafeBytes(of: UInt32($0).bigEndian) { Array($0) } })

    @Test("a download appears when it is complete, and reports progress")
    func whole() async throws {
        let path = TestFolder.path("file")
        let last = Mutex(0)
        let response = try await SkeinClient().download("\(try await nginx())/varied", to: path) { progress in
            #expect(progress.total == 4 << 20 && progress.resumedFrom == 0)
            last.withLock { $0 = progress.received }
        }
        #expect(response.statusCode == 200)
        #expect(try Data(contentsOf: URL(filePath: path)) == Self.varied)
        #expect(last.withLock { $0 } == 4 << 20)
        #expect(!FileManager.default.fileExists(atPath: "\(path).part"))
    }

    @Test("an interrupted download resumes, and restarts when the server has another version")
    func resumed() async throws {
        let base = try await nginx()
        let path = TestFolder.path("file")
        let skein = SkeinClient()
        try await interrupt(skein, "\(base)/slowly/varied", path)
        let left = try #require(try FileManager.default.attributesOfItem(atPath: "\(path).part")[.size] as? Int)
        #expect(left >= 1 << 20 && left < 4 << 20)
        #expect(!FileManager.default.fileExists(atPath: path))
        let from = Mutex(0)
        let response = try await skein.download("\(base)/varied", to: path, resumes: true) { progress in
            from.withLock { $0 = progress.resumedFrom }
        }
        #expect(response.statusCode == 206)
        #expect(from.withLock { $0 } == left)
        #expect(try Data(contentsOf: URL(filePath: path)) == Self.varied)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: TestFolder.url.path).allSatisfy {
                !$0.hasSuffix("file.part.version")
            })

        let other = TestFolder.path("other")
        try await interrupt(skein, "\(base)/slowly/varied", other)
        try "\"another\"".write(toFile: "\(other).part.version", atomically: true, encoding: .utf8)
        #expect(try await skein.download("\(base)/varied", to: other, resumes: true).statusCode == 200)
        #expect(try Data(contentsOf: URL(filePath: other)) == Self.varied)
    }

    @Test("a complete partial file is renamed; without a validator nothing is resumed")
    func nearlyDone() async throws {
        let base = try await nginx()
        let path = TestFolder.path("file")
        let skein = SkeinClient()
        let tag = try #require(await skein.head("\(base)/varied").dispatch().header("ETag"))
        try Self.varied.write(to: URL(filePath: "\(path).part"))
        try tag.write(toFile: "\(path).part.version", atomically: true, encoding: .utf8)
        #expect(try await skein.download("\(base)/varied", to: path, resumes: true).statusCode == 416)
        #expect(try Data(contentsOf: URL(filePath: path)) == Self.varied)
        try Data("wrong".utf8).write(to: URL(filePath: "\(path).part"))
        #expect(try await skein.download("\(base)/varied", to: path, resumes: true).statusCode == 200)
        #expect(try Data(contentsOf: URL(filePath: path)) == Self.varied)
    }

    @Test("an error is thrown and no file is written; a file that cannot be written is a clear error")
    func failures() async throws {
        let base = try await nginx()
        let path = TestFolder.path("file")
        await #expect(throws: SkeinError.self) { try await SkeinClient().download("\(base)/none", to: path) }
        await #expect(throws: SkeinError.self) {
            try await SkeinClient().download("\(base)/big", to: "/none/such/file")
        }
        let cut = try await ScriptedServer.start { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), .close]
        }
        await #expect(throws: SkeinError.self) {
            try await SkeinClient().download("http://127.0.0.1:\(cut.port)/", to: path)
        }
        #expect(
            !FileManager.default.fileExists(atPath: path) && !FileManager.default.fileExists(atPath: "\(path).part"))
        await cut.stop()
    }

    @Test("a pipe is written to directly, and a link stays a link")
    func otherTargets() async throws {
        let base = try await nginx()
        let pipe = TestFolder.path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let copy = TestFolder.path("copy")
        let reader = Task { try await runToEnd("dd", ["if=\(pipe)", "of=\(copy)", "status=none"]) }
        try await SkeinClient().download("\(base)/varied", to: pipe, resumes: true)
        #expect(try await reader.value.code == 0)
        #expect(try Data(contentsOf: URL(filePath: copy)) == Self.varied)
        let target = TestFolder.path("target")
        let link = TestFolder.path("link")
        try "old".write(toFile: target, atomically: true, encoding: .utf8)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        try await SkeinClient().download("\(base)/varied", to: link)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == target)
        #expect(try Data(contentsOf: URL(filePath: target)) == Self.varied)
    }

    @Test("the command line downloads and resumes")
    func command() async throws {
        let base = try await nginx()
        let path = TestFolder.path("file")
        try await interrupt(SkeinClient(), "\(base)/slowly/varied", path)
        let finished = try await runToEnd(
            CommandTests.skein, ["get", "\(base)/varied", "--download", path, "--resume"])
        #expect(finished.output.contains("of them from the earlier attempt"), "\(finished.output)\(finished.errors)")
        #expect(try Data(contentsOf: URL(filePath: path)) == Self.varied)
        let missing = try await runToEnd(CommandTests.skein, ["get", "\(base)/none", "-o", path + "2"])
        #expect(missing.code == 1 && missing.output.contains("404"))
    }

    /// Downloads a megabyte and is cancelled then.
    private func interrupt(_ skein: SkeinClient, _ url: String, _ path: String) async throws {
        let isEnough = AsyncStream<Void>.makeStream()
        let task = Task {
            try await skein.download(url, to: path, resumes: true) { progress in
                if progress.received >= 1 << 20 { isEnough.continuation.yield() }
            }
        }
        for await _ in isEnough.stream { break }
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
    }
}
