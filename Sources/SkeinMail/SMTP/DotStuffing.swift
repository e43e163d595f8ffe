// The content of DATA (RFC 5321, sections 2.3.8 and 4.5.2): lines end with CR LF only, a dot at the beginning of a line
// is doubled, and a line with a single dot ends it.

import NIOCore
import SkeinCore

/// Converts all line ends to CR LF, so that all servers agree on the end of the content (against "SMTP smuggling").
package struct LineEndings {
    private var lastWasCR = false

    package init() {}

    /// The bytes, with a lone CR or LF replaced by CR LF.
    package mutating func normalized(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 32 + 2)
        for byte in bytes {
            if byte == Bytes.lf {
                output.append(Bytes.cr)
                output.append(Bytes.lf)
            } else {
                if lastWasCR {
                    output.append(Bytes.cr)
                    output.append(Bytes.lf)
                }
                if byte != Bytes.cr { output.append(byte) }
            }
            lastWasCR = byte == Bytes.cr
        }
        return output
    }

    /// The missing bytes at the end.
    package mutating func end() -> [UInt8] {
        defer { lastWasCR = false }
        return lastWasCR ? [Bytes.cr, Bytes.lf] : []
    }
}

/// Doubles dots and adds the end.
struct DotStuffing {
    private var endings = LineEndings()
    private var isAtStart = true

    mutating func write(_ piece: ByteBuffer, to output: inout ByteBuffer) {
        let lines = piece.withUnsafeReadableBytes { endings.normalized($0) }
        stuff(lines, &output)
    }

    private mutating func stuff(_ bytes: [UInt8], _ output: inout ByteBuffer) {
        var start = 0
        for (index, byte) in bytes.enumerated() {
            if isAtStart, byte == UInt8(ascii: ".") {
                output.writeBytes(bytes[start..<index])
                output.writeInteger(UInt8(ascii: "."))
                start = index
            }
            isAtStart = byte == Bytes.lf
        }
        output.writeBytes(bytes[start...])
    }

    /// Ends the last line, and the content.
    mutating func end(_ output: inout ByteBuffer) {
        stuff(endings.end(), &output)
        output.writeString(isAtStart ? ".\r\n" : "\r\n.\r\n")
    }
}
