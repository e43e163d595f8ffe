// The content of a request before a WSGI app receives it: read to its end, so that a slow client blocks no Python
// thread.

import CSkeinPython
import NIOCore
import NIOPosix
import SkeinCore
import SkeinEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Content that has been received completely.
enum RequestContent: Sendable {
    case none
    case memory(ByteBuffer)
    case file(SpillFile, count: Int)

    /// Reads the content of a request.
    /// - Parameters:
    ///   - memory: bytes kept in memory; more go to an unnamed file.
    ///   - folder: the folder of the file.
    static func read(_ request: ServerRequest, memory: Int, folder: String) async throws -> RequestContent {
        if let whole = request.takeContent(upTo: memory) { return whole.readableBytes == 0 ? .none : .memory(whole) }
        do {
            return try await readAll(request, memory: memory, folder: folder)
        } catch let error as SkeinError where error.code == .connectionClosed {
            throw CancellationError()  // the client has left, which is no failure
        }
    }

    private static func readAll(_ request: ServerRequest, memory: Int, folder: String) async throws -> RequestContent {
        var buffer = ByteBuffer()
        var file: (file: SpillFile, count: Int)?
        for try await piece in request.body {
            buffer.writeImmutableBuffer(piece)
            guard buffer.readableBytes > (file == nil ? memory : 256 << 10) else { continue }
            file = try await spill(&buffer, file, folder, on: request)
        }
        if file == nil { return buffer.readableBytes == 0 ? .none : .memory(buffer) }
        if buffer.readableBytes > 0 { file = try await spill(&buffer, file, folder, on: request) }
        return file.map { .file($0.file, count: $0.count) } ?? .none
    }

    private static func spill(
        _ buffer: inout ByteBuffer, _ known: (file: SpillFile, count: Int)?, _ folder: String, on request: ServerRequest
    ) async throws -> (file: SpillFile, count: Int) {
        let bytes = buffer
        buffer = ByteBuffer()
        let loop = request.shard.eventLoop
        let written = try await NIOThreadPool.singleton.runIfActive(eventLoop: loop) { () -> SpillFile? in
            guard let file = known?.file ?? SpillFile(folder), file.write(bytes, at: known?.count ?? 0) else {
                return nil
            }
            return file
        }.get()
        guard let written else {
            throw ServerError(507, "the content cannot be stored")
        }
        return (written, (known?.count ?? 0) + bytes.readableBytes)
    }

    /// Bytes; nil when there is no content.
    var count: Int? {
        switch self {
        case .none: nil
        case .memory(let bytes): bytes.readableBytes
        case .file(_, let count): count
        }
    }

    /// `wsgi.input`; a new reference, or nil for the object that all requests without content share.
    func makeInput() throws(PythonError) -> PythonObject? {
        switch self {
        case .none: return nil
        case .memory(let bytes):
            guard let type = PythonModule.function(.memoryInput) else { return nil }
            return try Python.call(type, try PythonReference(Python.bytes(bytes))).release()
        case .file(let file, _):
            guard let open = PythonModule.function(.rawInput) else { return nil }
            let copy = fcntl(file.descriptor, F_DUPFD_CLOEXEC, 3)
            guard copy >= 0 else {
                throw PythonError(message: "too many files are open", traceback: "too many files are open")
            }
            return try Python.call(open, try PythonReference(Python.integer(Int(copy)))).release()
        }
    }
}
