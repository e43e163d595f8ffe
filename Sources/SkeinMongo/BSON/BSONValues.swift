// Values of BSON that Swift has no type of its own for.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Bytes with a subtype.
public struct BSONBinary: Sendable, Hashable, Codable {
    /// What the bytes are: 0 for any, 4 for a UUID, 5 for MD5, from 128 on what one likes.
    public var subtype: UInt8
    /// The bytes. Of subtype 2, without the length that stands inside.
    public var bytes: [UInt8]

    /// Bytes of a subtype. Default: any.
    public init(_ bytes: some Sequence<UInt8>, subtype: UInt8 = 0) {
        self.subtype = subtype
        self.bytes = Array(bytes)
    }

    /// A UUID (subtype 4).
    public init(_ uuid: UUID) { self.init(withUnsafeBytes(of: uuid.uuid, Array.init), subtype: 4) }

    /// The UUID, when it is one.
    public var uuid: UUID? {
        guard subtype == 4, bytes.count == 16 else { return nil }
        return UUID(
            uuid: bytes.withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) })
    }
}

/// Milliseconds since 1970.
public struct BSONDate: Sendable, Hashable, Comparable, Codable {
    /// Before 1970, a negative number.
    public var milliseconds: Int64

    /// A moment by its number.
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// A moment, to the millisecond; the first or last there is, where it is out of range.
    public init(_ date: Date) {
        let value = (date.timeIntervalSince1970 * 1000).rounded()
        milliseconds = Int64(exactly: value) ?? (value < 0 ? .min : .max)
    }

    /// The moment as Foundation has it.
    public var date: Date { Date(timeIntervalSince1970: Double(milliseconds) / 1000) }

    public static func < (left: BSONDate, right: BSONDate) -> Bool { left.milliseconds < right.milliseconds }
}

/// A moment of the server's own clock, as in its log of operations.
public struct BSONTimestamp: Sendable, Hashable, Comparable, Codable {
    /// Seconds since 1970.
    public var seconds: UInt32
    /// A count within the second.
    public var increment: UInt32

    /// A moment by its parts.
    public init(seconds: UInt32, increment: UInt32) {
        self.seconds = seconds
        self.increment = increment
    }

    var value: UInt64 { UInt64(seconds) << 32 | UInt64(increment) }

    public static func < (left: BSONTimestamp, right: BSONTimestamp) -> Bool { left.value < right.value }
}

/// A regular expression of the server's kind (PCRE).
public struct BSONRegex: Sendable, Hashable, Codable {
    /// The expression.
    public var pattern: String
    /// Its options, in the order of the alphabet: `i`, `l`, `m`, `s`, `u`, `x`.
    public var options: String

    /// An expression.
    public init(_ pattern: String, options: String = "") {
        self.pattern = pattern
        self.options = String(options.sorted())
    }
}
