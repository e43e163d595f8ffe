// A file that is open to be sent: as pieces, or by the kernel from the disk to the socket.

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
    /// The state of whatever is at a path; nil when there is nothing.
    static func at(_ path: String) -> FileState? { FileName.withPath(path) { FileState(path: $0) } }

    /// The entity tag of the file as it is: its time and size.
    func tag(_ coding: ContentCoding? = nil) -> String {
        let suffix = coding.map { "-\($0.rawValue)" } ?? ""
        return
            "\"\(String(modified, radix: 16))-\(String(nanoseconds, radix: 16))-\(String(size, radix: 16))\(suffix)\""
    }
}

/// An open file, closed when nobody needs it any more.
final class ServedFile: Sendable {
    let descriptor: CInt
    let state: FileState

    /// Nil when there is none that may be opened, or when it is no file.
    /// - Throws: ``ServerError`` 503 when the process has no descriptor or memory left for it.
    convenience init?(_ path: String) throws(ServerError) {
        // A pipe would wait for a writer.
        let descriptor = FileName.withPath(path) { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else {
            if [EMFILE, ENFILE, ENOMEM].contains(errno) {
                throw ServerError(.serviceUnavailable, "too many files are open", headers: ["Retry-After": "1"])
            }
            return nil
        }
        self.init(owning: descriptor)
    }

    /// A file that is open already; nil, and closed, when it is none.
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

    /// The path that the file really has, all links followed; nil where the system does not tell.
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

    /// Bytes of a place in the file; fewer when it has been cut. It may wait for the disk.
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

    /// A range piece by piece, read by a thread that may wait for the disk.
    func pieces(_ range: Range<Int>) -> FileRange { FileRange(file: self, range: range) }
}

/// A range of a file as the pieces of a body.
struct FileRange: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    private static let size = 256 << 10
    /// So much is read before it is known whether the client takes anything.
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
