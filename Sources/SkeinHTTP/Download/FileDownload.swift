// A download into a file: complete or absent, and resumable.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The progress of a download.
public struct DownloadProgress: Sendable {
    /// Bytes in the file.
    public let received: Int
    /// Bytes in total, if the server states them.
    public let total: Int?
    /// Bytes from an earlier attempt.
    public let resumedFrom: Int
}

/// One download.
///
/// Content is written to `FILE.part` beside the file, which is renamed when it is complete. A resumable download that
/// fails leaves it behind, with the validator (ETag or Last-Modified) in `FILE.part.version`, so that the next attempt
/// requests the rest of the same version (RFC 9110, section 13.1.5).
///
/// A path that is not a regular file, such as `/dev/null` or a pipe, is written to directly; a symbolic link stays one.
package struct FileDownload {
    private let path: String
    private let isDevice: Bool
    private let resumes: Bool
    private let progress: (@Sendable (DownloadProgress) -> Void)?
    private let start: (HTTPRequest) -> Corequest<HTTPResponse>

    package init(
        to path: String, resumes: Bool, progress: (@Sendable (DownloadProgress) -> Void)?,
        start: @escaping (HTTPRequest) -> Corequest<HTTPResponse>
    ) {
        self.path = URL(filePath: path).resolvingSymlinksInPath().path
        isDevice = FileState(path: path).map { !$0.isFile } ?? false
        self.resumes = resumes && !isDevice
        self.progress = progress
        self.start = start
    }

    private var part: String { isDevice ? path : "\(path).part" }
    private var version: String { "\(part).version" }

    /// Downloads.
    /// - Returns: the response, whose stream is consumed.
    /// - Throws: the failure; also for a status of 300 and above, with no file written.
    package func run(_ request: HTTPRequest) async throws -> HTTPResponse {
        var request = request
        request.isStreamed = true
        if !request.headers.contains("Accept-Encoding") { request.headers["Accept-Encoding"] = "identity" }
        if resumes, let (size, version) = leftOver {
            var rest = request
            rest.headers["Range"] = "bytes=\(size)-"
            rest.headers["If-Range"] = version
            let corequest = start(rest)
            let response = await corequest.dispatch()
            let range = ContentRange(response.header("Content-Range"))
            switch response.statusCode {
            case 206 where range?.start == size:
                return try await write(response, corequest.shard, after: size, total: range?.total)
            case 200: return try await write(response, corequest.shard, after: 0, total: nil)
            case 416 where range?.total == size:  // it was complete, and only the rename was missing
                response.stream?.cancel()
                try finish()
                return response
            case 206, 416: response.stream?.cancel()
            default:
                response.stream?.cancel()
                try response.raiseForStatus()
            }
        }
        let corequest = start(request)
        return try await write(await corequest.dispatch(), corequest.shard, after: 0, total: nil)
    }

    /// The partial file of an earlier attempt, and its version.
    private var leftOver: (size: Int, version: String)? {
        guard let state = FileState(path: part), state.isFile, state.size > 0,
            let version = try? String(contentsOf: URL(filePath: version), encoding: .utf8), !version.isEmpty
        else { return nil }
        return (state.size, version)
    }

    private func write(
        _ response: HTTPResponse, _ shard: Shard, after offset: Int, total: Int?
    ) async throws -> HTTPResponse {
        do {
            try response.raiseForStatus()
        } catch {
            response.stream?.cancel()
            throw error
        }
        guard let stream = response.stream else {
            throw SkeinError(
                .exception, peer: response.peer, because: "a layer answered a streamed request without a stream")
        }
        let file: PartFile
        do {
            file = try PartFile(part, after: isDevice ? nil : offset)
            try note(response)
        } catch {
            stream.cancel()
            throw error
        }
        let isCoded = response.headers.contains("Content-Encoding")
        let total = total ?? (isCoded ? nil : response.header("Content-Length").flatMap { Int($0) })
        do {
            // On the loop of the stream: another thread would be woken for each piece.
            try await withTaskExecutorPreference(shard.executor) {
                var received = offset
                for try await piece in stream {
                    try await file.write(piece)
                    received += piece.readableBytes
                    progress?(DownloadProgress(received: received, total: total, resumedFrom: offset))
                }
                try await file.flush()
            }
        } catch {
            stream.cancel()
            try? await file.flush()
            if !resumes { removeParts() }
            throw error
        }
        try finish()
        return response
    }

    /// Records the version being written, if a later attempt can request the same one.
    private func note(_ response: HTTPResponse) throws {
        if isDevice { return }
        try? FileManager.default.removeItem(atPath: version)
        let tag = response.header("ETag").flatMap { $0.hasBytePrefix("W/") ? nil : $0 }
        guard resumes, let name = tag ?? response.header("Last-Modified"),
            !response.headers.contains("Content-Encoding")
        else { return }
        try name.write(to: URL(filePath: version), atomically: true, encoding: .utf8)
    }

    private func finish() throws(SkeinError) {
        if isDevice { return }
        guard rename(part, path) == 0 else { throw PartFile.failure(path) }
        try? FileManager.default.removeItem(atPath: version)
    }

    private func removeParts() {
        if isDevice { return }
        try? FileManager.default.removeItem(atPath: part)
        try? FileManager.default.removeItem(atPath: version)
    }
}

