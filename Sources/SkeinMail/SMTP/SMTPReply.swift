// Replies of SMTP and LMTP servers (RFC 5321, section 4.2; RFC 3463), without I/O.

import NIOCore
import SkeinCore

/// A server's reply: a code of three digits and text.
public struct SMTPReply: Sendable, Hashable, CustomStringConvertible {
    /// The code: 2xx success, 3xx continue, 4xx temporary failure, 5xx permanent failure.
    public let code: Int
    /// The lines of text, without code and separator.
    public let lines: [String]

    package init(code: Int, lines: [String]) {
        self.code = code
        self.lines = lines
    }

    /// Whether it is positive (2xx).
    public var isPositive: Bool { (200..<300).contains(code) }
    /// Whether it is a temporary failure (4xx).
    public var isTemporary: Bool { (400..<500).contains(code) }

    /// The enhanced code at the beginning of the text, such as `5.1.1` (RFC 2034, section 4); nil when there is none.
    public var enhancedCode: String? {
        guard let word = lines.first?.splitBytes(separator: " ", maxSplits: 1).first else { return nil }
        let parts = word.splitBytes(separator: ".", omittingEmptySubsequences: false)
        let isSound =
            parts.count == 3
            && parts.allSatisfy { (1...3).contains($0.utf8.count) && $0.utf8.allSatisfy(Bytes.isDigit) }
        guard isSound, Int(parts[0]) == code / 100 else { return nil }
        return String(word)
    }

    /// The code and the text in one line.
    public var description: String { "\(code) \(lines.joined(separator: " "))" }
}

/// Splits the server's bytes into replies.
struct SMTPReplyDecoder {
    /// The limit of a line in bytes: RFC 5321 has 512; servers with long explanations exceed it.
    private static let lineLimit = 4096
    private static let replyLimit = 100

    private var buffer = ByteBuffer()
    private var lines: [String] = []
    private var code: Int?

    mutating func append(_ bytes: ByteBuffer) {
        buffer.absorb(bytes)
    }

    /// Whether bytes are left after the last reply.
    var hasRest: Bool { buffer.readableBytes > 0 || code != nil }

    /// The next whole reply, or nil until more bytes arrive.
    /// - Throws: code 715 for an invalid reply; the connection must be closed.
    mutating func next() throws(SkeinError) -> SMTPReply? {
        while let line = try nextLine() {
            let bytes = Array(line.utf8.prefix(4))
            guard bytes.count >= 3, bytes[0...2].allSatisfy(Bytes.isDigit), (0x32...0x35).contains(bytes[0]),
                bytes.count == 3 || bytes[3] == UInt8(ascii: " ") || bytes[3] == UInt8(ascii: "-"),
                let number = Int(String(decoding: bytes[0...2], as: UTF8.self)), code ?? number == number
            else {
                throw Self.malformed("the server's answer is not an SMTP reply: \(line.prefix(80).debugDescription)")
            }
            lines.append(String(line.droppingBytes(first: min(4, bytes.count))))
            code = number
            if bytes.count == 4, bytes[3] == UInt8(ascii: "-") {
                guard lines.count < Self.replyLimit else {
                    throw Self.malformed("the server's reply has too many lines")
                }
                continue
            }
            defer {
                lines = []
                code = nil
            }
            return SMTPReply(code: number, lines: lines)
        }
        return nil
    }

    private mutating func nextLine() throws(SkeinError) -> String? {
        let view = buffer.readableBytesView
        guard let end = view.firstIndex(of: Bytes.lf) else {
            guard view.count <= Self.lineLimit else {
                throw Self.malformed("a line of the server's reply has no end")
            }
            return nil
        }
        var line = view[..<end]
        guard line.count <= Self.lineLimit else { throw Self.malformed("a line of the server's reply is too long") }
        if line.last == Bytes.cr { line = line.dropLast() }
        // Control characters from a peer must not appear in logs and reports.
        let text = String(decoding: line.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }, as: UTF8.self)
        buffer.moveReaderIndex(to: end + 1)
        buffer.discardReadBytes()
        return text
    }

    private static func malformed(_ message: String) -> SkeinError {
        SkeinError(.responseHeaderError, because: message)
    }
}
