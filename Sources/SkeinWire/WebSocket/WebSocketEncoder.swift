// Encodes messages (RFC 6455, section 5).

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Encodes our frames.
package struct WebSocketEncoder {
    private let role: WebSocketRole
    private let compression: WebSocketCompression?
    private let compressionThreshold: Int
    private var deflater: MessageDeflater?
    private var keys = MaskKeys()

    /// - Parameter compressionThreshold: the size in bytes below which a message is not compressed.
    package init(
        _ role: WebSocketRole, compression: WebSocketCompression? = nil, compressionThreshold: Int = 64
    ) {
        self.role = role
        self.compression = compression
        self.compressionThreshold = max(1, compressionThreshold)
    }

    /// Writes a message in one frame.
    package mutating func write(_ message: WebSocketMessage, into output: inout ByteBuffer) throws(WebSocketError) {
        let opcode: WebSocketOpcode = message.kind == .text ? .text : .binary
        guard let compression, message.bytes.readableBytes >= compressionThreshold else {
            return write(opcode, message.bytes, into: &output)
        }
        deflater = deflater ?? MessageDeflater(compression)
        if let deflater {
            write(opcode, try deflater.deflate(message.bytes), isCompressed: true, into: &output)
        } else {
            write(opcode, message.bytes, into: &output)
        }
    }

    /// Writes a fragment of a message; not compressed.
    package mutating func writeFragment(
        _ kind: WebSocketMessage.Kind, _ bytes: ByteBuffer, isFirst: Bool, isLast: Bool, into output: inout ByteBuffer
    ) {
        let opcode: WebSocketOpcode = !isFirst ? .continuation : kind == .text ? .text : .binary
        write(opcode, bytes, isFinal: isLast, into: &output)
    }

    /// Writes a Ping or a Pong with at most 125 bytes.
    package mutating func writeControl(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, into output: inout ByteBuffer)
    {
        write(
            opcode, payload.getSlice(at: payload.readerIndex, length: min(125, payload.readableBytes)) ?? payload,
            into: &output)
    }

    /// Writes a Close; a code that must not be sent is left out. A reason is cut to 123 bytes.
    package mutating func writeClose(_ closing: WebSocketClosing, into output: inout ByteBuffer) {
        var payload = ByteBuffer()
        if closing.code.isSendable {
            payload.writeInteger(closing.code.rawValue)
            var reason = closing.reason[...]
            while reason.utf8.count > 123 { reason.removeLast() }
            payload.writeSubstring(reason)
        }
        write(.close, payload, into: &output)
    }

    private mutating func write(
        _ opcode: WebSocketOpcode, _ payload: ByteBuffer, isFinal: Bool = true, isCompressed: Bool = false,
        into output: inout ByteBuffer
    ) {
        let count = payload.readableBytes
        let first = (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode.rawValue
        let maskBit: UInt8 = role == .client ? 0x80 : 0
        var mask = role == .client ? Mask(key: keys.next()) : nil
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: count + 14) { target in
            target[0] = first
            var length = 2
            switch count {
            case 0...125: target[1] = maskBit | UInt8(count)
            case 126...0xFFFF:
                target[1] = maskBit | 126
                target.storeBytes(of: UInt16(count).bigEndian, toByteOffset: 2, as: UInt16.self)
                length = 4
            default:
                target[1] = maskBit | 127
                target.storeBytes(of: UInt64(count).bigEndian, toByteOffset: 2, as: UInt64.self)
                length = 10
            }
            if let key = mask?.key {
                target.storeBytes(of: key.littleEndian, toByteOffset: length, as: UInt32.self)
                length += 4
            }
            let place = UnsafeMutableRawBufferPointer(rebasing: target[length..<(length + count)])
            payload.withUnsafeReadableBytes { bytes in
                if mask == nil { place.copyMemory(from: bytes) } else { mask?.apply(bytes, to: place) }
            }
            return length + count
        }
    }
}

/// Random masking keys (section 5.3), fetched from the system in batches.
struct MaskKeys {
    private var keys: [UInt32] = []

    mutating func next() -> UInt32 {
        if keys.isEmpty {
            keys = [UInt32](repeating: 0, count: 64)
            let code = keys.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) }
            if code != 0 { for index in keys.indices { keys[index] = .random(in: .min ... .max) } }
        }
        return keys.removeLast()
    }
}
