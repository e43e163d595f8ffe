// The members of a document by their offsets in its validated bytes.

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The position of a member, relative to the first byte of its document.
struct BSONElement {
    let type: BSONType
    let keyStart: Int
    let keyLength: Int
    let start: Int
    let length: Int

    @inline(__always)
    func hasKey(_ wanted: UnsafeBufferPointer<UInt8>, in raw: UnsafeRawBufferPointer) -> Bool {
        guard keyLength == wanted.count else { return false }
        guard keyLength > 0, let base = raw.baseAddress, let other = wanted.baseAddress else { return true }
        return memcmp(base + keyStart, other, keyLength) == 0
    }

    func key(in bytes: ByteBuffer) -> String {
        bytes.getString(at: bytes.readerIndex + keyStart, length: keyLength) ?? ""
    }

    /// The bytes of the value.
    func slice(of bytes: ByteBuffer) -> ByteBuffer {
        bytes.getSlice(at: bytes.readerIndex + start, length: length) ?? ByteBuffer()
    }

    @inline(__always)
    func integer<T: FixedWidthInteger>(_ type: T.Type, in bytes: ByteBuffer, at offset: Int = 0) -> T {
        bytes.getInteger(at: bytes.readerIndex + start + offset, endianness: .little, as: type) ?? 0
    }

    /// The text of a string, a code, or a symbol.
    @inline(__always)
    func text(in bytes: ByteBuffer) -> String {
        bytes.getString(at: bytes.readerIndex + start + 4, length: length - 5) ?? ""
    }
}

/// Iterates over the members of a document in memory.
struct BSONWalk {
    private var position = 4

    @inline(__always)
    mutating func next(_ raw: UnsafeRawBufferPointer) -> BSONElement? {
        guard position < raw.count - 1, let base = raw.baseAddress, let type = BSONType(rawValue: raw[position]) else {
            return nil
        }
        let keyStart = position + 1
        let keyLength = strlen((base + keyStart).assumingMemoryBound(to: CChar.self))
        let start = keyStart + keyLength + 1
        let length = type.fixedSize ?? Self.length(type, raw, base, start)
        position = start + length
        return BSONElement(type: type, keyStart: keyStart, keyLength: keyLength, start: start, length: length)
    }

    private static func length(
        _ type: BSONType, _ raw: UnsafeRawBufferPointer, _ base: UnsafeRawPointer, _ start: Int
    ) -> Int {
        func integer() -> Int { Int(Int32(littleEndian: raw.loadUnaligned(fromByteOffset: start, as: Int32.self))) }
        func cString(_ place: Int) -> Int { strlen((base + place).assumingMemoryBound(to: CChar.self)) + 1 }
        switch type {
        case .string, .code, .symbol: return 4 + integer()
        case .document, .array, .codeWithScope: return integer()
        case .binary: return 5 + integer()
        case .dbPointer: return 4 + integer() + 12
        case .regex:
            let first = cString(start)
            return first + cString(start + first)
        default: return 0
        }
    }
}

/// Iterates over the members of a document.
struct BSONElements: Sequence, IteratorProtocol {
    private let bytes: ByteBuffer
    private var walk = BSONWalk()

    init(_ bytes: ByteBuffer) { self.bytes = bytes }

    mutating func next() -> BSONElement? { bytes.withUnsafeReadableBytes { walk.next($0) } }
}

extension BSONElement {
    /// The value.
    func value(in bytes: ByteBuffer) -> BSON {
        switch type {
        case .double: return .double(Double(bitPattern: integer(UInt64.self, in: bytes)))
        case .string: return .string(text(in: bytes))
        case .document: return .document(Document(trusted: slice(of: bytes)))
        case .array:
            let inner = slice(of: bytes)
            return .array(BSONElements(inner).map { $0.value(in: inner) })
        case .binary: return .binary(binary(in: bytes))
        case .undefined: return .undefined
        case .objectID: return .objectID(objectID(in: bytes))
        case .bool: return .bool(integer(UInt8.self, in: bytes) != 0)
        case .date: return .date(BSONDate(milliseconds: integer(Int64.self, in: bytes)))
        case .null: return .null
        case .regex:
            let parts = slice(of: bytes).readableBytesView.split(separator: 0, omittingEmptySubsequences: false)
            return .regex(
                BSONRegex(String(decoding: parts[0], as: UTF8.self), options: String(decoding: parts[1], as: UTF8.self))
            )
        case .dbPointer:
            let name = bytes.getString(at: bytes.readerIndex + start + 4, length: length - 17) ?? ""
            return .dbPointer(namespace: name, objectID(in: bytes, at: length - 12))
        case .code: return .code(text(in: bytes))
        case .symbol: return .symbol(text(in: bytes))
        case .codeWithScope:
            let size = Int(integer(Int32.self, in: bytes, at: 4))
            let place = bytes.readerIndex + start + 8
            let scope = bytes.getSlice(at: place + size, length: length - 8 - size)
            return .codeWithScope(
                bytes.getString(at: place, length: size - 1) ?? "", scope.map(Document.init(trusted:)) ?? Document())
        case .int32: return .int32(integer(Int32.self, in: bytes))
        case .timestamp:
            let value = integer(UInt64.self, in: bytes)
            return .timestamp(
                BSONTimestamp(seconds: UInt32(value >> 32), increment: UInt32(truncatingIfNeeded: value)))
        case .int64: return .int64(integer(Int64.self, in: bytes))
        case .decimal128:
            return .decimal128(
                Decimal128(high: integer(UInt64.self, in: bytes, at: 8), low: integer(UInt64.self, in: bytes)))
        case .minKey: return .minKey
        case .maxKey: return .maxKey
        }
    }

    func objectID(in bytes: ByteBuffer, at offset: Int = 0) -> ObjectID {
        let place = bytes.readerIndex + start + offset
        return ObjectID(
            high: bytes.getInteger(at: place) ?? 0, low: bytes.getInteger(at: place + 8) ?? 0)
    }

    func binary(in bytes: ByteBuffer) -> BSONBinary {
        let subtype = integer(UInt8.self, in: bytes, at: 4)
        let inside = subtype == 2 ? 4 : 0
        return BSONBinary(
            bytes.getBytes(at: bytes.readerIndex + start + 5 + inside, length: length - 5 - inside) ?? [],
            subtype: subtype)
    }
}
