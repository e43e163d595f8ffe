// The parts of the ClientHello that are needed before the handshake (RFC 8446, section 4.1.2).

import NIOCore

/// The client's parameters.
struct ClientHello: Equatable {
    enum Outcome: Equatable {
        /// More bytes are needed.
        case incomplete
        /// It is not a TLS ClientHello, or too long.
        case other
        case hello(ClientHello)
    }

    private static let longest = 16 << 10

    /// The host name (RFC 6066, section 3).
    var serverName: String?
    /// The protocols (RFC 7301).
    var protocols: [String] = []

    /// Parses the first bytes of a connection without consuming them.
    static func read(_ bytes: ByteBuffer) -> Outcome {
        // The message may span several records.
        var (records, message) = (bytes, ByteBuffer())
        // No client splits the message into more records.
        for _ in 0..<16 {
            if let length = messageLength(message), message.readableBytes >= length {
                return parse(&message).map { .hello($0) } ?? .other
            }
            guard let type: UInt8 = records.readInteger() else { return .incomplete }
            guard type == 22 else { return .other }
            guard let version: UInt16 = records.readInteger(), let length: UInt16 = records.readInteger() else {
                return .incomplete
            }
            guard version >> 8 == 3, length > 0, message.readableBytes + Int(length) <= longest else { return .other }
            guard var part = records.readSlice(length: Int(length)) else { return .incomplete }
            message.writeBuffer(&part)
            if message.getInteger(at: message.readerIndex, as: UInt8.self) != 1 { return .other }
            if let length = messageLength(message), length > longest { return .other }
        }
        guard let length = messageLength(message), message.readableBytes >= length else { return .other }
        return parse(&message).map { .hello($0) } ?? .other
    }

    /// The length of the message with its header.
    private static func messageLength(_ message: ByteBuffer) -> Int? {
        guard let word: UInt32 = message.getInteger(at: message.readerIndex) else { return nil }
        return Int(word & 0xFFFFFF) + 4
    }

    private static func parse(_ message: inout ByteBuffer) -> ClientHello? {
        guard let length = messageLength(message), var hello = message.readSlice(length: length),
            hello.readSlice(length: 4 + 2 + 32) != nil,
            hello.readLengthPrefixedSlice(as: UInt8.self) != nil, hello.readLengthPrefixedSlice(as: UInt16.self) != nil,
            hello.readLengthPrefixedSlice(as: UInt8.self) != nil
        else { return nil }
        var found = ClientHello()
        guard hello.readableBytes > 0 else { return found }
        guard var extensions = hello.readLengthPrefixedSlice(as: UInt16.self) else { return nil }
        while extensions.readableBytes > 0 {
            guard let type: UInt16 = extensions.readInteger(),
                var value = extensions.readLengthPrefixedSlice(as: UInt16.self)
            else { return nil }
            switch type {
            case 0:
                guard var list = value.readLengthPrefixedSlice(as: UInt16.self), let kind: UInt8 = list.readInteger(),
                    let name = list.readLengthPrefixedSlice(as: UInt16.self)
                else { return nil }
                if kind == 0 { found.serverName = String(buffer: name) }
            case 16:
                guard var list = value.readLengthPrefixedSlice(as: UInt16.self) else { return nil }
                while list.readableBytes > 0 {
                    guard let name = list.readLengthPrefixedSlice(as: UInt8.self) else { return nil }
                    found.protocols.append(String(buffer: name))
                }
            default: break
            }
        }
        return found
    }
}
