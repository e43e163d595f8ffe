// Decodes values in binary format (defined only by `*_send` in PostgreSQL's sources).

import NIOCore
import SkeinCore
import SkeinSQL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Decodes cells. Every length is checked against the available bytes, since they come from a peer.
struct PostgresValueReader {
    /// The maximum nesting of arrays and records.
    private static let maximumDepth = 32

    private var depth = 0

    /// A cell as a value; for an unknown type, its text.
    /// - Throws: code 709 when the bytes are invalid for the type.
    static func read(_ bytes: UnsafeRawBufferPointer, _ type: UInt32, isBinary: Bool) throws -> SQLValue {
        var reader = PostgresValueReader()
        if isBinary, let format = PostgresType.format(type) { return try reader.value(bytes, type, format) }
        let text = try reader.text(bytes)
        return PostgresTextReader.value(text, type) ?? .text(text)
    }

    private func malformed(_ type: UInt32) -> SkeinError {
        SkeinError(.invalidContent, because: "the server sent bytes that are not a value of the type with OID \(type)")
    }

    private func text(_ bytes: UnsafeRawBufferPointer) throws -> String {
        guard let text = PostgresText.decode(bytes) else {
            throw SkeinError(.invalidContent, because: "the server sent text that is not UTF-8")
        }
        return text
    }

    private func integer<T: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _ type: UInt32, _: T.Type) throws -> T {
        guard bytes.count == MemoryLayout<T>.size else { throw malformed(type) }
        return T(bigEndian: bytes.loadUnaligned(as: T.self))
    }

    private mutating func value(
        _ bytes: UnsafeRawBufferPointer, _ type: UInt32, _ format: PostgresFormat
    ) throws -> SQLValue {
        switch format {
        case .bool: return .bool(try integer(bytes, type, UInt8.self) != 0)
        case .int2: return .integer(Int64(try integer(bytes, type, Int16.self)))
        case .int4: return .integer(Int64(try integer(bytes, type, Int32.self)))
        case .int8: return .integer(try integer(bytes, type, Int64.self))
        case .oid: return .integer(Int64(try integer(bytes, type, UInt32.self)))
        case .float4:
            // By its shortest digits: as the nearest Double, 0.1 would be 0.10000000149011612.
            let value = Float(bitPattern: try integer(bytes, type, UInt32.self))
            return .double(Double("\(value)") ?? Double(value))
        case .float8: return .double(Double(bitPattern: try integer(bytes, type, UInt64.self)))
        case .numeric: return .numeric(try PostgresNumeric.text(bytes) ?? { throw malformed(type) }())
        case .text: return .text(try text(bytes))
        case .bytes: return .bytes(Array(bytes))
        case .json: return .json(try text(bytes))
        case .jsonb:
            guard bytes.first == 1 else { throw malformed(type) }
            return .json(try text(UnsafeRawBufferPointer(rebasing: bytes.dropFirst())))
        case .uuid:
            guard bytes.count == 16 else { throw malformed(type) }
            return .uuid(UUID(uuid: bytes.loadUnaligned(as: uuid_t.self)))
        case .timestamp, .timestampZoned:
            let raw = try integer(bytes, type, Int64.self)
            let isZoned = format == .timestampZoned
            if raw == .max || raw == .min { return .timestamp(SQLTimestamp(microseconds: raw, isZoned: isZoned)) }
            let (moment, overflow) = raw.addingReportingOverflow(PostgresType.epoch)
            guard overflow else { return .timestamp(SQLTimestamp(microseconds: moment, isZoned: isZoned)) }
            // The last years that the server supports (294247 to 294276) are returned as text.
            let day: Int64 = 86_400_000_000
            return .text(
                SQLTimestamp.text(
                    days: raw / day + Int64(PostgresType.epochDays), microseconds: raw % day, isZoned: isZoned))
        case .date:
            let raw = try integer(bytes, type, Int32.self)
            let (day, overflow) = raw.addingReportingOverflow(PostgresType.epochDays)
            return .date(SQLDate(days: raw == .max || raw == .min || overflow ? (raw > 0 ? .max : .min) : day))
        case .time: return .time(SQLTime(microseconds: try integer(bytes, type, Int64.self)))
        case .timeZoned:
            guard bytes.count == 12 else { throw malformed(type) }
            let zone = Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: Int32.self))
            return .time(
                SQLTime(microseconds: Int64(bigEndian: bytes.loadUnaligned(as: Int64.self)), offset: -Int(zone)))
        case .interval:
            guard bytes.count == 16 else { throw malformed(type) }
            return .interval(
                SQLInterval(
                    months: Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: 12, as: Int32.self)),
                    days: Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: Int32.self)),
                    microseconds: Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))))
        case .array: return try nested(type) { try $0.array(bytes, type) }
        case .range: return .range(try range(bytes, type))
        case .multirange: return try multirange(bytes, type)
        }
    }

    private mutating func nested(_ type: UInt32, _ read: (inout Self) throws -> SQLValue) throws -> SQLValue {
        guard depth < Self.maximumDepth else { throw malformed(type) }
        depth += 1
        defer { depth -= 1 }
        return try read(&self)
    }

    /// A cell with its length before it; nil for NULL.
    private mutating func cell(_ buffer: inout ByteBuffer, _ type: UInt32, in outer: UInt32) throws -> SQLValue {
        guard let length = buffer.readInteger(as: Int32.self) else { throw malformed(outer) }
        if length == -1 { return .null }
        guard length >= 0, let bytes = buffer.readSlice(length: Int(length)) else { throw malformed(outer) }
        // Only types with a known binary format are requested in it.
        guard let format = PostgresType.format(type) else { throw malformed(outer) }
        return try bytes.withUnsafeReadableBytes { try value($0, type, format) }
    }

    private mutating func array(_ bytes: UnsafeRawBufferPointer, _ type: UInt32) throws -> SQLValue {
        var buffer = ByteBuffer(bytes: bytes)
        guard let dimensions = buffer.readInteger(as: Int32.self), (0...6).contains(dimensions),
            buffer.readInteger(as: Int32.self) != nil, let element = buffer.readInteger(as: UInt32.self)
        else { throw malformed(type) }
        var sizes: [Int] = []
        var bounds: [Int] = []
        for _ in 0..<dimensions {
            guard let size = buffer.readInteger(as: Int32.self), size >= 0,
                let bound = buffer.readInteger(as: Int32.self)
            else { throw malformed(type) }
            sizes.append(Int(size))
            bounds.append(Int(bound))
        }
        // Each element takes at least four bytes: an announced count beyond that must not allocate memory.
        var all = 1
        for size in sizes {
            let (product, overflow) = all.multipliedReportingOverflow(by: size)
            guard !overflow, product <= buffer.readableBytes / 4 else { throw malformed(type) }
            all = product
        }
        if sizes.isEmpty { return .array([]) }
        let array = try dimension(sizes[...], &buffer, element, type)
        if bounds.allSatisfy({ $0 == 1 }) { return array }
        // Swift arrays have no lower bounds: an array with lower bounds is returned as text.
        let shown = zip(bounds, sizes).map { "[\($0):\($0 + $1 - 1)]" }.joined()
        return .text("\(shown)=\(array)")
    }

    private mutating func dimension(
        _ sizes: ArraySlice<Int>, _ buffer: inout ByteBuffer, _ element: UInt32, _ type: UInt32
    ) throws -> SQLValue {
        guard let size = sizes.first else { return try cell(&buffer, element, in: type) }
        var elements: [SQLValue] = []
        elements.reserveCapacity(size)
        for _ in 0..<size { elements.append(try dimension(sizes.dropFirst(), &buffer, element, type)) }
        return .array(elements)
    }

    /// Flags: 1 empty, 2 and 4 bounds included, 8 and 16 no bound.
    private mutating func range(_ bytes: UnsafeRawBufferPointer, _ type: UInt32) throws -> SQLRange {
        var buffer = ByteBuffer(bytes: bytes)
        guard let flags = buffer.readInteger(as: UInt8.self), let bound = PostgresType.bound(ofRange: type) else {
            throw malformed(type)
        }
        if flags & 1 != 0 { return SQLRange(nil, nil, isEmpty: true) }
        let lower = flags & 8 == 0 ? try cell(&buffer, bound, in: type) : nil
        let upper = flags & 16 == 0 ? try cell(&buffer, bound, in: type) : nil
        return SQLRange(lower, upper, includesLower: flags & 2 != 0, includesUpper: flags & 4 != 0)
    }

    private mutating func multirange(_ bytes: UnsafeRawBufferPointer, _ type: UInt32) throws -> SQLValue {
        var buffer = ByteBuffer(bytes: bytes)
        guard let count = buffer.readInteger(as: Int32.self), count >= 0, Int(count) <= buffer.readableBytes / 5,
            let inner = PostgresType.range(ofMultirange: type)
        else { throw malformed(type) }
        var ranges: [SQLRange] = []
        for _ in 0..<count {
            guard let length = buffer.readInteger(as: Int32.self), length >= 0,
                let slice = buffer.readSlice(length: Int(length))
            else { throw malformed(type) }
            ranges.append(try slice.withUnsafeReadableBytes { try range($0, inner) })
        }
        return .ranges(ranges)
    }
}

