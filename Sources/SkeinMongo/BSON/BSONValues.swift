// BSON values without a Swift type.

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Bytes with a subtype.
public struct BSONBinary: Sendable, Hashable, Codable {
    /// The subtype: 0 for generic, 4 for a UUID, 5 for MD5, from 128 on user-defined.
    public var subtype: UInt8
    /// The bytes. For subtype 2, without the inner length.
    public var bytes: [UInt8]

    /// Bytes with a subtype. Default: generic.
    public init(_ bytes: some Sequence<UInt8>, subtype: UInt8 = 0) {
        self.subtype = subtype
        self.bytes = Array(bytes)
    }

    /// A UUID (subtype 4).
    public init(_ uuid: UUID) { self.init(withUnsafeBytes(of: uuid.uuid, Array.init), subtype: 4) }

    /// The UUID, if it is one.
    public var uuid: UUID? {
        guard subtype == 4, bytes.count == 16 else { return nil }
        return UUID(
            uuid: bytes.withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) })
    }
}

/// Milliseconds since 1970.
public struct BSONDate: Sendable, Hashable, Comparable, Codable {
    /// Milliseconds; negative before 1970.
    public var milliseconds: Int64

    /// A date by its milliseconds.
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// A date, to the millisecond; clamped if it is out of range.
    public init(_ date: Date) {
        let value = (date.timeIntervalSince1970 * 1000).rounded()
        milliseconds = Int64(exactly: value) ?? (value < 0 ? .min : .max)
    }

    /// The date for Foundation.
    public var date: Date { Date(timeIntervalSince1970: Double(milliseconds) / 1000) }

    public static func < (left: BSONDate, right: BSONDate) -> Bool { left.milliseconds < right.milliseconds }
}

/// A timestamp of the server's logical clock, as in its oplog.
public struct BSONTimestamp: Sendable, Hashable, Comparable, Codable {
    /// Seconds since 1970.
    public var seconds: UInt32
    /// A counter within the second.
    public var increment: UInt32

    /// A timestamp by its parts.
    public init(seconds: UInt32, increment: UInt32) {
        self.seconds = seconds
        self.increment = increment
    }

    var value: UInt64 { UInt64(seconds) << 32 | UInt64(increment) }

    public static func < (left: BSONTimestamp, right: BSONTimestamp) -> Bool { left.value < right.value }
}

/// A regular expression of the server (PCRE).
public struct BSONRegex: Sendable, Hashable, Codable {
    /// The expression.
    public var pattern: String
    /// Its options, in alphabetical order: `i`, `l`, `m`, `s`, `u`, `x`.
    public var options: String

    /// An expression.
    public init(_ pattern: String, options: String = "") {
        self.pattern = pattern
        self.options = String(options.sorted())
    }
}
