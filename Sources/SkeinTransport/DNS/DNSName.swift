// Host names: text form, canonical form, wire form.

import Foundation
import NIOCore
import SkeinCore

/// A domain name in its canonical form: ASCII, lower case, without a trailing dot.
package struct DNSName: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    package var description: String { text }

    /// A name from text; internationalised labels are converted to ASCII by UTS 46, as in browsers: full-width and
    /// compatibility letters are mapped, the full stops of other scripts separate labels.
    /// - Returns: nil for an invalid name: an empty or too long label, a name of more than 253 bytes.
    package init?(_ text: String) {
        var rest = text[...]
        if rest.last == "." { rest.removeLast() }
        guard let ascii = Self.ascii(String(rest)) else { return nil }
        self.text = ascii
    }

    private init(canonical text: String) { self.text = text }

    private static func ascii(_ text: String) -> String? {
        var name = text
        if !text.utf8.allSatisfy({ $0 < 0x80 }) {
            var components = URLComponents()
            components.scheme = "http"
            components.host = text
            // Characters that UTS 46 does not allow are left percent-encoded.
            guard let encoded = components.encodedHost, !encoded.containsByte("%") else { return nil }
            name = encoded
        }
        name = name.asciiLowercased
        guard name.utf8.count <= 253, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        let labels = name.splitBytes(separator: ".", omittingEmptySubsequences: false)
        return labels.allSatisfy { (1...63).contains($0.utf8.count) } ? name : nil
    }

    /// The number of dots.
    var dots: Int { text.utf8.count { $0 == UInt8(ascii: ".") } }

    /// The name inside of a search domain.
    func inside(_ domain: DNSName) -> DNSName? { DNSName("\(text).\(domain.text)") }

    // MARK: In a message (RFC 1035, sections 3.1 and 4.1.4)

    func write(to buffer: inout ByteBuffer) {
        for label in text.splitBytes(separator: ".") {
            buffer.writeInteger(UInt8(label.utf8.count))
            buffer.writeString(String(label))
        }
        buffer.writeInteger(UInt8(0))
    }

    /// Parses a name, following compression pointers; each must point further back than the previous one, so that there
    /// is no loop.
    init(from buffer: inout ByteBuffer, message: ByteBuffer) throws(DNSError) {
        var bytes: [UInt8] = []
        var place = buffer.readerIndex
        var end: Int?
        var limit = place
        while true {
            guard let length = message.getInteger(at: place, as: UInt8.self) else { throw .truncatedMessage }
            place += 1
            if length == 0 { break }
            switch length & 0xC0 {
            case 0:
                guard let label = message.getBytes(at: place, length: Int(length)) else { throw .truncatedMessage }
                place += Int(length)
                if !bytes.isEmpty { bytes.append(UInt8(ascii: ".")) }
                for byte in label {
                    guard byte != UInt8(ascii: ".") else { throw .malformedName }
                    bytes.append(byte &- 0x41 < 26 ? byte | 0x20 : byte)
                }
                guard bytes.count <= 253 else { throw .malformedName }
            case 0xC0:
                guard let low = message.getInteger(at: place, as: UInt8.self) else { throw .truncatedMessage }
                end = end ?? place + 1
                let target = message.readerIndex + Int(length & 0x3F) << 8 + Int(low)
                guard target < limit else { throw .malformedName }
                limit = target
                place = target
            default: throw .malformedName
            }
        }
        guard end ?? place <= buffer.writerIndex else { throw .truncatedMessage }
        buffer.moveReaderIndex(to: end ?? place)
        self.init(canonical: String(decoding: bytes, as: UTF8.self))
    }
}

/// An error in a DNS message.
package enum DNSError: String, Error, Hashable, Sendable, CaseIterable {
    case truncatedMessage = "the message is truncated"
    case malformedName = "a name is malformed, or its pointers form a loop"
    case notAResponse = "the message is not a response"
    case malformedRecord = "a record is malformed"
    case tooManyRecords = "the message holds more records than the limit"
    case truncatedOverTCP = "the message is marked as truncated over TCP"
}
