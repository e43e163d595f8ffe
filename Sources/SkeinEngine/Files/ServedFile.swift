// An open file: read in pieces, or sent by the kernel.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinHTTP
import SkeinWire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension FileState {
    /// The attributes of the file at a path; nil if there is none.
    static func at(_ path: String) -> FileState? { FileName.withPath(path) { FileState(path: $0) } }

    /// The entity tag of the file, made of its time and size.
    func tag(_ coding: ContentCoding? = nil) -> String {
        let suffix = coding.map { "-\($0.rawValue)" } ?? ""
        return
            "\"\(String(modified, radix: 16))-\(String(nanoseconds, radix: 16))-\(String(size, radix: 16))\(suffix)\""
    }
}

/// An open file, closed with its last reference.
final class ServedFile: Sendable {
    let descriptor: CInt
    let state: FileState

    /// Nil when it cannot be opened, or is not a regular file.
    /// - Throws: ``ServerError`` 503 when the process has no file descriptor or memory left.
    convenience init?(_ path: String) throws(ServerError) {
        // Opening a pipe would block until a writer opens it.
        let descriptor = FileName.withPath(path) { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else {
            if [EMFILE, ENFILE, ENOMEM].contains(errno) {
                throw ServerError(.serviceUnavailable, "too many files are open", headers: ["Retry-After": "1"])
            }
            return nil
        }
        self.init(owning: descriptor)
    }

    /// An open file; nil, and closed, when it is not a regular file.
    init?(owning descriptor: CInt) {
        guard let state = FileState(descriptor: descriptor) else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        self.state = state
        guard state.isFile else { return nil }
    }

    deinit { close(descriptor) }

    /// The real path of the file, with all links resolved; nil where the system does not report it.
    var realPath: String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX) + 1) { path in
            #if canImport(Darwin)
                guard let start = path.baseAddress, fcntl(descriptor, F_GETPATH, start) == 0 else { return nil }
                return String(cString: start)
            #else
                guard let start = path.baseAddress else { return nil }
                let count = readlink("/proc/self/fd/\(descriptor)", start, Int(PATH_MAX))
                guard count > 0 else { return nil }
                return EscapedBytes.text(UnsafeRawBufferPointer(start: start, count: count))
            #endif
        }
    }

    /// Bytes at an offset; fewer when the file was truncated. It may block on the disk.
    func read(_ range: Range<Int>) -> ByteBuffer? {
        var bytes = ByteBuffer()
        bytes.reserveCapacity(range.count)
        var position = range.lowerBound
        while position < range.upperBound {
            var count = 0
            bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: range.upperBound - position) { free in
                count = pread(descriptor, free.baseAddress, range.upperBound - position, off_t(position))
                return max(0, count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            position += count
        }
        return bytes
    }

    /// A range piece by piece, read on a thread that may block on the disk.
    func pieces(_ range: Range<Int>) -> FileRange { FileRange(file: self, range: range) }
}

/// A range of a file as the pieces of a body.
struct FileRange: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    private static let size = 256 << 10
    /// The size of the first read, before it is known whether the client reads anything.
    private static let firstSize = 64 << 10

    let file: ServedFile
    let range: Range<Int>

    struct AsyncIterator: AsyncIteratorProtocol {
        let file: ServedFile
        var rest: Range<Int>
        var size = FileRange.firstSize

        mutating func next() async throws -> ByteBuffer? {
            guard !rest.isEmpty else { return nil }
            let part = rest.lowerBound..<Swift.min(rest.lowerBound + size, rest.upperBound)
            size = FileRange.size
            let loop = MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
            let piece = try await NIOThreadPool.singleton.runIfActive(eventLoop: loop) { [file] in file.read(part) }
                .get()
            guard let piece, piece.readableBytes == part.count else {
                throw SkeinError(.exception, because: "a file became shorter while it was sent")
            }
            rest = part.upperBound..<rest.upperBound
            return piece
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(file: file, rest: range) }
}
