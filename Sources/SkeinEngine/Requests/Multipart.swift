// Forms with files: fields are held in memory, files are written to the disk as they arrive.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinHTTP
import SkeinWire

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

/// An uploaded file on the disk, which is deleted with this object.
public final class UploadedFile: Sendable {
    /// The name of the form field.
    public let field: String
    /// The client's file name, without folders; for display only, not as a path to write to.
    public let fileName: String
    /// The client's media type; nil when it states none.
    public let contentType: String?
    /// The path; the file is deleted with this object, unless it was moved.
    public let path: String
    /// The size in bytes.
    public let size: Int

    init(field: String, fileName: String, contentType: String?, path: String, size: Int) {
        self.field = field
        self.fileName = fileName
        self.contentType = contentType
        self.path = path
        self.size = size
    }

    deinit { unlink(path) }

    /// A client's file name, without folders and control characters; empty if it is a folder.
    static func safeName(_ text: String) -> String {
        let last = text.utf8.split { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }.last
        let name = String(
            (last.map { String(Substring($0)) } ?? "").unicodeScalars.filter { scalar in
                scalar.properties.generalCategory != .control && !scalar.properties.isBidiControl
                    && scalar.value != 0x2028
                    && scalar.value != 0x2029
            })
        return name == "." || name == ".." ? "" : name
    }

    /// Moves the file to another path; an existing file is replaced.
    /// - Throws: code 701 when it cannot be moved there.
    public func move(to destination: String) throws(SkeinError) {
        if rename(path, destination) == 0 { return }
        do {
            try? FileManager.default.removeItem(atPath: destination)
            try FileManager.default.copyItem(atPath: path, toPath: destination)
        } catch {
            throw SkeinError(.exception, peer: destination, because: "the file cannot be moved there", cause: error)
        }
    }
}

/// A form with files.
public struct MultipartForm: Sendable {
    /// The fields other than files.
    public let fields: FormValues
    /// The files, in order.
    public let files: [UploadedFile]

    /// The first file of a field.
    public func file(_ field: String) -> UploadedFile? { files.first { $0.field.equalsBytes(field) } }
}

extension ServerRequest {
    /// Reads a form with files (multipart/form-data, RFC 7578). Files are written to the disk as they arrive.
    /// - Parameters:
    ///   - folder: the folder for files. Default: the system's folder for temporary files.
    ///   - limits: the limits of parts and fields; those of the whole form and of one file are the server's.
    /// - Throws: ``ServerError`` 415 for another type, 400 for a malformed form, 413 for one that is too large.
    public func multipart(in folder: String? = nil, limits: MultipartLimits = MultipartLimits()) async throws
        -> MultipartForm
    {
        let (type, attributes) = MediaType.split(headers["Content-Type"] ?? "")
        guard type.lowercased() == "multipart/form-data" else {
            throw ServerError(415, "send a form with files, as multipart/form-data")
        }
        let configuration = scope.owner.context.configuration
        var reader = MultipartReader(
            limits: limits, maximumFile: configuration.maximumFileSize,
            folder: folder ?? FileManager.default.temporaryDirectory.path)
        do {
            var decoder = try MultipartDecoder(boundary: attributes["boundary"] ?? "", limits: limits)
            for try await piece in body {
                decoder.append(piece)
                while let event = try decoder.next() { try await reader.take(event, on: shard.eventLoop) }
            }
            try decoder.finish()
        } catch let error as MultipartError {
            throw ServerError(.badRequest, "\(error)")
        }
        return MultipartForm(fields: FormValues(reader.fields), files: reader.files)
    }
}

/// The progress of reading a form.
private struct MultipartReader {
    let limits: MultipartLimits
    let maximumFile: Int
    let folder: String
    private(set) var fields: [(String, String)] = []
    private(set) var files: [UploadedFile] = []
    private var fieldBytes = 0
    private var part = Part.none

    private enum Part {
        case none
        case field(String, ByteBuffer)
        case file(OpenUpload)
    }

    init(limits: MultipartLimits, maximumFile: Int, folder: String) {
        self.limits = limits
        self.maximumFile = maximumFile
        self.folder = folder
    }

    mutating func take(_ event: MultipartDecoder.Event, on loop: any EventLoop) async throws {
        switch event {
        case .part(let headers): part = try begin(headers)
        case .data(let bytes):
            switch part {
            case .none: break
            case .field(let name, var content):
                fieldBytes += bytes.readableBytes
                guard fieldBytes <= limits.fields else {
                    throw ServerError(.contentTooLarge, "the fields of the form are larger than \(limits.fields) bytes")
                }
                part = .none
                content.writeImmutableBuffer(bytes)
                part = .field(name, content)
            case .file(let upload):
                guard upload.size + bytes.readableBytes <= maximumFile else {
                    throw ServerError(.contentTooLarge, "a file is larger than \(maximumFile) bytes")
                }
                try await upload.write(bytes, on: loop)
            }
        case .endOfPart:
            switch part {
            case .none: break
            case .field(let name, let content): fields.append((name, String(buffer: content)))
            case .file(let upload): files.append(upload.finish())
            }
            part = .none
        case .end: break
        }
    }

    private mutating func begin(_ headers: Headers) throws -> Part {
        let (kind, attributes) = MediaType.split(headers["Content-Disposition"] ?? "")
        guard kind.lowercased() == "form-data", let name = attributes["name"] else { throw MultipartError.name }
        guard let fileName = attributes["filename"] else { return .field(Self.unescaped(name), ByteBuffer()) }
        let own =
            UploadedFile.safeName(Self.unescaped(fileName))
        return .file(
            try OpenUpload(
                field: Self.unescaped(name), fileName: own, contentType: headers["Content-Type"], folder: folder))
    }

    /// A name unescaped from the form that browsers use (WHATWG HTML, multipart/form-data encoding algorithm).
    private static func unescaped(_ name: String) -> String {
        name.replacingBytes("%22", with: "\"").replacingBytes("%0D", with: "\r").replacingBytes("%0A", with: "\n")
    }
}

/// A file that is being written.
///
/// Unchecked: one write is in progress at a time, and the reader waits for it.
private final class OpenUpload: @unchecked Sendable {
    private let field: String
    private let fileName: String
    private let contentType: String?
    private let path: String
    private var descriptor: CInt
    private(set) var size = 0
    private var isFinished = false

    init(field: String, fileName: String, contentType: String?, folder: String) throws(SkeinError) {
        self.field = field
        self.fileName = fileName
        self.contentType = contentType
        path = "\(folder)/skein-upload-\(Hex.random(12))"
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SkeinError(
                .exception, peer: folder, because: "no file can be created there (\(String(cString: strerror(errno))))")
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if !isFinished { unlink(path) }
    }

    /// Writes on a thread that may block on the disk.
    func write(_ bytes: ByteBuffer, on loop: any EventLoop) async throws {
        size += bytes.readableBytes
        let output = FileDescriptorOutput(descriptor: descriptor)
        let isWritten = try await NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
            bytes.withUnsafeReadableBytes { output.write($0) }
        }.get()
        guard isWritten else {
            throw SkeinError(.exception, peer: path, because: "the file cannot be written; is the disk full?")
        }
    }

    func finish() -> UploadedFile {
        close(descriptor)
        descriptor = -1
        isFinished = true
        return UploadedFile(field: field, fileName: fileName, contentType: contentType, path: path, size: size)
    }
}
