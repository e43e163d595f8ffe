// Decodes messages from the bytes of a connection (RFC 6455, sections 5 and 6). A value without I/O; all rules for a
// peer's frames are checked here or in the frame head.

import NIOCore
import SkeinCore

/// Limits for a peer's messages.
public struct WebSocketLimits: Hashable, Sendable {
    /// The size of a message, with all of its fragments, decompressed; a larger one closes the socket with 1009.
    /// Default: 16 MiB.
    public var messageSize = 16 << 20
    /// The size of a frame on the wire. Default: 16 MiB.
    public var frameSize = 16 << 20
    /// Fragments of one message. Default: 1 048 576.
    public var fragments = 1 << 20
    /// The ratio of decompressed to received bytes for messages above 4 MiB. Default: 250.
    public var ratio = 250

    /// The defaults.
    public init() {}
}

/// Decodes the peer's frames.
package struct WebSocketDecoder {
    /// An event from the peer.
    package enum Event: Equatable {
        case message(WebSocketMessage)
        case ping(ByteBuffer)
        case pong(ByteBuffer)
        /// The last event: bytes after a Close are ignored.
        case close(WebSocketClosing)
    }

    /// An incomplete message.
    private struct OpenMessage {
        let kind: WebSocketMessage.Kind
        let isCompressed: Bool
        /// Still compressed: decompressing early would need more memory for an incomplete message.
        var bytes = ByteBuffer()
        var checked = 0
        var fragments = 1
        var validator = UTF8Validator()
    }

    /// A data frame in progress.
    private struct OpenFrame {
        var left: Int
        let isFinal: Bool
        var mask: Mask?
    }

    private let role: WebSocketRole
    private let limits: WebSocketLimits
    private let inflater: MessageInflater?
    private var buffer = ByteBuffer()
    /// The head of an incomplete control frame.
    private var control: WebSocketFrameHead?
    private var frame: OpenFrame?
    private var message: OpenMessage?
    private var isOver = false

    /// - Parameter role: our role.
    package init(
        _ role: WebSocketRole, limits: WebSocketLimits = WebSocketLimits(), compression: WebSocketCompression? = nil
    ) {
        self.role = role
        self.limits = limits
        inflater = compression.map(MessageInflater.init)
    }

    /// Bytes of an incomplete message; 0 between messages.
    package var heldBytes: Int { message == nil ? 0 : (message?.bytes.readableBytes ?? 0) + buffer.readableBytes }

    /// Adds received bytes.
    package mutating func append(_ bytes: ByteBuffer) { if !isOver { buffer.absorb(bytes) } }

    /// Releases all buffers; nothing more is decoded.
    package mutating func abandon() {
        isOver = true
        message = nil
        buffer = ByteBuffer()
    }

    /// The next event, or nil until more bytes arrive.
    /// - Throws: the violation; the socket closes with its code, and nothing more is decoded.
    package mutating func next() throws(WebSocketError) -> Event? {
        guard !isOver else { return nil }
        do {
            while true {
                if frame != nil {
                    guard let step = try readPayload() else { return nil }
                    if case .message(let message) = step { return .message(message) }
                } else if let control {
                    return try readControl(control)
                } else {
                    guard
                        let head = try WebSocketFrameHead.read(
                            from: &buffer, by: role, mayBeCompressed: inflater != nil)
                    else { return nil }
                    if let event = try begin(head) { return event }
                    if control != nil { return nil }
                }
            }
        } catch {
            isOver = true
            buffer = ByteBuffer()
            throw error
        }
    }

    private mutating func begin(_ head: WebSocketFrameHead) throws(WebSocketError) -> Event? {
        if head.opcode.isControl { return try readControl(head) }
        guard head.length <= limits.frameSize else {
            throw WebSocketError(.messageTooLarge, "a frame is larger than the limit of \(limits.frameSize) bytes")
        }
        if let kind = WebSocketMessage.Kind(rawValue: head.opcode.rawValue) {
            guard message == nil else {
                throw WebSocketFrameHead.violation("a message begins in the middle of another one")
            }
            if head.isFinal, !head.isCompressed, buffer.readableBytes >= head.length {
                return .message(try whole(kind, head))
            }
            message = OpenMessage(kind: kind, isCompressed: head.isCompressed)
        } else {
            guard message != nil else {
                throw WebSocketFrameHead.violation("a continuation without a message that it continues")
            }
            message?.fragments += 1
            guard message?.fragments ?? 0 <= limits.fragments else {
                throw WebSocketError(.messageTooLarge, "a message has more than \(limits.fragments) fragments")
            }
        }
        try check(size: head.length, behind: message?.bytes.readableBytes ?? 0)
        frame = OpenFrame(left: head.length, isFinal: head.isFinal, mask: head.mask)
        return nil
    }

    /// The common case: a complete message in one frame.
    private mutating func whole(
        _ kind: WebSocketMessage.Kind, _ head: WebSocketFrameHead
    ) throws(WebSocketError) -> WebSocketMessage {
        try check(size: head.length)
        var mask = head.mask
        let bytes = take(head.length, &mask)
        if kind == .text {
            var validator = UTF8Validator()
            guard bytes.withUnsafeReadableBytes({ validator.accept($0) }), validator.isComplete else {
                throw Self.invalidText
            }
        }
        return WebSocketMessage(kind, bytes)
    }

    private enum Step {
        case more
        case message(WebSocketMessage)
    }

    /// Reads the available part of a frame's payload; nil when there is none.
    private mutating func readPayload() throws(WebSocketError) -> Step? {
        guard var frame, var message else { return nil }
        let count = min(frame.left, buffer.readableBytes)
        guard count > 0 || frame.left == 0 else { return nil }
        let piece = take(count, &frame.mask)
        frame.left -= count
        self.frame = nil
        self.message = nil  // moved out, so that its bytes are not copied when they grow
        try add(piece, to: &message)
        if frame.left > 0 {
            self.frame = frame
        } else if frame.isFinal {
            return .message(try finish(&message))
        }
        self.message = message
        return .more
    }

    private mutating func add(_ piece: ByteBuffer, to message: inout OpenMessage) throws(WebSocketError) {
        if message.bytes.readableBytes == 0 {
            message.bytes = piece
        } else {
            message.bytes.writeImmutableBuffer(piece)
        }
        if !message.isCompressed { try check(&message) }
    }

    private func finish(_ message: inout OpenMessage) throws(WebSocketError) -> WebSocketMessage {
        if message.isCompressed {
            guard let inflater else { throw WebSocketFrameHead.violation("a compressed message without an agreement") }
            message.bytes = try inflater.inflate(message.bytes, limits)
            try check(&message)
        }
        guard message.kind == .binary || message.validator.isComplete else { throw Self.invalidText }
        return WebSocketMessage(message.kind, message.bytes)
    }

    /// Validates the new part of a text.
    private func check(_ message: inout OpenMessage) throws(WebSocketError) {
        guard message.kind == .text else { return }
        let from = message.checked
        message.checked = message.bytes.readableBytes
        let isValid = message.bytes.withUnsafeReadableBytes {
            message.validator.accept(UnsafeRawBufferPointer(rebasing: $0[from...]))
        }
        guard isValid else { throw Self.invalidText }
    }

    private mutating func readControl(_ head: WebSocketFrameHead) throws(WebSocketError) -> Event? {
        guard buffer.readableBytes >= head.length else {
            control = head
            return nil
        }
        control = nil
        var mask = head.mask
        let payload = take(head.length, &mask)
        switch head.opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        default:
            isOver = true
            buffer = ByteBuffer()
            return .close(try Self.closing(payload))
        }
    }

    private static func closing(_ payload: ByteBuffer) throws(WebSocketError) -> WebSocketClosing {
        var payload = payload
        guard payload.readableBytes > 0 else { return WebSocketClosing(.none) }
        guard let code = payload.readInteger(as: UInt16.self).map(WebSocketCloseCode.init(rawValue:)) else {
            throw WebSocketFrameHead.violation("a Close with half a code")
        }
        guard code.isSendable else { throw WebSocketFrameHead.violation("a Close with the code \(code)") }
        var validator = UTF8Validator()
        guard payload.withUnsafeReadableBytes({ validator.accept($0) }), validator.isComplete else {
            throw invalidText
        }
        return WebSocketClosing(code, String(buffer: payload))
    }

    private mutating func take(_ count: Int, _ mask: inout Mask?) -> ByteBuffer {
        if mask != nil { return mask?.read(count, from: &buffer) ?? ByteBuffer() }
        return buffer.readSlice(length: count) ?? ByteBuffer()
    }

    private func check(size: Int, behind received: Int = 0) throws(WebSocketError) {
        guard size <= limits.messageSize - received else {
            throw WebSocketError(
                .messageTooLarge, "a message is larger than the limit of \(limits.messageSize) bytes")
        }
    }

    private static var invalidText: WebSocketError {
        WebSocketError(.invalidContent, "a text that is not valid UTF-8")
    }
}
