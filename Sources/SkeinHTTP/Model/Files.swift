// What several places need to know of files.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the system says of a file.
struct FileStatus {
    let size: Int
    let modified: Date
    private let mode: mode_t

    /// Nil when there is none.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        size = Int(status.st_size)
        mode = status.st_mode
        #if canImport(Darwin)
            modified = Date(timeIntervalSince1970: Double(status.st_mtimespec.tv_sec))
        #else
            modified = Date(timeIntervalSince1970: Double(status.st_mtim.tv_sec))
        #endif
    }

    /// Whether it is no folder, socket or device.
    var isRegular: Bool { mode & S_IFMT == S_IFREG }
    /// Whether others than its owner may do something with it.
    var isOpenToOthers: Bool { mode & 0o077 != 0 }
}

/// Files that nobody but their owner reads.
enum PrivateFile {
    /// Writes a file so that it is there whole or not at all.
    static func write(_ data: Data, to path: String) throws {
        let temporary = "\(path).\(UInt32.random(in: .min ... .max))"
        guard
            FileManager.default.createFile(
                atPath: temporary, contents: nil, attributes: [.posixPermissions: 0o600])
        else { throw CocoaError(.fileWriteUnknown) }
        do {
            try data.write(to: URL(filePath: temporary))
            guard rename(temporary, path) == 0 else { throw CocoaError(.fileWriteUnknown) }
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
    }
}
