// A message of an app.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A message with its addresses, texts and attachments.
///
///     var message = MailMessage(from: "shop@example.org", to: ["ada@example.org"], subject: "Your order")
///     message.text = "It is on its way."
///     message.html = "It is on its way. <img src='cid:logo'>"
///     message.embed(file: "logo.png", as: "logo")
///     message.attach(file: "invoice.pdf")
///
/// Files are read when the message is stored in the spool, piece by piece.
public struct MailMessage: Sendable {
    /// The priority of delivery.
    public enum Priority: Int, Sendable, Comparable, CaseIterable {
        case high = 0
        case normal = 1
        case low = 2

        public static func < (left: Priority, right: Priority) -> Bool { left.rawValue < right.rawValue }
    }

    /// The ways to unsubscribe from a mailing list (RFC 2369; RFC 8058).
    public struct Unsubscribe: Sendable, Hashable {
        /// An HTTPS URL; a POST of `List-Unsubscribe=One-Click` to it unsubscribes.
        public var url: String?
        /// A mailbox; a message to it unsubscribes.
        public var mailbox: String?

        /// At least one of the two is required.
        public init(url: String? = nil, mailbox: String? = nil) {
            self.url = url
            self.mailbox = mailbox
        }
    }

    /// The author.
    public var from: MailAddress
    /// The sender, if it is not the author.
    public var sender: MailAddress?
    /// The address for failure reports (of the envelope). Default: the sender, or the author.
    public var returnPath: MailAddress?
    /// The recipients.
    public var to: [MailAddress]
    /// The recipients of a copy.
    public var cc: [MailAddress] = []
    /// The hidden recipients of a copy: they are not written to any field.
    public var bcc: [MailAddress] = []
    /// The addresses for replies.
    public var replyTo: [MailAddress] = []
    /// The subject.
    public var subject: String
    /// The text.
    public var text: String?
    /// The text in HTML.
    public var html: String?
    /// A calendar as an alternative to the text (RFC 5545), with its method, such as `REQUEST`.
    public var calendar: (method: String, text: String)?
    /// Attached files, and images in the HTML.
    public var attachments: [MailAttachment] = []
    /// Custom fields, such as `X-Campaign`. Fields that the message sets itself are not allowed.
    public var headers: [(name: String, value: String)] = []
    /// The date. Default: when it is stored.
    public var date: Date?
    /// The Message-ID without angle brackets. Default: random, at the domain of the author.
    public var messageID: String?
    /// The Message-ID of the message that this one replies to, without angle brackets.
    public var inReplyTo: String?
    /// The Message-IDs of the thread, without angle brackets.
    public var references: [String] = []
    /// The ways to unsubscribe.
    public var unsubscribe: Unsubscribe?
    /// The priority of delivery. Default: normal.
    public var priority = Priority.normal

    /// A message.
    /// - Parameters:
    ///   - from: the author.
    ///   - to: the recipients; together with `cc` and `bcc` from 1 to 10 000.
    ///   - subject: the subject.
    ///   - text: the text. Default: none.
    ///   - html: the text in HTML. Default: none.
    public init(from: MailAddress, to: [MailAddress], subject: String, text: String? = nil, html: String? = nil) {
        self.from = from
        self.to = to
        self.subject = subject
        self.text = text
        self.html = html
    }

    /// Attaches a file.
    /// - Parameters:
    ///   - file: a path; it is read when the message is stored.
    ///   - name: the file name in the message. Default: that of the file.
    ///   - type: its content type. Default: by its name.
    public mutating func attach(file: String, as name: String? = nil, type: String? = nil) {
        attachments.append(MailAttachment(.file(file), name: name ?? MailAttachment.name(of: file), type: type))
    }

    /// Attaches bytes.
    public mutating func attach(_ bytes: [UInt8], as name: String, type: String? = nil) {
        attachments.append(MailAttachment(.bytes(bytes), name: name, type: type))
    }

    /// Embeds an image or another file, which the HTML refers to by `cid:` and its content ID.
    /// - Parameters:
    ///   - file: a path; it is read when the message is stored.
    ///   - contentID: the content ID, of letters, digits and `._-@`.
    public mutating func embed(file: String, as contentID: String, type: String? = nil) {
        attachments.append(
            MailAttachment(.file(file), name: MailAttachment.name(of: file), type: type, contentID: contentID))
    }

    /// Embeds bytes, which the HTML refers to by `cid:` and their content ID.
    public mutating func embed(_ bytes: [UInt8], as contentID: String, name: String, type: String? = nil) {
        attachments.append(MailAttachment(.bytes(bytes), name: name, type: type, contentID: contentID))
    }

    /// All recipients, without duplicates.
    var recipients: [MailAddress] {
        var seen: Set<ByteKey> = []
        return (to + cc + bcc).filter { seen.insert(ByteKey($0.mailbox)).inserted }
    }

    /// The address for reports.
    var envelopeSender: MailAddress { returnPath ?? sender ?? from }
}

/// An attachment of a message.
public struct MailAttachment: Sendable {
    /// The content.
    public enum Content: Sendable {
        case bytes([UInt8])
        /// The path of a file.
        case file(String)
    }

    public let content: Content
    /// The file name in the message.
    public let name: String
    /// Its content type.
    public let type: String
    /// The content ID for the HTML; nil for a separate file.
    public let contentID: String?

    /// - Parameter type: the content type. Default: by the name.
    public init(_ content: Content, name: String, type: String? = nil, contentID: String? = nil) {
        self.content = content
        self.name = name
        self.type = type ?? MediaType.guess(name)
        self.contentID = contentID
    }

    static func name(of path: String) -> String { path.lastByte("/").map { String(path.text(after: $0)) } ?? path }
}
