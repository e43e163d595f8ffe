// The head of a frame (RFC 6455, section 5.2), and the masking of its payload (section 5.3).

import NIOCore

/// The side of a socket: a client masks its frames.
package enum WebSocketRole: Sendable {
    case client
    case server
}

/// The type of a frame.
package enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { rawValue >= 8 }
}

/// The head of a frame.
struct WebSocketFrameHead {
    let opcode: WebSocketOpcode
    let isFinal: Bool
    /// Whether the message is compressed (RFC 7692, section 6).
    let isCompressed: Bool
    let length: Int
    let mask: Mask?

    /// Parses a head; nil when it is incomplete.
    static func read(
        from buffer: inout ByteBuffer, by role: WebSocketRole, mayBeCompressed: Bool
    ) throws(WebSocketError) -> WebSocketFrameHead? {
        guard let start = buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) else { return nil }
        let first = UInt8(start >> 8)
        let second = UInt8(start & 0xFF)
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else {
            throw violation("a frame with the reserved opcode \(first & 0x0F)")
        }
        let isFinal = first & 0x80 != 0
        let isCompressed = first & 0x40 != 0
        guard first & 0x30 == 0, !isCompressed || mayBeCompressed else { throw violation("a reserved bit is set") }
        if isCompressed, opcode != .text, opcode != .binary {
            throw violation("the bit for compression is set on a frame that begins no message")
        }
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else {
            throw violation(isMasked ? "a server must not mask its frames" : "a client must mask its frames")
        }
        let short = Int(second & 0x7F)
        if opcode.isControl {
            guard isFinal else { throw violation("a control frame in fragments") }
            guard short <= 125 else { throw violation("a control frame of more than 125 bytes") }
        }
        let lengthBytes = short == 127 ? 8 : short == 126 ? 2 : 0
        guard buffer.readableBytes >= 2 + lengthBytes + (isMasked ? 4 : 0) else { return nil }
        buffer.moveReaderIndex(forwardBy: 2)
        let length = try readLength(short, from: &buffer)
        let mask = isMasked ? buffer.readInteger(endianness: .little, as: UInt32.self).map { Mask(key: $0) } : nil
        return WebSocketFrameHead(
            opcode: opcode, isFinal: isFinal, isCompressed: isCompressed, length: length, mask: mask)
    }

    private static func readLength(_ short: Int, from buffer: inout ByteBuffer) throws(WebSocketError) -> Int {
        switch short {
        case 126:
            let length = Int(buffer.readInteger(as: UInt16.self) ?? 0)
            guard length > 125 else { throw violation("a length in more bytes than it needs") }
            return length
        case 127:
            let length = buffer.readInteger(as: UInt64.self) ?? 0
            guard length > 0xFFFF else { throw violation("a length in more bytes than it needs") }
            guard length <= UInt64(Int.max) else { throw violation("a length with its highest bit set") }
            return Int(length)
        default: return short
        }
    }

    static func violation(_ reason: String) -> WebSocketError { WebSocketError(.protocolError, reason) }
}

/// A masking key, rotated for the next byte.
struct Mask {
    /// In wire order, the first byte in the lowest bits.
    private(set) var key: UInt32

    /// Copies bytes and masks or unmasks them, which is the same operation.
    mutating func apply(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer) {
        let wide = UInt64(key) | UInt64(key) << 32
        let count = source.count
        var index = 0
        while index &+ 8 <= count {
            let word = UInt64(littleEndian: source.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ wide
            target.storeBytes(of: word.littleEndian, toByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < count {
            target[index] = source[index] ^ UInt8(truncatingIfNeeded: wide &>> UInt64((index & 7) &* 8))
            index &+= 1
        }
        let turn = UInt32(count & 3) * 8
        if turn > 0 { key = key >> turn | key << (32 - turn) }
    }

    /// The next bytes of a buffer, unmasked. They must be available.
    mutating func read(_ count: Int, from buffer: inout ByteBuffer) -> ByteBuffer {
        var plain = ByteBuffer()
        guard count > 0 else { return plain }
        plain.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            buffer.withUnsafeReadableBytes { source in
                apply(UnsafeRawBufferPointer(rebasing: source[..<count]), to: target)
            }
            return count
        }
        buffer.moveReaderIndex(forwardBy: count)
        return plain
    }
}
