// File attributes from the system.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One state of a file: equal as long as the file was neither changed nor replaced.
package struct FileState: Hashable, Sendable {
    package let device: UInt64
    package let inode: UInt64
    package let size: Int
    /// When it was changed, in seconds since 1970.
    package let modified: Int
    package let nanoseconds: Int
    private let mode: mode_t
    private let owner: uid_t

    package init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int(status.st_size)
        mode = status.st_mode
        owner = status.st_uid
        #if canImport(Darwin)
            modified = Int(status.st_mtimespec.tv_sec)
            nanoseconds = Int(status.st_mtimespec.tv_nsec)
        #else
            modified = Int(status.st_mtim.tv_sec)
            nanoseconds = Int(status.st_mtim.tv_nsec)
        #endif
    }

    /// The state of the file at a path, following links; nil if there is none.
    package init?(path: UnsafePointer<CChar>) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// The state of an open file; nil when the descriptor is invalid.
    package init?(descriptor: CInt) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Whether it is a regular file.
    package var isFile: Bool { mode & S_IFMT == S_IFREG }
    package var isFolder: Bool { mode & S_IFMT == S_IFDIR }
    /// Whether users other than its owner have any permission.
    package var isOpenToOthers: Bool { mode & 0o077 != 0 }
    /// Whether it belongs to the user of this process.
    package var isOwn: Bool { owner == geteuid() }
}
