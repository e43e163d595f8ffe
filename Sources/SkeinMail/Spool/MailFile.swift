// File operations of the spool: every failure is an error with the file's name.

import SkeinCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An open file. Used by one thread at a time.
final class MailFile: Sendable {
    let path: String
    private let descriptor: CInt
    /// For the threads of this process, which share a file lock.
    private let ownership = Mutex<Void>(())

    private init(_ path: String, _ flags: CInt) throws(SkeinError) {
        self.path = path
        descriptor = open(path, flags | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure(path, "the file cannot be opened") }
    }

    convenience init(reading path: String) throws(SkeinError) {
        // Without O_NONBLOCK, opening a pipe without a writer would block.
        try self.init(path, O_RDONLY | O_NONBLOCK)
        guard isRegular else {
            throw SkeinError(
                .exception, peer: path,
                because: "it is not a regular file; a folder, a pipe or a device cannot be attached")
        }
    }

    /// An existing file, open for changes.
    convenience init(changing path: String) throws(SkeinError) {
        do throws(SkeinError) {
            try self.init(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
        } catch  where error.isReadOnly {
            // It can still be read.
            try self.init(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        }
    }

    /// A new file; fails if it exists.
    convenience init(creating path: String) throws(SkeinError) { try self.init(path, O_RDWR | O_CREAT | O_EXCL) }

    /// A file that is created if it does not exist.
    convenience init(changingOrCreating path: String) throws(SkeinError) {
        try self.init(path, O_RDWR | O_CREAT | O_NOFOLLOW)
    }

    deinit { close(descriptor) }

    private var isRegular: Bool {
        var facts = stat()
        return fstat(descriptor, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
    }

    /// Its size in bytes.
    var size: Int {
        var facts = stat()
        return fstat(descriptor, &facts) == 0 ? Int(facts.st_size) : 0
    }

    /// The next bytes; nil at the end.
    func read(upTo count: Int) throws(SkeinError) -> [UInt8]? {
        let bytes = try pieces(count) { readSome(descriptor, $0) }
        return bytes.isEmpty ? nil : bytes
    }

    /// Bytes at an offset; fewer at the end of the file.
    func read(at offset: Int, count: Int) throws(SkeinError) -> [UInt8] {
        try pieces(count) { pread(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
    }

    private func pieces(_ count: Int, _ get: (UnsafeMutableRawBufferPointer) -> Int) throws(SkeinError) -> [UInt8] {
        guard count > 0 else { return [] }
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { target, made in
            let got = get(UnsafeMutableRawBufferPointer(target))
            failed = got < 0
            made = max(0, got)
        }
        if failed { throw Self.failure(path, "the file cannot be read") }
        return bytes
    }

    /// Appends bytes at the current position.
    func write(_ bytes: UnsafeRawBufferPointer) throws(SkeinError) {
        var start = 0
        while start < bytes.count {
            let count = writeSome(descriptor, UnsafeRawBufferPointer(rebasing: bytes[start...]))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(path, "the file cannot be written") }
            start += count
        }
    }

    /// Writes bytes at an offset.
    func write(_ bytes: [UInt8], at offset: Int) throws(SkeinError) {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset + start))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(path, "the file cannot be written") }
            start += count
        }
    }

    /// Changes the owner of the file, when root stores for another user.
    func give(to user: uid_t, _ group: gid_t) throws(SkeinError) {
        guard fchown(descriptor, user, group) == 0 else {
            throw Self.failure(path, "the owner of the file cannot be changed to the spool's owner")
        }
    }

    /// Synchronizes the file with the disk.
    func synchronize() throws(SkeinError) {
        guard fsync(descriptor) == 0 else { throw Self.failure(path, "the file cannot be synced to disk") }
    }

    /// Runs an operation while holding the lock of the file, across threads and processes.
    func locked<Value>(_ work: () throws(SkeinError) -> sending Value) throws(SkeinError) -> Value {
        try ownership.withLock { (_) throws(SkeinError) in
            while flock(descriptor, LOCK_EX) != 0 {
                guard errno == EINTR else { throw Self.failure(path, "the file cannot be locked") }
            }
            defer { flock(descriptor, LOCK_UN) }
            return try work()
        }
    }

    static func failure(_ path: String, _ what: String) -> SkeinError {
        let number = errno
        return SkeinError(
            .exception, peer: path, because: "\(what): \(String(cString: strerror(number)))",
            cause: MailFileError(number: number))
    }
}

/// The system's error.
struct MailFileError: Error {
    let number: CInt
}

extension SkeinError {
    /// Whether the error is a missing file.
    var isMissingFile: Bool { (cause as? MailFileError)?.number == ENOENT }
    /// Whether the error is a file that cannot be changed.
    var isReadOnly: Bool { [EROFS, EACCES].contains((cause as? MailFileError)?.number ?? 0) }
}

private func readSome(_ descriptor: CInt, _ target: UnsafeMutableRawBufferPointer) -> Int {
    read(descriptor, target.baseAddress, target.count)
}
private func writeSome(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}
