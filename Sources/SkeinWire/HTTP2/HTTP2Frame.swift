// The frames of RFC 9113, sections 4 and 6: header, types, flags.

import NIOCore

/// The nine bytes before the payload of every frame.
struct FrameHeader: Equatable {
    static let size = 9

    var length: Int
    var type: FrameType
    var flags: FrameFlags
    var stream: UInt32

    init(_ type: FrameType, flags: FrameFlags = [], stream: UInt32 = 0, length: Int) {
        self.length = length
        self.type = type
        self.flags = flags
        self.stream = stream
    }

    /// The header at the start of a buffer, or nil when there are fewer than nine bytes.
    init?(peeking buffer: ByteBuffer) {
        let start = buffer.readerIndex
        guard buffer.readableBytes >= Self.size,
            let lengthAndType = buffer.getInteger(at: start, as: UInt32.self),
            let flags = buffer.getInteger(at: start + 4, as: UInt8.self),
            let stream = buffer.getInteger(at: start + 5, as: UInt32.self)
        else { return nil }
        length = Int(lengthAndType >> 8)
        type = FrameType(rawValue: UInt8(truncatingIfNeeded: lengthAndType))
        self.flags = FrameFlags(rawValue: flags)
        self.stream = stream & 0x7FFF_FFFF  // the reserved bit is ignored
    }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(UInt32(length) << 8 | UInt32(type.rawValue), flags.rawValue, stream)
    }
}

/// The type of a frame; unknown ones are ignored.
struct FrameType: RawRepresentable, Equatable {
    let rawValue: UInt8

    static let data = FrameType(rawValue: 0)
    static let headers = FrameType(rawValue: 1)
    static let priority = FrameType(rawValue: 2)
    static let resetStream = FrameType(rawValue: 3)
    static let settings = FrameType(rawValue: 4)
    static let pushPromise = FrameType(rawValue: 5)
    static let ping = FrameType(rawValue: 6)
    static let goAway = FrameType(rawValue: 7)
    static let windowUpdate = FrameType(rawValue: 8)
    static let continuation = FrameType(rawValue: 9)
    /// RFC 9218, section 7.1.
    static let priorityUpdate = FrameType(rawValue: 0x10)
}

/// The flags of a frame; the meaning of a bit depends on the type.
struct FrameFlags: OptionSet {
    let rawValue: UInt8

    static let endStream = FrameFlags(rawValue: 0x01)
    static let acknowledgement = FrameFlags(rawValue: 0x01)
    static let endHeaders = FrameFlags(rawValue: 0x04)
    static let padded = FrameFlags(rawValue: 0x08)
    static let priority = FrameFlags(rawValue: 0x20)
}

/// The connection preface of a client (RFC 9113, section 3.4).
package enum HTTP2Preface {
    package static let bytes: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    /// The comparison of a connection's first bytes with the preface.
    package enum Match: Equatable {
        case no
        /// All bytes so far match the preface.
        case perhaps
        case yes
    }

    /// Compares the start of a connection with the preface.
    package static func match(_ buffer: ByteBuffer) -> Match {
        let count = min(buffer.readableBytes, bytes.utf8CodeUnitCount)
        let isEqual = buffer.withUnsafeReadableBytes { all in
            for index in 0..<count where all[index] != bytes.utf8Start[index] { return false }
            return true
        }
        guard isEqual else { return .no }
        return count == bytes.utf8CodeUnitCount ? .yes : .perhaps
    }
}
