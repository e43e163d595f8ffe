// Content from files: a single file, or parts of a form.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension HTTPBody {
    /// A file, read while it is sent and never completely in memory. Its length is announced; a file that cannot be
    /// read fails the request with code 701.
    /// - Parameters:
    ///   - path: the file.
    ///   - contentType: its media type. Default: by the extension of its name.
    public static func file(_ path: String, contentType: String? = nil) -> HTTPBody {
        let type = contentType ?? MediaType.guess(path)
        let length: Int
        do {
            length = try FilePieces.length(of: path)
        } catch {
            return HTTPBody(.none, contentType: type, problem: error)
        }
        return HTTPBody(
            .stream(length: length, .always) {
                let pieces = FilePieces(path)
                return AsyncThrowingChunks { try await pieces.next() }
            }, contentType: type)
    }

    /// A form with files (multipart/form-data, RFC 7578), sent part by part. The length is announced if that of every
    /// part is known.
    /// - Parameters:
    ///   - parts: the fields, in order.
    ///   - boundary: the separator of the parts. Default: a random one.
    public static func multipart(_ parts: [FormPart], boundary: String? = nil) -> HTTPBody {
        let boundary = boundary ?? "skein-\(Hex.random(12))"
        let heads = parts.map { ByteBuffer(string: "--\(boundary)\r\n\($0.head)\r\n") }
        let end = ByteBuffer(string: "--\(boundary)--\r\n")
        var length: Int? = end.readableBytes
        for (part, head) in zip(parts, heads) {
            guard let known = length, let own = part.body.knownLength else {
                length = nil
                break
            }
            length = known + head.readableBytes + own + 2
        }
        let type = "multipart/form-data; boundary=\(boundary)"
        if let problem = parts.lazy.compactMap(\.body.problem).first {
            return HTTPBody(.none, contentType: type, problem: problem)
        }
        return HTTPBody(
            .stream(length: length, parts.allSatisfy(\.body.isReplayable) ? .always : .never) {
                var pieces = zip(parts, heads).flatMap { part, head in
                    [{ .once(head) }, part.body.makeChunks, { .once(ByteBuffer(string: "\r\n")) }]
                }[...]
                pieces.append { .once(end) }
                var current: AsyncThrowingChunks?
                return AsyncThrowingChunks {
                    while true {
                        if let piece = try await current?.next() { return piece }
                        guard let next = pieces.popFirst() else { return nil }
                        current = next()
                    }
                }
            }, contentType: type)
    }

    /// The number of bytes, if it is known.
    private var knownLength: Int? {
        switch length {
        case .none: 0
        case .known(let length): length
        case .streamed: nil
        }
    }

    /// The pieces for one transmission.
    private var makeChunks: @Sendable () -> AsyncThrowingChunks {
        switch content {
        case .none: { .once(ByteBuffer()) }
        case .bytes(let bytes): { .once(bytes) }
        case .stream(_, _, let make): make
        }
    }
}

extension AsyncThrowingChunks {
    /// The bytes as one piece, or none if empty.
    static func once(_ piece: ByteBuffer) -> AsyncThrowingChunks {
        var rest = piece.readableBytes == 0 ? nil : piece as ByteBuffer?
        return AsyncThrowingChunks {
            defer { rest = nil }
            return rest
        }
    }
}

/// A field of a form with files.
public struct FormPart: Sendable {
    let body: HTTPBody
    private let name: String
    private let fileName: String?

    /// A field with any content.
    /// - Parameters:
    ///   - name: the field's name.
    ///   - body: its content and media type.
    ///   - fileName: the name of a file that the field is sent as. Default: none.
    public init(_ name: String, _ body: HTTPBody, fileName: String? = nil) {
        self.name = name
        self.body = body
        self.fileName = fileName
    }

    /// A field with a text.
    public static func field(_ name: String, _ value: String) -> FormPart {
        FormPart(name, .bytes(ByteBuffer(string: value)))
    }

    /// A file as a field.
    /// - Parameters:
    ///   - path: the file, read while it is sent.
    ///   - fileName: the name that the server sees. Default: the name of the file.
    ///   - contentType: its media type. Default: by the extension of its name.
    public static func file(
        _ name: String, path: String, fileName: String? = nil, contentType: String? = nil
    ) -> FormPart {
        let own = path.splitBytes(separator: "/").last.map(String.init) ?? path
        return FormPart(name, .file(path, contentType: contentType), fileName: fileName ?? own)
    }

    /// The header fields of the part, and the first half of the empty line.
    var head: String {
        var head = "Content-Disposition: form-data; name=\"\(Self.escaped(name))\""
        if let fileName { head += "; filename=\"\(Self.escaped(fileName))\"" }
        if let type = body.contentType {
            head += "\r\nContent-Type: \(type.replacingBytes("\r", with: " ").replacingBytes("\n", with: " "))"
        }
        return head + "\r\n"
    }

    /// A name escaped as browsers do it (WHATWG HTML, multipart/form-data encoding algorithm).
    private static func escaped(_ name: String) -> String {
        name.replacingBytes("\r", with: "%0D").replacingBytes("\n", with: "%0A").replacingBytes("\"", with: "%22")
    }
}

/// A file piece by piece, read ahead by one piece on a thread that may block on the disk.
///
/// Unchecked: one read is in progress at a time, and the consumer of its result starts the next one.
final class FilePieces: @unchecked Sendable {
    private static let size = 256 << 10

    private let path: String
    private var descriptor: CInt = -1
    private var ahead: EventLoopFuture<ByteBuffer>?

    init(_ path: String) { self.path = path }

    deinit { if descriptor >= 0 { close(descriptor) } }

    static func length(of path: String) throws(SkeinError) -> Int {
        guard access(path, R_OK) == 0, let state = FileState(path: path) else { throw unreadable(path) }
        guard state.isFile else {
            throw SkeinError(
                .exception, peer: path, because: "this is not a regular file; read it, and send its content as bytes")
        }
        return state.size
    }

    static func unreadable(_ path: String) -> SkeinError {
        SkeinError(.exception, peer: path, because: "the file cannot be read (\(String(cString: strerror(errno))))")
    }

    /// The next piece, or nil at the end.
    func next() async throws -> ByteBuffer? {
        let piece = try await (ahead ?? startReading()).get()
        ahead = piece.readableBytes > 0 ? startReading() : nil
        return piece.readableBytes > 0 ? piece : nil
    }

    private func startReading() -> EventLoopFuture<ByteBuffer> {
        let loop = MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
        return NIOThreadPool.singleton.runIfActive(eventLoop: loop) { try self.readPiece() }
    }

    private func readPiece() throws -> ByteBuffer {
        if descriptor < 0 { descriptor = open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw Self.unreadable(path) }
        var piece = ByteBuffer()
        var count = 0
        piece.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.size) { bytes in
            repeat { count = read(descriptor, bytes.baseAddress, Self.size) } while count < 0 && errno == EINTR
            return max(0, count)
        }
        guard count >= 0 else { throw Self.unreadable(path) }
        return piece
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
