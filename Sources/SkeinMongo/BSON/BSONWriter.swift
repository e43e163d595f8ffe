// Writes documents.

import NIOCore

/// A writer for one document.
struct BSONWriter {
    private var bytes: ByteBuffer
    private let start: Int

    init() { self.init(into: ByteBuffer()) }

    /// Writes a document after the contents of a buffer.
    init(into buffer: ByteBuffer) {
        bytes = buffer
        start = bytes.writerIndex
        bytes.writeInteger(0 as UInt32)
    }

    /// Appends to a document.
    init(goingOn document: ByteBuffer) {
        bytes = document
        start = bytes.readerIndex
        bytes.moveWriterIndex(to: bytes.writerIndex - 1)
    }

    /// Ends the document.
    mutating func finish() -> ByteBuffer {
        bytes.writeInteger(0 as UInt8)
        bytes.setInteger(UInt32(bytes.writerIndex - start), at: start, endianness: .little)
        return bytes
    }

    /// Ends the document that was started in an empty buffer.
    consuming func document() -> Document { Document(trusted: finish()) }

    /// Starts a member, whose value must follow.
    mutating func begin(_ type: BSONType, _ key: String) {
        bytes.writeInteger(type.rawValue)
        cString(key)
    }

    mutating func append(_ key: String, _ value: BSON) {
        begin(value.type, key)
        switch value {
        case .double(let value): integer(value.bitPattern)
        case .string(let value), .code(let value), .symbol(let value): string(value)
        case .document(let value): bytes.writeImmutableBuffer(value.bytes)
        case .array(let values):
            var inner = BSONWriter(into: taken())
            for (place, value) in values.enumerated() { inner.append(String(place), value) }
            bytes = inner.finish()
        case .binary(let value):
            let isOld = value.subtype == 2
            integer(UInt32(value.bytes.count + (isOld ? 4 : 0)))
            bytes.writeInteger(value.subtype)
            if isOld { integer(UInt32(value.bytes.count)) }
            bytes.writeBytes(value.bytes)
        case .objectID(let value):
            bytes.writeInteger(value.parts.high)
            bytes.writeInteger(value.parts.low)
        case .bool(let value): bytes.writeInteger(value ? 1 : 0 as UInt8)
        case .date(let value): integer(value.milliseconds)
        case .regex(let value):
            cString(value.pattern)
            cString(value.options)
        case .dbPointer(let namespace, let id):
            string(namespace)
            bytes.writeInteger(id.parts.high)
            bytes.writeInteger(id.parts.low)
        case .codeWithScope(let code, let scope):
            let start = bytes.writerIndex
            integer(0 as UInt32)
            string(code)
            bytes.writeImmutableBuffer(scope.bytes)
            bytes.setInteger(UInt32(bytes.writerIndex - start), at: start, endianness: .little)
        case .int32(let value): integer(value)
        case .timestamp(let value): integer(value.value)
        case .int64(let value): integer(value)
        case .decimal128(let value):
            integer(value.low)
            integer(value.high)
        case .null, .undefined, .minKey, .maxKey: break
        }
    }

    /// Adds a member with an encoded value.
    mutating func append(_ key: String, _ type: BSONType, _ value: ByteBuffer) {
        begin(type, key)
        bytes.writeImmutableBuffer(value)
    }

    mutating func append(_ key: String, _ value: String) {
        begin(.string, key)
        string(value)
    }

    /// Adds the members of a document.
    mutating func append(contentsOf document: Document) {
        let all = document.bytes
        guard let members = all.getSlice(at: all.readerIndex + 4, length: all.readableBytes - 5) else { return }
        bytes.writeImmutableBuffer(members)
    }

    private mutating func taken() -> ByteBuffer {
        let all = bytes
        bytes = ByteBuffer()
        return all
    }

    private mutating func integer(_ value: some FixedWidthInteger) { bytes.writeInteger(value, endianness: .little) }

    private mutating func string(_ value: String) {
        let start = bytes.writerIndex
        integer(0 as UInt32)
        let length = bytes.writeString(value)
        bytes.writeInteger(0 as UInt8)
        bytes.setInteger(UInt32(length + 1), at: start, endianness: .little)
    }

    /// A NUL would end the name; it is replaced by the replacement character, so that the name cannot be mistaken for
    /// another one.
    private mutating func cString(_ value: String) {
        bytes.writeString(value.utf8.contains(0) ? value.replacingBytes("\0", with: "\u{FFFD}") : value)
        bytes.writeInteger(0 as UInt8)
    }
}
