// A folder of this test run for files, sockets and the process IDs of peers, so that peers left behind by a crash can
// be ended.

import Foundation

/// The folder of this run.
public enum TestFolder {
    /// Where it is: `SKEIN_TEST_FOLDER`, or a new temporary folder.
    public static let url: URL = {
        let named = ProcessInfo.processInfo.environment["SKEIN_TEST_FOLDER"] ?? ""
        // An empty name would be the working folder of the run.
        let url =
            !named.isEmpty
            ? URL(filePath: named) : FileManager.default.temporaryDirectory.appending(path: "skein-tests-\(getpid())")
        try? FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }()

    /// A unique path in the folder, short enough for a unix socket.
    public static func path(_ name: String) -> String {
        url.appending(path: "\(UUID().uuidString.prefix(8))-\(name)").path
    }

    /// Writes a file into the folder.
    public static func write(_ content: String, as name: String) throws -> String {
        let path = path(name)
        try content.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
