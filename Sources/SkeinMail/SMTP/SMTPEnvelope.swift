// The envelope of a message, and the result for each recipient.

import SkeinCore

/// The sender and the recipients of a message, which may differ from those in its header.
public struct SMTPEnvelope: Sendable, Hashable {
    /// The events for which the sender wants reports (RFC 3461).
    public struct Notification: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Delivery.
        public static let success = Notification(rawValue: 1)
        /// Failure.
        public static let failure = Notification(rawValue: 2)
        /// Delay.
        public static let delay = Notification(rawValue: 4)
    }

    /// The address for reports; empty for a report itself.
    public var sender: String
    /// The addresses of the recipients.
    public var recipients: [String]
    /// The size of the message in bytes, for servers that have a limit (RFC 1870).
    public var size: Int
    /// Whether the message has bytes above 127 (8BITMIME, RFC 6152).
    public var isEightBit: Bool
    /// Whether addresses or header fields have non-ASCII characters (SMTPUTF8, RFC 6531).
    public var needsUTF8: Bool
    /// The events for which the next server should send a report; nil for its default.
    public var notify: Notification?
    /// The ID of the message in reports of the next server; nil for none.
    public var envelopeID: String?

    /// Whether an address in it has non-ASCII characters.
    var hasUTF8: Bool { ([sender] + recipients).contains { !$0.utf8.allSatisfy { $0 < 0x80 } } }

    /// An envelope of text in ASCII, without requests for reports.
    public init(sender: String, recipients: [String], size: Int = 0) {
        self.sender = sender
        self.recipients = recipients
        self.size = size
        isEightBit = false
        needsUTF8 = false
    }
}

/// The result for one recipient of a message.
public enum SMTPResult: Sendable, Hashable {
    /// The server has accepted the message.
    case delivered(SMTPReply)
    /// The server has refused the message temporarily.
    case deferred(SMTPReply)
    /// The server has refused the message permanently.
    case refused(SMTPReply)

    init(_ reply: SMTPReply) {
        self = reply.isPositive ? .delivered(reply) : reply.isTemporary ? .deferred(reply) : .refused(reply)
    }

    /// The server's reply.
    public var reply: SMTPReply {
        switch self {
        case .delivered(let reply), .deferred(let reply), .refused(let reply): reply
        }
    }
}

/// The result of a message on a connection.
struct SMTPOutcome: Sendable {
    /// For each recipient, in the order of the envelope.
    var results: [SMTPResult]
    var fate = Fate.certain

    /// The certainty of the result when a transaction has ended.
    enum Fate: Sendable {
        /// The server has replied, or the connection ended before the end of the content.
        case certain
        /// The connection ended after the last byte of the content, so that the server may have accepted the message.
        case uncertain
        /// The connection ended before the server replied to the message.
        case notBegun
    }
}

/// The commands of a transaction.
enum SMTPCommand {
    /// `MAIL FROM` with the parameters that the server supports.
    static func mail(_ envelope: SMTPEnvelope, _ extensions: SMTPExtensions) -> String {
        var command = "MAIL FROM:<\(envelope.sender)>"
        if extensions.offersSize, envelope.size > 0 { command += " SIZE=\(envelope.size)" }
        if extensions.eightBitMIME, envelope.isEightBit || envelope.needsUTF8 { command += " BODY=8BITMIME" }
        if extensions.smtpUTF8, envelope.needsUTF8 { command += " SMTPUTF8" }
        if extensions.dsn, envelope.notify != nil { command += " RET=HDRS" }
        if extensions.dsn, let id = envelope.envelopeID { command += " ENVID=\(xtext(id))" }
        return command + "\r\n"
    }

    static func recipient(_ address: String, _ envelope: SMTPEnvelope, _ extensions: SMTPExtensions) -> String {
        var command = "RCPT TO:<\(address)>"
        if extensions.dsn, let notify = envelope.notify {
            var words: [String] = []
            if notify.contains(.success) { words.append("SUCCESS") }
            if notify.contains(.failure) { words.append("FAILURE") }
            if notify.contains(.delay) { words.append("DELAY") }
            command += " NOTIFY=\(words.isEmpty ? "NEVER" : words.joined(separator: ","))"
            if address.utf8.allSatisfy({ $0 < 0x80 }) { command += " ORCPT=rfc822;\(xtext(address))" }
        }
        return command + "\r\n"
    }

    /// Printable ASCII text as the value of a parameter (RFC 3461, section 4).
    private static func xtext(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if (0x21...0x7E).contains(byte), byte != UInt8(ascii: "+"), byte != UInt8(ascii: "=") {
                bytes.append(byte)
            } else {
                bytes.append(UInt8(ascii: "+"))
                bytes += Hex.encode([byte]).asciiUppercased.utf8
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
