// IDs of messages in a spool.

import Crypto
import SkeinCore

/// The ID of a message in its spool: 24 hexadecimal digits.
public struct MailID: Hashable, Sendable, Codable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt32

    /// Parses an ID; nil for other text.
    public init?(_ text: some StringProtocol) {
        let digits = text.utf8.compactMap(Bytes.hexValue)
        guard digits.count == 24, text.utf8.count == 24, text.equalsBytes(text.asciiLowercased) else { return nil }
        high = digits[..<16].reduce(0) { $0 << 4 | UInt64($1) }
        low = digits[16...].reduce(0) { $0 << 4 | UInt32($1) }
    }

    private init(_ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8..<12].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// A new ID: the time, and random bits.
    /// - Parameter moment: milliseconds since 1970.
    init(at moment: Int) {
        self.init(withUnsafeBytes(of: UInt64(max(0, moment)).bigEndian) { Array($0[2...]) } + RandomBytes.make(6))
    }

    /// The ID for a key.
    init(key: String) { self.init(SHA256.hash(data: Array(key.utf8)).prefix(12)) }

    /// Decodes an ID.
    /// - Throws: `DecodingError` for other text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = MailID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "this is not a message identifier")
        }
        self = id
    }

    /// Writes the digits.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode("\(self)")
    }

    /// The digits.
    public var description: String {
        Hex.encode(withUnsafeBytes(of: high.bigEndian) { Array($0) } + withUnsafeBytes(of: low.bigEndian) { Array($0) })
    }
}

extension CivilTime {
    /// `Fri, 27 Nov 2026 07:33:30 +0000` (RFC 5322, section 3.3)
    var mailDate: String { httpDate.replacingBytes("GMT", with: "+0000") }

    /// Milliseconds since 1970.
    static var milliseconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int(time.tv_sec) * 1000 + Int(time.tv_nsec) / 1_000_000
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
