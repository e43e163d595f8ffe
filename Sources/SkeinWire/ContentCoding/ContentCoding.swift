// How content is made smaller for the way, and what can be wrong with that (RFC 9110, section 8.4.1).

import NIOCore

/// A coding of content.
public enum ContentCoding: String, Sendable, CaseIterable {
    /// The format of gzip (RFC 1952).
    case gzip
    /// The format of zlib (RFC 1950); without its frame, too, as some peers send it.
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

    /// The codings of a Content-Encoding field in the order they were applied; nil when one is not known.
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

/// Why content could not be decoded.
package enum ContentCodingError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes are not of the coding.
    case malformed(ContentCoding)
    /// Something stands behind the end of what was coded.
    case trailing(ContentCoding)
    /// The content ends in the middle.
    case truncated(ContentCoding)
    /// So many times larger than what was sent that it is meant to do harm.
    case ratio(Int)
    /// More codings on one another than anybody needs.
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

/// One coding's machine that makes content what it was: bytes in, bytes out.
protocol DecodingStage: AnyObject {
    /// Takes what it can from the input and fills the output as far as it can.
    /// - Returns: bytes written.
    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) throws(ContentCodingError) -> Int
    /// The input has ended.
    /// - Throws: when that is too early.
    func finish() throws(ContentCodingError)
}

/// One coding's machine that makes content smaller.
protocol EncodingStage: AnyObject {
    /// Takes what it can from the input and fills the output as far as it can.
    /// - Returns: bytes written.
    func step(_ input: inout ByteBuffer, into output: UnsafeMutableRawBufferPointer) -> Int
    /// The input has ended: what is still inside comes out, call by call; nothing is the end.
    func finish(into output: UnsafeMutableRawBufferPointer) -> Int
}

extension ByteBuffer {
    /// Lets a C function read the bytes and takes off as many as it says it has read.
    mutating func consume(_ read: (UnsafeRawBufferPointer) -> Int) {
        let count = withUnsafeReadableBytes(read)
        moveReaderIndex(forwardBy: count)
    }
}
