// What travels over a WebSocket, as its users see it.

import SkeinCore
import NIOCore

/// One message of a WebSocket (RFC 6455, section 5.6): text or bytes.
public struct WebSocketMessage: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// What the bytes of a message are; the raw value is the opcode.
    public enum Kind: UInt8, Sendable {
        /// Text in UTF-8.
        case text = 1
        /// Bytes.
        case binary = 2
    }

    /// What the bytes are.
    public let kind: Kind
    /// The bytes; of a text, valid UTF-8.
    public let bytes: ByteBuffer

    package init(_ kind: Kind, _ bytes: ByteBuffer) {
        self.kind = kind
        self.bytes = bytes
    }

    /// A text.
    public static func text(_ text: String) -> WebSocketMessage { WebSocketMessage(.text, ByteBuffer(string: text)) }

    /// Bytes.
    public static func binary(_ bytes: ByteBuffer) -> WebSocketMessage { WebSocketMessage(.binary, bytes) }

    /// Bytes.
    public static func binary(_ bytes: some Sequence<UInt8>) -> WebSocketMessage { .binary(ByteBuffer(bytes: bytes)) }

    /// A text written as a literal.
    public init(stringLiteral value: String) { self = .text(value) }

    /// The message as text; bytes that are no UTF-8 are replaced.
    public var text: String { String(buffer: bytes) }

    /// The text, or how many bytes there are.
    public var description: String { kind == .text ? text : "\(bytes.readableBytes) bytes" }
}

/// Why a WebSocket was closed (RFC 6455, section 7.4).
public struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible,
    ExpressibleByIntegerLiteral
{
    /// The number on the wire.
    public let rawValue: UInt16

    /// A code of any number; those that must not be sent are refused when they are.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A code written as a literal.
    public init(integerLiteral value: UInt16) { rawValue = value }

    /// The purpose is fulfilled.
    public static let normal: WebSocketCloseCode = 1000
    /// The server stops, or the page is left.
    public static let goingAway: WebSocketCloseCode = 1001
    /// The peer broke the protocol.
    public static let protocolError: WebSocketCloseCode = 1002
    /// A kind of message that is not taken.
    public static let unacceptableData: WebSocketCloseCode = 1003
    /// The peer gave no code; never sent.
    public static let none: WebSocketCloseCode = 1005
    /// The connection ended without a closing handshake; never sent.
    public static let abnormal: WebSocketCloseCode = 1006
    /// Text that is no UTF-8, or content that is not what it says.
    public static let invalidContent: WebSocketCloseCode = 1007
    /// Against a rule of the one who closes.
    public static let policyViolation: WebSocketCloseCode = 1008
    /// A message over the limit.
    public static let messageTooLarge: WebSocketCloseCode = 1009
    /// The server did not agree to an extension that the client needs.
    public static let missingExtension: WebSocketCloseCode = 1010
    /// The server failed.
    public static let internalError: WebSocketCloseCode = 1011
    /// The server begins anew; come again.
    public static let serviceRestart: WebSocketCloseCode = 1012
    /// Too much to do; come again later.
    public static let tryAgainLater: WebSocketCloseCode = 1013

    /// Whether it may stand in a Close frame (section 7.4.2, and IANA's registry up to 1014).
    public var isSendable: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// Whether the socket ended as it should: with 1000, 1001 or a Close without a code.
    public var isOrderly: Bool { self == .normal || self == .goingAway || self == .none }

    /// The number.
    public var description: String { String(rawValue) }
}

/// How a WebSocket ended.
public struct WebSocketClosing: Hashable, Sendable, CustomStringConvertible {
    /// The code that the peer sent, or 1005 for none, or 1006 for no Close at all.
    public let code: WebSocketCloseCode
    /// Why, in the words of the one who closed.
    public let reason: String

    /// An end with its code and reason.
    public init(_ code: WebSocketCloseCode, _ reason: String = "") {
        self.code = code
        self.reason = reason
    }

    /// The code and the reason.
    public var description: String { reason.isEmpty ? "\(code)" : "\(code) \(reason)" }
}

/// A violation of the protocol, or of a limit; the socket closes with its code.
package struct WebSocketError: Error, Equatable, CustomStringConvertible {
    package let code: WebSocketCloseCode
    package let reason: String

    package init(_ code: WebSocketCloseCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    package var description: String { "\(reason) (\(code))" }
}
