// The file with the process ID of the master, which keeps a lock on it.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file with a process ID, and a lock that shows that the process lives.
///
/// Only the lock counts (flock(2)): the number in a file left behind by a crash may now belong to another program.
package struct PidFile: Sendable {
    /// Where it is.
    package let path: String
    let descriptor: CInt

    /// Makes the file and locks it.
    /// - Throws: code 701 when another process holds the lock, or the file cannot be created.
    package init(locking path: String) throws(SkeinError) {
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else {
                throw SkeinError(
                    .exception, peer: path,
                    because: "the pid file cannot be created: \(String(cString: strerror(errno)))")
            }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                close(descriptor)
                let owner = Self.read(path).map { " as process \($0)" } ?? ""
                throw SkeinError(.exception, peer: path, because: "it is running already\(owner)")
            }
            // Another process may have removed the file while this one was waiting to lock it.
            var (opened, named) = (stat(), stat())
            if fstat(descriptor, &opened) == 0, lstat(path, &named) == 0, opened.st_ino == named.st_ino {
                self.path = path
                self.descriptor = FileNumbers.raised(descriptor)
                // An existing file may have permissions that let other users lock it.
                fchmod(self.descriptor, 0o600)
                guard write() else {
                    let problem = String(cString: strerror(errno))
                    close(self.descriptor)
                    throw SkeinError(.exception, peer: path, because: "the pid file cannot be written: \(problem)")
                }
                return
            }
            close(descriptor)
        }
    }

    /// Takes over the file of a master that this one replaces; the lock comes with the descriptor.
    init(inherited descriptor: CInt, path: String) {
        self.path = path
        self.descriptor = FileNumbers.raised(descriptor)
    }

    /// Writes the number of this process.
    /// - Returns: whether the disk had room for it.
    @discardableResult
    func write() -> Bool {
        let text = Array("\(getpid())\n".utf8)
        // Overwritten in place, so that a reader finds either number.
        let count = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        ftruncate(descriptor, off_t(text.count))
        return count == text.count
    }

    /// Removes the file if it is this process's.
    package func remove() {
        if Self.read(path) == getpid() { unlink(path) }
        close(descriptor)
    }

    /// The number in a file; nil if there is none.
    static func read(_ path: String) -> Int32? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = readBytes(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return Int32(String(decoding: bytes[..<count].prefix { $0 != 10 }, as: UTF8.self))
    }

    /// The process that has locked a file; nil if none has.
    package static func owner(of path: String) -> Int32? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return nil }
        return read(path)
    }

    /// The default path of a program's pid file: in the user's runtime folder.
    /// - Throws: code 701 when the folder belongs to another user.
    package static func standardPath(name: String) throws(SkeinError) -> String {
        let folder: String
        if let runtime = getenv("XDG_RUNTIME_DIR") {
            folder = "\(String(cString: runtime))/skein"
        } else {
            folder = getuid() == 0 ? "/run/skein" : "/tmp/skein-\(getuid())"
        }
        mkdir(folder, 0o700)
        var facts = stat()
        guard lstat(folder, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == getuid() else {
            throw SkeinError(
                .exception, peer: folder,
                because: "the folder belongs to another user; name another file with --pid-file")
        }
        return "\(folder)/\(name).pid"
    }
}

/// read(2), for a type that has a method with this name.
private func readBytes(_ descriptor: CInt, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}
