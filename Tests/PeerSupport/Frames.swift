// HTTP/2 frames written by hand, for peers that violate the protocol.

import NIOCore
import NIOHPACK

/// Frames as a peer writes them, valid or not.
public struct Frames {
    public private(set) var bytes = ByteBuffer()
    private var encoder = HPACKEncoder(allocator: ByteBufferAllocator())

    public init() {}

    public static let end: UInt8 = 0x1
    public static let ack: UInt8 = 0x1
    public static let endHeaders: UInt8 = 0x4
    public static let padded: UInt8 = 0x8
    public static let priority: UInt8 = 0x20

    public static let get = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
    public static let post = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")]

    /// A request encoded without a dynamic table, the same bytes each time.
    public static let plainGet: [UInt8] = [0x82, 0x86, 0x84, 0x01, 0x01, 0x61]

    /// Any frame.
    public mutating func raw(
        _ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = [], length: Int? = nil
    ) {
        bytes.writeInteger(UInt32(length ?? payload.count) << 8 | UInt32(type))
        bytes.writeInteger(flags)
        bytes.writeInteger(stream)
        bytes.writeBytes(payload)
    }

    public mutating func preface() { bytes.writeString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }

    public mutating func settings(_ parameters: [(UInt16, UInt32)] = []) {
        raw(4, Self.payload(parameters.flatMap { [UInt32($0.0), $0.1] }, sizes: [2, 4]))
    }

    public mutating func settingsAck() { raw(4, flags: Self.ack) }

    public mutating func headers(_ stream: UInt32, _ fields: [(String, String)], flags: UInt8 = endHeaders | end) {
        raw(1, flags: flags, stream: stream, block(fields))
    }

    public mutating func data(_ stream: UInt32, _ count: Int, flags: UInt8 = 0) {
        raw(0, flags: flags, stream: stream, Array(repeating: 0x78, count: count))
    }

    public mutating func windowUpdate(_ stream: UInt32, _ increment: UInt32) {
        raw(8, stream: stream, Self.payload([increment]))
    }

    public mutating func reset(_ stream: UInt32, _ code: UInt32) {
        raw(3, stream: stream, Self.payload([code]))
    }

    public mutating func goAway(_ last: UInt32, _ code: UInt32 = 0) {
        raw(7, Self.payload([last, code]))
    }

    /// An encoded header list.
    public mutating func block(_ fields: [(String, String)]) -> [UInt8] {
        try? encoder.beginEncoding(allocator: ByteBufferAllocator())
        for (name, value) in fields { try? encoder.append(header: name, value: value) }
        return Array((try? encoder.endEncoding())?.readableBytesView ?? ByteBuffer().readableBytesView)
    }

    public mutating func take() -> ByteBuffer {
        defer { bytes = ByteBuffer() }
        return bytes
    }

    /// Numbers in network order, of four bytes or of the given sizes in turn.
    public static func payload(_ numbers: [UInt32], sizes: [Int] = [4]) -> [UInt8] {
        numbers.enumerated().flatMap { place, number in
            let size = sizes[place % sizes.count]
            return (0..<size).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * (size - 1 - $0))) }
        }
    }
}
