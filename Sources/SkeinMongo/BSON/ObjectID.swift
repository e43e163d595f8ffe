// Client-generated IDs: sortable by time, and unique without coordination.

import SkeinCore
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Twelve bytes: seconds since 1970, five random bytes of the process, and a counter
/// (https://www.mongodb.com/docs/manual/reference/method/ObjectId/).
public struct ObjectID: Sendable, Hashable, Comparable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt32

    private static let counter = Atomic<UInt32>(.random(in: 0...0xFF_FFFF))
    private static let process = UInt64.random(in: 0...0xFF_FFFF_FFFF)

    /// A new ID.
    public init() {
        let seconds = UInt64(UInt32(truncatingIfNeeded: Int(Date().timeIntervalSince1970)))
        let count = Self.counter.wrappingAdd(1, ordering: .relaxed).oldValue & 0xFF_FFFF
        high = seconds << 32 | Self.process >> 8
        low = UInt32(Self.process & 0xFF) << 24 | count
    }

    init(high: UInt64, low: UInt32) {
        self.high = high
        self.low = low
    }

    /// An ID from 24 hexadecimal digits; nil for other text.
    public init?(_ text: String) {
        guard text.utf8.count == 24, text.utf8.allSatisfy({ UInt8($0).isHexDigit }),
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt32(text.suffix(8), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// The bytes, in order.
    public var bytes: [UInt8] {
        withUnsafeBytes(of: high.bigEndian, Array.init) + withUnsafeBytes(of: low.bigEndian, Array.init)
    }

    var parts: (high: UInt64, low: UInt32) { (high, low) }

    /// Its creation time, to the second.
    public var date: Date { Date(timeIntervalSince1970: Double(high >> 32)) }

    /// 24 hexadecimal digits.
    public var description: String { Hex.encode(bytes) }

    public static func < (left: ObjectID, right: ObjectID) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension UInt8 {
    var isHexDigit: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }
}

extension ObjectID: Codable {
    /// In BSON itself; in other formats, its digits.
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = ObjectID(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(text.debugDescription) is not an ObjectId"))
        }
        self = value
    }

    /// In BSON itself; in other formats, its digits.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
