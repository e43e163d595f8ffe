import NIOCore

@testable import SkeinWire

/// A frame as a test writes it, valid or not.
struct ScriptedFrame: Sendable {
    var first: UInt8
    var payload: [UInt8] = []
    /// How the length is written; nil for the shortest form.
    var lengthBytes: Int?
    /// The declared length; nil for the true one.
    var claim: UInt64?
    /// Whether its masking is wrong for the role.
    var isMaskedWrongly = false

    /// A frame of its first byte and text.
    init(_ first: UInt8, _ text: String = "") {
        self.first = first
        payload = Array(text.utf8)
    }

    init(_ first: UInt8, bytes: [UInt8], lengthBytes: Int? = nil, claim: UInt64? = nil, isMaskedWrongly: Bool = false) {
        self.first = first
        payload = bytes
        self.lengthBytes = lengthBytes
        self.claim = claim
        self.isMaskedWrongly = isMaskedWrongly
    }

    /// The bytes as the peer of a role sends them.
    func bytes(to role: WebSocketRole) -> [UInt8] {
        let isMasked = (role == .server) != isMaskedWrongly
        let count = claim ?? UInt64(payload.count)
        let form = lengthBytes ?? (count < 126 ? 0 : count <= 0xFFFF ? 2 : 8)
        let bit: UInt8 = isMasked ? 0x80 : 0
        var bytes = [first]
        switch form {
        case 0: bytes.append(bit | UInt8(count))
        case 2: bytes += [bit | 126] + withUnsafeBytes(of: UInt16(truncatingIfNeeded: count).bigEndian, Array.init)
        default: bytes += [bit | 127] + withUnsafeBytes(of: count.bigEndian, Array.init)
        }
        guard isMasked else { return bytes + payload }
        let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
        return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
    }
}

/// A decoder's result for its input.
struct WebSocketOutcome: Equatable, CustomStringConvertible {
    var events: [WebSocketDecoder.Event] = []
    var code: WebSocketCloseCode?

    /// Feeds pieces of a given size.
    static func decode(
        _ bytes: [UInt8], as role: WebSocketRole, pieceSize: Int = .max, limits: WebSocketLimits = WebSocketLimits(),
        compression: WebSocketCompression? = nil
    ) -> WebSocketOutcome {
        var decoder = WebSocketDecoder(role, limits: limits, compression: compression)
        var outcome = WebSocketOutcome()
        var rest = bytes[...]
        do throws(WebSocketError) {
            while !rest.isEmpty {
                decoder.append(ByteBuffer(bytes: rest.prefix(pieceSize)))
                rest = rest.dropFirst(pieceSize)
                while let event = try decoder.next() { outcome.events.append(event) }
            }
        } catch {
            outcome.code = error.code
        }
        return outcome
    }

    static func decode(_ frames: [ScriptedFrame], as role: WebSocketRole, pieceSize: Int = .max) -> WebSocketOutcome {
        decode(frames.flatMap { $0.bytes(to: role) }, as: role, pieceSize: pieceSize)
    }

    var description: String {
        let shown = events.map { event in
            switch event {
            case .message(let message): "\(message.kind) \(message)"
            case .ping(let bytes): "ping \(String(buffer: bytes))"
            case .pong(let bytes): "pong \(String(buffer: bytes))"
            case .close(let closing): "close \(closing)"
            }
        }
        return (shown + [code.map { "fails with \($0)" }].compactMap(\.self)).joined(separator: ", ")
    }
}
