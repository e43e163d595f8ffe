// Detects changes of files.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The last seen states of files.
struct FileStates {
    private struct Seen: Equatable {
        var inode: UInt64 = 0
        var size: Int64 = 0
        var changed: Int64 = 0
    }

    private let paths: [String]
    private let folders: [String]
    private var known: [Seen]
    private var last: [Seen]

    /// - Parameter folders: folders whose Python sources are watched too, including their subfolders.
    init(_ paths: [String], folders: [String] = []) {
        self.paths = paths
        self.folders = folders
        known = (paths + SourceFiles.ofPython(in: folders)).map(Self.look)
        last = known
    }

    private static func look(_ path: String) -> Seen {
        var facts = stat()
        guard stat(path, &facts) == 0 else { return Seen() }
        #if canImport(Darwin)
            let time = facts.st_mtimespec
        #else
            let time = facts.st_mtim
        #endif
        return Seen(
            inode: UInt64(facts.st_ino), size: Int64(facts.st_size),
            changed: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Whether the files have changed and are not being written: they are the same twice in a row.
    mutating func haveChanged() -> Bool {
        guard !paths.isEmpty || !folders.isEmpty else { return false }
        let now = (paths + SourceFiles.ofPython(in: folders)).map(Self.look)
        defer { last = now }
        guard now == last, now != known, !now.contains(Seen()) else { return false }
        known = now
        return true
    }
}
