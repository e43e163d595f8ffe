// Splits the server's bytes into replies.

import NIOCore
import SkeinCore

/// A protocol error; the connection must be closed.
struct MongoProtocolError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Splits a byte stream into messages.
struct MongoDecoder {
    /// The size limit of a message: the servers' limit, plus overhead.
    static let maximumMessageSize = 48_000_000 + 16_384

    private var buffer = ByteBuffer()

    mutating func append(_ bytes: ByteBuffer) { buffer.absorb(bytes) }

    /// The next complete message, or nil until more bytes arrive.
    mutating func next() throws(MongoProtocolError) -> MongoReply? {
        guard let length: Int32 = buffer.getInteger(at: buffer.readerIndex, endianness: .little) else { return nil }
        guard length >= 21, length <= Self.maximumMessageSize else {
            throw MongoProtocolError("a message declares an invalid length of \(length) bytes")
        }
        guard var message = buffer.readSlice(length: Int(length)) else { return nil }
        let whole = message
        guard
            let (_, id, responseTo, opcode) = message.readMultipleIntegers(
                endianness: .little, as: (Int32, Int32, Int32, Int32).self)
        else { return nil }
        switch opcode {
        case MongoOpcode.message: return try Self.reply(message, of: whole, id, responseTo)
        case MongoOpcode.compressed:
            // The checksum covers the uncompressed message, with its own header.
            let (content, header) = try Self.expand(message, id, responseTo)
            return try Self.reply(content, of: header, id, responseTo)
        default: throw MongoProtocolError("a message has the opcode \(opcode), not \(MongoOpcode.message)")
        }
    }

    private static func expand(
        _ message: ByteBuffer, _ id: Int32, _ responseTo: Int32
    ) throws(MongoProtocolError) -> (content: ByteBuffer, whole: ByteBuffer) {
        var message = message
        guard
            let (original, size, number) = message.readMultipleIntegers(
                endianness: .little, as: (Int32, Int32, UInt8).self), original == MongoOpcode.message
        else { throw MongoProtocolError("the compressed content is not a message") }
        guard size >= 5, size <= maximumMessageSize else {
            throw MongoProtocolError("a compressed message declares an invalid length of \(size) bytes")
        }
        let content: ByteBuffer?
        if number == 0 {  // no compression
            content = message.readableBytes == size ? message : nil
        } else {
            guard let compressor = MongoCompressor(rawValue: number) else {
                throw MongoProtocolError("a message is compressed with compressor \(number), which was not negotiated")
            }
            content = compressor.decompress(message.readableBytesView, size: Int(size))
        }
        guard let content else { throw MongoProtocolError("a compressed message is malformed") }
        var whole = ByteBuffer()
        whole.writeMultipleIntegers(size + 16, id, responseTo, original, endianness: .little)
        whole.writeImmutableBuffer(content)
        return (content, whole)
    }

    private static func reply(
        _ content: ByteBuffer, of whole: ByteBuffer, _ id: Int32, _ responseTo: Int32
    ) throws(MongoProtocolError) -> MongoReply {
        var content = content
        guard let flags: UInt32 = content.readInteger(endianness: .little) else {
            throw MongoProtocolError("a message has no flags")
        }
        guard flags & MongoFlags.required & ~(MongoFlags.checksumPresent | MongoFlags.moreToCome) == 0 else {
            throw MongoProtocolError("a message has unknown flags: \(flags)")
        }
        if flags & MongoFlags.checksumPresent != 0 {
            try check(whole)
            guard content.readableBytes >= 4 else { throw MongoProtocolError("a message is truncated") }
            content.moveWriterIndex(to: content.writerIndex - 4)
        }
        var document: Document?
        var sequences: [(String, BSON)] = []
        while let kind: UInt8 = content.readInteger() {
            switch kind {
            case 0:
                guard document == nil else { throw MongoProtocolError("a message has two documents") }
                document = try Self.document(&content)
            case 1: sequences.append(try sequence(&content))
            default: throw MongoProtocolError("a message has a section of unknown kind \(kind)")
            }
        }
        guard var document else { throw MongoProtocolError("a message has no document") }
        for (name, documents) in sequences { document.append(name, documents) }
        return MongoReply(
            requestID: id, responseTo: responseTo, moreToCome: flags & MongoFlags.moreToCome != 0, document: document)
    }

    private static func check(_ whole: ByteBuffer) throws(MongoProtocolError) {
        let length = whole.readableBytes - 4
        guard let sum: UInt32 = whole.getInteger(at: whole.readerIndex + length, endianness: .little),
            let covered = whole.viewBytes(at: whole.readerIndex, length: length), CRC32C.checksum(covered) == sum
        else { throw MongoProtocolError("the checksum of a message is wrong") }
    }

    private static func document(_ content: inout ByteBuffer) throws(MongoProtocolError) -> Document {
        guard let length: Int32 = content.getInteger(at: content.readerIndex, endianness: .little), length >= 5,
            let bytes = content.readSlice(length: Int(length))
        else { throw MongoProtocolError("a document in a message is truncated") }
        do {
            return try Document(bytes: bytes)
        } catch {
            throw MongoProtocolError("a document in a message is malformed: \(error)")
        }
    }

    private static func sequence(_ content: inout ByteBuffer) throws(MongoProtocolError) -> (String, BSON) {
        guard let length: Int32 = content.readInteger(endianness: .little), length >= 5,
            var section = content.readSlice(length: Int(length) - 4),
            let end = section.readableBytesView.firstIndex(of: 0),
            let name = section.readString(length: end - section.readerIndex)
        else { throw MongoProtocolError("a document sequence in a message is truncated") }
        section.moveReaderIndex(forwardBy: 1)
        var documents: [BSON] = []
        while section.readableBytes > 0 { documents.append(.document(try document(&section))) }
        return (name, .array(documents))
    }
}
