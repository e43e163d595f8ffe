// Relaxed canonicalization of headers and bodies, which tolerates changed whitespace (RFC 6376, section 3.4).

import Crypto
import SkeinCore

/// Hashes a body in its relaxed form, a piece at a time.
struct RelaxedBodyHash {
    private var hash = SHA256()
    private var output: [UInt8] = []
    /// Empty lines, which count only when a non-empty line follows.
    private var emptyLines = 0
    private var hasBlank = false
    private var lineHasBytes = false

    init() {}

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes {
            switch byte {
            case Bytes.cr: break
            case Bytes.lf: endLine()
            case Bytes.space, Bytes.tab: hasBlank = true
            default: add(byte)
            }
        }
        flush()
    }

    private mutating func add(_ byte: UInt8) {
        if !lineHasBytes {
            for _ in 0..<emptyLines { output += [Bytes.cr, Bytes.lf] }
            emptyLines = 0
            lineHasBytes = true
        }
        if hasBlank { output.append(Bytes.space) }
        hasBlank = false
        output.append(byte)
    }

    private mutating func endLine() {
        // Whitespace at the end of a line is ignored.
        hasBlank = false
        if lineHasBytes { output += [Bytes.cr, Bytes.lf] } else { emptyLines += 1 }
        lineHasBytes = false
        if output.count > 16 << 10 { flush() }
    }

    private mutating func flush() {
        hash.update(data: output)
        output.removeAll(keepingCapacity: true)
    }

    /// The hash of the body; a last line without an end gets one.
    mutating func finish() -> [UInt8] {
        if lineHasBytes { endLine() }
        flush()
        return Array(hash.finalize())
    }
}

/// Header fields in their relaxed form.
enum RelaxedHeader {
    /// A field: its name in lower case, its value unfolded with single spaces.
    static func field(name: some StringProtocol, value: some StringProtocol) -> [UInt8] {
        var output = Array(name.trimmingBlanks().asciiLowercased.utf8)
        output.append(Bytes.colon)
        var hasBlank = false
        var hasBytes = false
        for byte in value.utf8 {
            switch byte {
            case Bytes.cr, Bytes.lf: break
            case Bytes.space, Bytes.tab: hasBlank = true
            default:
                if hasBlank, hasBytes { output.append(Bytes.space) }
                hasBlank = false
                hasBytes = true
                output.append(byte)
            }
        }
        return output
    }

    /// The fields of a header, in their order.
    static func fields(_ header: [UInt8]) -> [(name: String, value: String)] {
        var fields: [(String, String)] = []
        var line: [UInt8] = []
        func take() {
            guard let colon = line.firstIndex(of: Bytes.colon) else { return }
            fields.append(
                (String(decoding: line[..<colon], as: UTF8.self), String(decoding: line[(colon + 1)...], as: UTF8.self))
            )
        }
        for (index, byte) in header.enumerated() {
            line.append(byte)
            guard byte == Bytes.lf else { continue }
            let next = index + 1 < header.count ? header[index + 1] : 0
            if next == Bytes.space || next == Bytes.tab { continue }
            take()
            line = []
        }
        take()
        return fields
    }
}