/// `numeric` in binary form: digits of base 10 000.
enum PostgresNumeric {
    /// Its digits; nil for invalid bytes.
    static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count >= 8, bytes.count % 2 == 0 else { return nil }
        func word(_ place: Int) -> UInt16 {
            UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: place * 2, as: UInt16.self))
        }
        let count = Int(word(0))
        let weight = Int(Int16(bitPattern: word(1)))
        let scale = Int(word(3) & 0x3FFF)
        guard bytes.count == 8 + count * 2 else { return nil }
        switch word(2) {
        case 0xC000: return "NaN"
        case 0xD000: return "Infinity"
        case 0xF000: return "-Infinity"
        case 0, 0x4000: break
        default: return nil
        }
        func group(_ place: Int) -> Int? {
            guard (0..<count).contains(place) else { return 0 }
            let digits = Int(word(4 + place))
            return digits < 10000 ? digits : nil
        }
        var text = word(2) == 0x4000 ? "-" : ""
        if weight < 0 {
            text += "0"
        } else {
            for place in 0...weight {
                guard let digits = group(place) else { return nil }
                let shown = "\(digits)"
                text += place == 0 ? shown : String(repeating: "0", count: 4 - shown.count) + shown
            }
        }
        guard scale > 0 else { return text }
        var fraction = ""
        var place = weight + 1
        while fraction.utf8.count < scale {
            guard let digits = place < 0 ? 0 : group(place) else { return nil }
            let shown = "\(digits)"
            fraction += String(repeating: "0", count: 4 - shown.count) + shown
            place += 1
        }
        return text + "." + fraction.prefix(scale)
    }
}

/// Text from the server.
enum PostgresText {
    /// The text, or nil for invalid UTF-8.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> String? { String(checkedUTF8: bytes) }
}
