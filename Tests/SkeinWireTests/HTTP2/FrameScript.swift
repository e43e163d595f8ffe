import NIOCore
import PeerSupport
import SkeinWire

extension Frames {
    mutating func reset(_ stream: UInt32, _ code: HTTP2ErrorCode = .cancel) { reset(stream, code.rawValue) }
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

    /// Parses the output of an engine.
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
    /// Consumes bytes and returns all events; a connection error ends them.
    mutating func feed(_ bytes: ByteBuffer, at now: NIODeadline = .uptimeNanoseconds(0)) -> (
        events: [Event], error: HTTP2Error?
    ) {
        append(bytes, at: now)
        var events: [Event] = []
        do {
            while let event = try next() { events.append(event) }
            return (events, nil)
        } catch {
            return (events, error)
        }
    }

    /// A server that has received the client's preface.
    static func server(limits: HTTP2Limits = HTTP2Limits(), settings: [(UInt16, UInt32)] = []) -> HTTP2Engine {
        var engine = HTTP2Engine(.server, limits: limits, at: .uptimeNanoseconds(0))
        var frames = Frames()
        frames.preface()
        frames.settings(settings)
        _ = engine.feed(frames.take())
        engine.output.clear()
        return engine
    }

    /// A client that has received the server's preface.
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

    /// Opens a stream for a small request.
    mutating func ask(_ method: HTTPMethod = .get, body: BodyLength = .none) throws -> HTTP2Stream {
        try open(method: method, scheme: "http", authority: "a", path: "/", headers: Headers(), bodyLength: body)
    }
}
