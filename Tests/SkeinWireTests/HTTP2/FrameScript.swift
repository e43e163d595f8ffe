import NIOCore
import NIOHPACK
import SkeinWire

/// Frames as a peer writes them, right or wrong.
struct Frames {
    private(set) var bytes = ByteBuffer()
    private var encoder = HPACKEncoder(allocator: ByteBufferAllocator())

    static let end: UInt8 = 0x1
    static let ack: UInt8 = 0x1
    static let endHeaders: UInt8 = 0x4
    static let padded: UInt8 = 0x8
    static let priority: UInt8 = 0x20

    static let get = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
    static let post = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a")]

    /// Any frame.
    mutating func raw(_ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = [], length: Int? = nil) {
        bytes.writeInteger(UInt32(length ?? payload.count) << 8 | UInt32(type))
        bytes.writeInteger(flags)
        bytes.writeInteger(stream)
        bytes.writeBytes(payload)
    }

    mutating func preface() { bytes.writeString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }

    mutating func settings(_ parameters: [(UInt16, UInt32)] = []) {
        raw(4, Self.payload(parameters.flatMap { [UInt32($0.0), $0.1] }, sizes: [2, 4]))
    }

    mutating func settingsAck() { raw(4, flags: Self.ack) }

    mutating func headers(_ stream: UInt32, _ fields: [(String, String)], flags: UInt8 = endHeaders | end) {
        raw(1, flags: flags, stream: stream, block(fields))
    }

    mutating func data(_ stream: UInt32, _ count: Int, flags: UInt8 = 0) {
        raw(0, flags: flags, stream: stream, Array(repeating: 0x78, count: count))
    }

    mutating func windowUpdate(_ stream: UInt32, _ increment: UInt32) {
        raw(8, stream: stream, Self.payload([increment]))
    }

    mutating func reset(_ stream: UInt32, _ code: HTTP2ErrorCode = .cancel) {
        raw(3, stream: stream, Self.payload([code.rawValue]))
    }

    mutating func goAway(_ last: UInt32, _ code: HTTP2ErrorCode = .noError) {
        raw(7, Self.payload([last, code.rawValue]))
    }

    /// A packed header list.
    mutating func block(_ fields: [(String, String)]) -> [UInt8] {
        try? encoder.beginEncoding(allocator: ByteBufferAllocator())
        for (name, value) in fields { try? encoder.append(header: name, value: value) }
        return Array((try? encoder.endEncoding())?.readableBytesView ?? ByteBuffer().readableBytesView)
    }

    mutating func take() -> ByteBuffer {
        defer { bytes = ByteBuffer() }
        return bytes
    }

    /// Numbers in network order, of four bytes or of the given sizes in turn.
    static func payload(_ numbers: [UInt32], sizes: [Int] = [4]) -> [UInt8] {
        numbers.enumerated().flatMap { place, number in
            let size = sizes[place % sizes.count]
            return (0..<size).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * (size - 1 - $0))) }
        }
    }
}

/// A frame that an engine wrote.
struct WrittenFrame: Equatable {
    let type: UInt8
    let flags: UInt8
    let stream: UInt32
    let payload: [UInt8]

    /// The error code of a RST_STREAM or GOAWAY.
    var code: HTTP2ErrorCode? {
        let place = type == 3 ? 0 : type == 7 ? 4 : -1
        guard place >= 0, payload.count >= place + 4 else { return nil }
        return HTTP2ErrorCode(rawValue: payload[place..<(place + 4)].reduce(0) { $0 << 8 | UInt32($1) })
    }

    /// Takes the output of an engine apart.
    static func all(of engine: inout HTTP2Engine) -> [WrittenFrame] {
        var output = engine.output
        engine.output.clear()
        if HTTP2Preface.match(output) == .yes { output.moveReaderIndex(forwardBy: 24) }
        var frames: [WrittenFrame] = []
        while let (lengthAndType, flags, stream) = output.readMultipleIntegers(as: (UInt32, UInt8, UInt32).self) {
            let payload = output.readBytes(length: Int(lengthAndType >> 8)) ?? []
            frames.append(
                WrittenFrame(
                    type: UInt8(truncatingIfNeeded: lengthAndType), flags: flags, stream: stream, payload: payload))
        }
        return frames
    }
}

extension HTTP2Engine {
    /// Takes bytes and returns all events; an error that ends the connection ends them.
    mutating func feed(_ bytes: ByteBuffer, at now: NIODeadline = .uptimeNanoseconds(0)) -> (events: [Event], error: HTTP2Error?)
    {
        append(bytes, at: now)
        var events: [Event] = []
        do {
            while let event = try next() { events.append(event) }
            return (events, nil)
        } catch {
            return (events, error)
        }
    }

    /// A server whose client has said hello.
    static func server(limits: HTTP2Limits = HTTP2Limits(), settings: [(UInt16, UInt32)] = []) -> HTTP2Engine {
        var engine = HTTP2Engine(.server, limits: limits, at: .uptimeNanoseconds(0))
        var frames = Frames()
        frames.preface()
        frames.settings(settings)
        _ = engine.feed(frames.take())
        engine.output.clear()
        return engine
    }

    /// A client whose server has said hello.
    static func client(
        limits: HTTP2Limits = HTTP2Limits(), acceptsPush: Bool = false, settings: [(UInt16, UInt32)] = []
    ) -> HTTP2Engine {
        var engine = HTTP2Engine(.client, limits: limits, acceptsPush: acceptsPush, at: .uptimeNanoseconds(0))
        var frames = Frames()
        frames.settings(settings)
        _ = engine.feed(frames.take())
        engine.output.clear()
        return engine
    }

    /// Opens a stream for a request without much to it.
    mutating func ask(_ method: HTTPMethod = .get, body: BodyLength = .none) throws -> HTTP2Stream {
        try open(method: method, scheme: "http", authority: "a", path: "/", headers: Headers(), bodyLength: body)
    }
}