/// The parsed Content-Range (RFC 9110, section 14.4).
private struct ContentRange {
    let start: Int?
    let total: Int?

    init?(_ field: String?) {
        guard let field, field.hasBytePrefix("bytes ") else { return nil }
        let parts = field.dropFirst(6).splitBytes(separator: "/", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        start = parts[0].splitBytes(separator: "-").first.flatMap { Int($0) }
        total = Int(parts[1])
    }
}

/// The file being written, by a thread that may block on the disk, in large pieces; the next one is collected
/// meanwhile.
///
/// Unchecked: only the downloading task uses it, and one write is in progress at a time.
private final class PartFile: @unchecked Sendable {
    private static let pieceSize = 512 << 10

    private let path: String
    private let descriptor: CInt
    private var gathered = ByteBuffer()
    private var written = ByteBuffer()
    private var writing: EventLoopFuture<Void>?

    /// - Parameter offset: where writing begins; the file is truncated there. Nil for a path that is not a regular
    ///   file.
    init(_ path: String, after offset: Int?) throws(SkeinError) {
        self.path = path
        // Where others may write, too, a link must not lead elsewhere: the file is new, or an own one that is resumed.
        let isRegular = offset != nil
        var file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (isRegular ? O_NOFOLLOW | O_EXCL : 0), 0o644)
        let isThere = file < 0 && isRegular && errno == EEXIST
        if isThere { file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
        guard file >= 0 else { throw Self.failure(path) }
        descriptor = file
        guard let offset else { return }
        guard !isThere || FileState(descriptor: file).map({ $0.isFile && $0.isOwn }) == true else {
            throw SkeinError(
                .exception, peer: path, because: "the path exists and is not a regular file of this user; remove it")
        }
        guard ftruncate(file, off_t(offset)) == 0, lseek(file, off_t(offset), SEEK_SET) == off_t(offset) else {
            throw Self.failure(path)
        }
    }

    deinit { close(descriptor) }

    static func failure(_ path: String) -> SkeinError {
        SkeinError(
            .exception, peer: path, because: "the file cannot be written (\(String(cString: strerror(errno))))")
    }

    func write(_ piece: ByteBuffer) async throws {
        gathered.writeImmutableBuffer(piece)
        if gathered.readableBytes >= Self.pieceSize { try await startWriting() }
    }

    func flush() async throws {
        try await startWriting()
        try await writing?.get()
    }

    /// Waits for the write in progress and starts the next one.
    private func startWriting() async throws {
        try await writing?.get()
        swap(&gathered, &written)
        gathered.clear()
        let loop = MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
        writing = NIOThreadPool.singleton.runIfActive(eventLoop: loop) { try self.writeAll() }
    }

    private func writeAll() throws(SkeinError) {
        while written.readableBytes > 0 {
            let count = written.withUnsafeReadableBytes { writeBytes(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                written.moveReaderIndex(forwardBy: count)
            } else if errno != EINTR {
                throw Self.failure(path)
            }
        }
    }
}

/// The system's `write`, which the method of that name hides.
private func writeBytes(_ file: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(file, bytes, count) }

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
