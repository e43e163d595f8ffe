// Content codings, and their errors (RFC 9110, section 8.4.1).

import NIOCore

/// A content coding.
public enum ContentCoding: String, Sendable, CaseIterable {
    /// The format of gzip (RFC 1952).
    case gzip
    /// The format of zlib (RFC 1950); raw deflate is accepted, too, since some peers send it.
    case deflate
    /// Brotli (RFC 7932).
    case brotli = "br"
    /// Zstandard (RFC 8878).
    case zstd

    /// A coding by its name in any case; `x-gzip` is gzip.
    package init?(name: some StringProtocol) {
        let name = name.lowercased()
        self.init(rawValue: name == "x-gzip" ? "gzip" : name)
    }

    /// The codings of a Content-Encoding field in the order in which they were applied; nil when one is unknown.
    package static func list(_ field: String) -> [ContentCoding]? {
        var codings: [ContentCoding] = []
        for name in field.splitBytes(separator: ",") {
            let name = name.trimmingBlanks()
            if name.isEmpty || name.lowercased() == "identity" { continue }
            guard let coding = ContentCoding(name: name) else { return nil }
            codings.append(coding)
        }
        return codings
    }
}

/// The reason why content could not be decoded.
package enum ContentCodingError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes are invalid in the coding.
    case malformed(ContentCoding)
    /// There are bytes after the end of the coded data.
    case trailing(ContentCoding)
    /// The content is incomplete.
    case truncated(ContentCoding)
    /// The ratio of decoded to received bytes exceeds the limit, as in a decompression bomb.
    case ratio(Int)
    /// Too many codings are applied.
    case tooMany(Int)

    package var description: String {
        switch self {
        case .malformed(let coding): "the content is not valid \(coding.rawValue)"
        case .trailing(let coding): "data follows the end of the \(coding.rawValue) content"
        case .truncated(let coding): "the \(coding.rawValue) content is truncated"
        case .ratio(let limit): "the decoded content is more than \(limit) times as large as the encoded content"
        case .tooMany(let count): "the content has \(count) content codings"
        }
    }
}

/// The decoder of one coding.
protocol DecodingStage: AnyObject {
    /// Consumes input and fills the output, as far as possible.
    /// - Returns: the number of bytes written.
    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) throws(ContentCodingError) -> Int
    /// The input has ended.
    /// - Throws: when it is incomplete.
    func finish() throws(ContentCodingError)
}

/// The encoder of one coding.
protocol EncodingStage: AnyObject {
    /// Consumes input and fills the output, as far as possible.
    /// - Returns: the number of bytes written.
    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) -> Int
    /// The input has ended: writes the remaining output, call by call; 0 is the end.
    func finish(into output: UnsafeMutableRawBufferPointer) -> Int
}

extension ByteBuffer {
    /// Lets a C function read the bytes and consumes as many as it reports.
    mutating func consume(_ read: (UnsafeRawBufferPointer) -> Int) {
        let count = withUnsafeReadableBytes(read)
        moveReaderIndex(forwardBy: count)
    }
}
