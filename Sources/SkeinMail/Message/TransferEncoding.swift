// Content transfer encodings (RFC 2045, section 6).

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An encoding of content.
enum TransferEncoding: String, Sendable {
    case sevenBit = "7bit"
    case quotedPrintable = "quoted-printable"
    case base64

    /// The most compact encoding of a text whose line ends are LF or CR LF.
    init(text: [UInt8]) {
        var special = 0
        var length = 0
        var isPlain = true
        for (index, byte) in text.enumerated() {
            if byte == Bytes.lf {
                length = 0
                continue
            }
            length += 1
            let isEnd = byte == Bytes.cr && index + 1 < text.count && text[index + 1] == Bytes.lf
            if byte > 0x7E || byte < 0x20 && byte != Bytes.tab && !isEnd {
                special += 1
                isPlain = false
            } else if length > 900 {
                isPlain = false
            }
        }
        self = isPlain ? .sevenBit : special * 3 > text.count ? .base64 : .quotedPrintable
    }

    /// A text with CR LF as line ends.
    static func lines(_ text: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count + text.count / 32)
        for (index, byte) in text.enumerated() {
            if byte == Bytes.lf, index == 0 || text[index - 1] != Bytes.cr { output.append(Bytes.cr) }
            output.append(byte)
        }
        return output
    }

    /// A text with CR LF line ends as quoted-printable (RFC 2045, section 6.7).
    static func quoted(_ text: [UInt8]) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        var output: [UInt8] = []
        output.reserveCapacity(text.count + text.count / 4)
        var column = 0
        for (index, byte) in text.enumerated() {
            let isEnd = byte == Bytes.cr && index + 1 < text.count && text[index + 1] == Bytes.lf
            if isEnd || byte == Bytes.lf && index > 0 && text[index - 1] == Bytes.cr {
                output.append(byte)
                column = 0
                continue
            }
            // A space at the end of a line may be lost in transit; some servers change a leading dot or "From ".
            let next = index + 1 < text.count ? text[index + 1] : Bytes.cr
            let isBlankAtEnd = (byte == Bytes.space || byte == Bytes.tab) && (next == Bytes.cr || next == Bytes.lf)
            let isRisky = column == 0 && (byte == UInt8(ascii: ".") || byte == UInt8(ascii: "F"))
            let isPlain =
                (byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "=") || byte == Bytes.tab) && !isBlankAtEnd
                && !isRisky
            let cost = isPlain ? 1 : 3
            if column + cost > 75 {
                output += [UInt8(ascii: "="), Bytes.cr, Bytes.lf]
                column = 0
            }
            if isPlain {
                output.append(byte)
            } else {
                output += [UInt8(ascii: "="), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
            column += cost
        }
        return output
    }
}

/// Base64 in lines of 76 (RFC 2045, section 6.8), piece by piece.
struct Base64Lines {
    /// Bytes of a line before they are encoded.
    private static let line = 57
    private var rest: [UInt8] = []

    /// Encodes the complete lines.
    mutating func append(_ bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        rest += bytes
        let whole = rest.count - rest.count % Self.line
        Self.encode(rest[..<whole], &output)
        rest.removeFirst(whole)
    }

    mutating func end(_ output: inout [UInt8]) {
        Self.encode(rest[...], &output)
        rest = []
    }

    private static func encode(_ bytes: ArraySlice<UInt8>, _ output: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        output += Data(bytes).base64EncodedData(
            options: [.lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed])
        output += [Bytes.cr, Bytes.lf]
    }
}
