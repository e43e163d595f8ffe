// Messages and close codes of a WebSocket.

import SkeinCore
import NIOCore

/// One message of a WebSocket (RFC 6455, section 5.6): text or bytes.
public struct WebSocketMessage: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The type of a message; the raw value is the opcode.
    public enum Kind: UInt8, Sendable {
        /// Text in UTF-8.
        case text = 1
        /// Bytes.
        case binary = 2
    }

    /// The type.
    public let kind: Kind
    /// The bytes; for a text, valid UTF-8.
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

    /// A text literal.
    public init(stringLiteral value: String) { self = .text(value) }

    /// The message as text; invalid UTF-8 is replaced.
    public var text: String { String(buffer: bytes) }

    /// The text, or the number of bytes.
    public var description: String { kind == .text ? text : "\(bytes.readableBytes) bytes" }
}

/// Why a WebSocket was closed (RFC 6455, section 7.4).
public struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible,
    ExpressibleByIntegerLiteral
{
    /// The number on the wire.
    public let rawValue: UInt16

    /// A code with any number; those that must not be sent are refused on sending.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A code literal.
    public init(integerLiteral value: UInt16) { rawValue = value }

    /// The purpose is fulfilled.
    public static let normal: WebSocketCloseCode = 1000
    /// The server shuts down, or the page is left.
    public static let goingAway: WebSocketCloseCode = 1001
    /// The peer violated the protocol.
    public static let protocolError: WebSocketCloseCode = 1002
    /// A message type that is not accepted.
    public static let unacceptableData: WebSocketCloseCode = 1003
    /// The peer sent no code; never sent.
    public static let none: WebSocketCloseCode = 1005
    /// The connection ended without a closing handshake; never sent.
    public static let abnormal: WebSocketCloseCode = 1006
    /// Invalid UTF-8 in a text, or inconsistent content.
    public static let invalidContent: WebSocketCloseCode = 1007
    /// A violation of the endpoint's policy.
    public static let policyViolation: WebSocketCloseCode = 1008
    /// A message over the limit.
    public static let messageTooLarge: WebSocketCloseCode = 1009
    /// The server did not agree to an extension that the client needs.
    public static let missingExtension: WebSocketCloseCode = 1010
    /// The server failed.
    public static let internalError: WebSocketCloseCode = 1011
    /// The server restarts; reconnect.
    public static let serviceRestart: WebSocketCloseCode = 1012
    /// The server is overloaded; reconnect later.
    public static let tryAgainLater: WebSocketCloseCode = 1013

    /// Whether it is allowed in a Close frame (section 7.4.2, and IANA's registry up to 1014).
    public var isSendable: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// Whether the socket was closed normally: with 1000, 1001 or a Close without a code.
    public var isOrderly: Bool { self == .normal || self == .goingAway || self == .none }

    /// The number.
    public var description: String { String(rawValue) }
}

/// How a WebSocket ended.
public struct WebSocketClosing: Hashable, Sendable, CustomStringConvertible {
    /// The code that the peer sent, 1005 without a code, or 1006 without a Close.
    public let code: WebSocketCloseCode
    /// The reason, from the side that closed.
    public let reason: String

    /// A closing with its code and reason.
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
