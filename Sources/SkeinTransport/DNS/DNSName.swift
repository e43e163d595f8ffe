// Host names: how people write them, how DNS compares them, how they stand in a message.

import Foundation
import NIOCore

/// A domain name in its canonical form: ASCII, lower case, without the dot at the end.
package struct DNSName: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    package var description: String { text }

    /// A name as people write it; internationalised labels become ASCII (IDNA, RFC 5891).
    /// - Returns: nil for what cannot be a name: an empty or too long label, a name of more than 253 bytes.
    package init?(_ text: String) {
        var rest = text[...]
        if rest.last == "." { rest.removeLast() }
        guard let ascii = Self.ascii(String(rest)) else { return nil }
        self.text = ascii
    }

    private init(canonical text: String) { self.text = text }

    private static func ascii(_ text: String) -> String? {
        var labels: [String] = []
        for label in text.splitBytes(separator: ".", omittingEmptySubsequences: false) {
            var label = label.lowercased()
            // The full stops of other scripts are no label's part (RFC 3490, section 3.1).
            if label.unicodeScalars.contains(where: { ["\u{3002}", "\u{FF0E}", "\u{FF61}"].contains($0) }) {
                return nil
            }
            if !label.utf8.allSatisfy({ $0 < 0x80 }) {
                guard let encoded = Punycode.encode(label.precomposed) else { return nil }
                label = "xn--" + encoded
            }
            guard (1...63).contains(label.utf8.count), label.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                return nil
            }
            labels.append(label)
        }
        let name = labels.joined(separator: ".")
        return name.utf8.count <= 253 ? name : nil
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

    /// Reads a name, following pointers into the message; each has to lead further back than the one before, so that none can
    /// go in circles.
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

/// What is wrong with a DNS message.
package enum DNSError: String, Error, Hashable, Sendable, CaseIterable {
    case truncatedMessage = "the message ends in the middle"
    case malformedName = "a name is malformed, or its pointers go in circles"
    case notAResponse = "the message is not a response"
    case malformedRecord = "a record is malformed"
    case tooManyRecords = "the message holds more records than the limit"
    case truncatedOverTCP = "the message says that it is cut short, and that over TCP"
}

/// Letters of other scripts as ASCII (RFC 3492).
enum Punycode {
    static func encode(_ text: String) -> String? {
        let scalars = text.unicodeScalars.map(\.value)
        var output = scalars.filter { $0 < 0x80 }.map { UInt8($0) }
        let basic = output.count
        if basic > 0 { output.append(UInt8(ascii: "-")) }
        var next: UInt32 = 0x80
        var delta: UInt32 = 0
        var bias: UInt32 = 72
        var handled = basic
        while handled < scalars.count {
            guard let smallest = scalars.filter({ $0 >= next }).min() else { return nil }
            let (step, overflow) = (smallest - next).multipliedReportingOverflow(by: UInt32(handled + 1))
            guard !overflow, scalars.count < 256 else { return nil }
            delta &+= step
            next = smallest
            for scalar in scalars {
                if scalar < next { delta &+= 1 }
                guard scalar == next else { continue }
                var rest = delta
                var place: UInt32 = 36
                while true {
                    let threshold = place <= bias ? 1 : min(26, place - bias)
                    if rest < threshold { break }
                    output.append(digit(threshold + (rest - threshold) % (36 - threshold)))
                    rest = (rest - threshold) / (36 - threshold)
                    place += 36
                }
                output.append(digit(rest))
                bias = adapt(delta, UInt32(handled + 1), isFirst: handled == basic)
                delta = 0
                handled += 1
            }
            delta &+= 1
            next += 1
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func digit(_ value: UInt32) -> UInt8 { UInt8(value < 26 ? value + 0x61 : value - 26 + 0x30) }

    private static func adapt(_ delta: UInt32, _ count: UInt32, isFirst: Bool) -> UInt32 {
        var delta = isFirst ? delta / 700 : delta / 2
        delta += delta / count
        var place: UInt32 = 0
        while delta > 455 {
            delta /= 35
            place += 36
        }
        return place + 36 * delta / (delta + 38)
    }
}

extension String {
    /// Letters and their marks as one character where there is one (Unicode NFC).
    fileprivate var precomposed: String { (self as NSString).precomposedStringWithCanonicalMapping }
}
