// OP_MSG, the only message type, and the envelope of a compressed message
// (https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md, …/compression/OP_COMPRESSED.md).

import NIOCore

/// A server's reply.
struct MongoReply {
    let requestID: Int32
    /// The request ID that it answers.
    let responseTo: Int32
    /// Whether more replies to the same request follow.
    let moreToCome: Bool
    let document: Document
}

/// A command for encoding: the document, additional members, and a document sequence.
struct MongoBody {
    /// Its first member is the name of the command.
    var document: Document
    var database: String
    /// Members that are appended.
    var additions = Document()
    /// Documents of a member, sent in a separate section (section kind 1).
    var sequence: (name: String, documents: [Document])?
    /// No reply is wanted.
    var isUnacknowledged = false
}

enum MongoOpcode {
    static let compressed: Int32 = 2012
    static let message: Int32 = 2013
}

/// The flags of OP_MSG. An unknown flag among the first sixteen is an error.
enum MongoFlags {
    static let checksumPresent: UInt32 = 1
    static let moreToCome: UInt32 = 1 << 1
    static let exhaustAllowed: UInt32 = 1 << 16
    static let required: UInt32 = 0xFFFF
}

/// Encodes messages.
enum MongoWriter {
    /// Encodes a command.
    /// - Parameters:
    ///   - compressor: the compressor; nil for none.
    ///   - checksum: whether a CRC-32C is appended.
    static func write(
        _ body: MongoBody, id: Int32, compressor: MongoCompressor? = nil, checksum: Bool = false,
        into output: inout ByteBuffer
    ) {
        let start = output.writerIndex
        header(id: id, MongoOpcode.message, into: &output)
        let content = output.writerIndex
        var flags: UInt32 = checksum ? MongoFlags.checksumPresent : 0
        if body.isUnacknowledged { flags |= MongoFlags.moreToCome }
        output.writeInteger(flags, endianness: .little)
        output.writeInteger(0 as UInt8)
        let document = output.writerIndex
        output.writeInteger(0 as UInt32)
        members(body.document, into: &output)
        output.writeStaticString("\u{2}$db\0")
        output.writeInteger(UInt32(body.database.utf8.count + 1), endianness: .little)
        output.writeString(body.database)
        output.writeInteger(0 as UInt8)
        members(body.additions, into: &output)
        output.writeInteger(0 as UInt8)
        end(document, of: &output)
        if let sequence = body.sequence {
            output.writeInteger(1 as UInt8)
            let section = output.writerIndex
            output.writeInteger(0 as UInt32)
            output.writeString(sequence.name)
            output.writeInteger(0 as UInt8)
            for document in sequence.documents { output.writeImmutableBuffer(document.bytes) }
            end(section, of: &output)
        }
        if checksum {
            output.writeInteger(0 as UInt32)
            end(start, of: &output)
            let sum = output.viewBytes(at: start, length: output.writerIndex - start - 4)
            output.setInteger(sum.map { CRC32C.checksum($0) } ?? 0, at: output.writerIndex - 4, endianness: .little)
        } else {
            end(start, of: &output)
        }
        if let compressor { compress(by: compressor, from: start, content: content, id: id, &output) }
    }

    private static func header(id: Int32, _ opcode: Int32, into output: inout ByteBuffer) {
        output.writeMultipleIntegers(0 as Int32, id, 0 as Int32, opcode, endianness: .little)
    }

    private static func members(_ document: Document, into output: inout ByteBuffer) {
        let bytes = document.bytes
        guard let members = bytes.getSlice(at: bytes.readerIndex + 4, length: bytes.readableBytes - 5) else { return }
        output.writeImmutableBuffer(members)
    }

    /// Fills in the length of a section.
    private static func end(_ start: Int, of output: inout ByteBuffer) {
        output.setInteger(UInt32(output.writerIndex - start), at: start, endianness: .little)
    }

    private static func compress(
        by compressor: MongoCompressor, from start: Int, content: Int, id: Int32, _ output: inout ByteBuffer
    ) {
        let length = output.writerIndex - content
        guard let plain = output.viewBytes(at: content, length: length), let small = compressor.compress(plain),
            small.count < length
        else { return }
        output.moveWriterIndex(to: start)
        header(id: id, MongoOpcode.compressed, into: &output)
        output.writeMultipleIntegers(
            MongoOpcode.message, Int32(length), endianness: .little)
        output.writeInteger(compressor.rawValue)
        output.writeBytes(small)
        end(start, of: &output)
    }
}

/// The checksum of messages: CRC-32C (RFC 9260, appendix A), eight bytes at a time.
enum CRC32C {
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            tables[index] = (0..<8).reduce(UInt32(index)) { value, _ in
                value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1
            }
        }
        for index in 256..<tables.count {
            let previous = tables[index - 256]
            tables[index] = previous >> 8 ^ tables[Int(previous & 0xFF)]
        }
        return tables
    }()

    static func checksum(_ bytes: some Collection<UInt8>) -> UInt32 {
        var value = ~0 as UInt32
        let done: Void? = bytes.withContiguousStorageIfAvailable { raw in
            tables.withUnsafeBufferPointer { tables in
                var rest = UnsafeRawBufferPointer(raw)
                while rest.count >= 8 {
                    let low = value ^ UInt32(littleEndian: rest.loadUnaligned(as: UInt32.self))
                    let high = UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
                    value = 0
                    for place in 0..<4 {
                        value ^= tables[(7 - place) * 256 + Int(low >> (8 * place) & 0xFF)]
                        value ^= tables[(3 - place) * 256 + Int(high >> (8 * place) & 0xFF)]
                    }
                    rest = UnsafeRawBufferPointer(rebasing: rest[8...])
                }
                for byte in rest { value = value >> 8 ^ tables[Int((value ^ UInt32(byte)) & 0xFF)] }
            }
        }
        if done == nil { for byte in bytes { value = value >> 8 ^ tables[Int((value ^ UInt32(byte)) & 0xFF)] } }
        return ~value
    }
}
