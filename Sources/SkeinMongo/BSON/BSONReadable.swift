// Types that are read from BSON without a decoder, and BSON values read from other formats.

import NIOCore
import SkeinCore
#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A type that is made from a BSON value directly.
protocol BSONReadable {
    init(_ place: BSONPlace) throws
}

extension BSON: BSONReadable { init(_ place: BSONPlace) { self = place.value } }

extension BSONPlace {
    /// Converts a value to a type.
    /// - Throws: when it cannot be converted.
    func need<T>(_ find: (BSON) throws -> T?) throws -> T {
        guard let found = try find(value) else { throw mismatch(T.self) }
        return found
    }
}

extension Document: BSONReadable { init(_ place: BSONPlace) throws { self = try place.need(\.document) } }

extension ObjectID: BSONReadable {
    init(_ place: BSONPlace) throws {
        self = try place.need { $0.objectID ?? $0.string.flatMap(ObjectID.init) }
    }
}

extension Decimal128: BSONReadable {
    init(_ place: BSONPlace) throws {
        self = try place.need { value in
            switch value {
            case .decimal128(let value): value
            case .int32(let value): Decimal128(Int(value))
            case .int64(let value): Decimal128(Int(value))
            default: nil
            }
        }
    }
}

extension BSONBinary: BSONReadable {
    init(_ place: BSONPlace) throws {
        self = try place.need { if case .binary(let value) = $0 { value } else { nil } }
    }
}

extension BSONDate: BSONReadable {
    init(_ place: BSONPlace) throws {
        self = try place.need { if case .date(let value) = $0 { value } else { nil } }
    }
}

extension BSONTimestamp: BSONReadable {
    init(_ place: BSONPlace) throws {
        self = try place.need { if case .timestamp(let value) = $0 { value } else { nil } }
    }
}

extension BSONRegex: BSONReadable {
    init(_ place: BSONPlace) throws {
        self = try place.need { if case .regex(let value) = $0 { value } else { nil } }
    }
}

extension BSON: Decodable {
    /// Unchanged from BSON; as far as types can be distinguished from other formats.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self.init(value)
        } else if let value = try? container.decode(Double.self) {
            self = .double(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([BSON].self) {
            self = .array(value)
        } else {
            self = .document(try container.decode(Document.self))
        }
    }
}

extension Document: Decodable {
    /// Unchanged from BSON; from the members of an object in other formats.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: TreeKey.self)
        self.init(pairs: try container.allKeys.map { ($0.stringValue, try container.decode(BSON.self, forKey: $0)) })
    }
}
