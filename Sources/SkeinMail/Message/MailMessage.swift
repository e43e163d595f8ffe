// A message as an app puts it together.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A message: who, to whom, about what, with what.
///
///     var message = MailMessage(from: "shop@example.org", to: ["ada@example.org"], subject: "Your order")
///     message.text = "It is on its way."
///     message.html = "It is on its way. <img src='cid:logo'>"
///     message.embed(file: "logo.png", as: "logo")
///     message.attach(file: "invoice.pdf")
///
/// Files are read when the message is stored in the spool, a piece at a time.
public struct MailMessage: Sendable {
    /// How soon it is to be delivered, compared with others.
    public enum Priority: Int, Sendable, Comparable, CaseIterable {
        case high = 0
        case normal = 1
        case low = 2

        public static func < (left: Priority, right: Priority) -> Bool { left.rawValue < right.rawValue }
    }

    /// How a recipient gets rid of more messages of the kind (RFC 2369; RFC 8058).
    public struct Unsubscribe: Sendable, Hashable {
        /// An HTTPS address; a POST of `List-Unsubscribe=One-Click` to it is enough.
        public var url: String?
        /// A mailbox that unsubscribes who writes to it.
        public var mailbox: String?

        /// At least one of both.
        public init(url: String? = nil, mailbox: String? = nil) {
            self.url = url
            self.mailbox = mailbox
        }
    }

    /// Who has written it.
    public var from: MailAddress
    /// Who has sent it, if that is somebody else.
    public var sender: MailAddress?
    /// The address to which reports of failure go (the envelope's). Default: the sender, or who has written it.
    public var returnPath: MailAddress?
    /// Who is to get it.
    public var to: [MailAddress]
    /// Who is to know of it.
    public var cc: [MailAddress] = []
    /// Who gets it without the others knowing: these stand in no field.
    public var bcc: [MailAddress] = []
    /// Where answers go.
    public var replyTo: [MailAddress] = []
    /// What it is about.
    public var subject: String
    /// The text.
    public var text: String?
    /// The same in HTML.
    public var html: String?
    /// A calendar as an alternative to the text (RFC 5545), with its method, such as `REQUEST`.
    public var calendar: (method: String, text: String)?
    /// Files that come with it, and images in the HTML.
    public var attachments: [MailAttachment] = []
    /// Fields of one's own, such as `X-Campaign`. Those that a message has by itself cannot be among them.
    public var headers: [(name: String, value: String)] = []
    /// When it was written. Default: when it is stored.
    public var date: Date?
    /// The identifier without angle brackets. Default: random, at the domain of who has written it.
    public var messageID: String?
    /// The identifier of the message that this one answers, without angle brackets.
    public var inReplyTo: String?
    /// The identifiers of the messages before it, without angle brackets.
    public var references: [String] = []
    /// How a recipient gets no more of it.
    public var unsubscribe: Unsubscribe?
    /// How soon it is to be delivered. Default: normal.
    public var priority = Priority.normal

    /// A message.
    /// - Parameters:
    ///   - from: who has written it.
    ///   - to: who is to get it; together with `cc` and `bcc` from 1 to 10 000.
    ///   - subject: what it is about.
    ///   - text: the text. Default: none yet.
    ///   - html: the same in HTML. Default: none.
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
    ///   - name: how it is called. Default: as the file is.
    ///   - type: its content type. Default: by its name.
    public mutating func attach(file: String, as name: String? = nil, type: String? = nil) {
        attachments.append(MailAttachment(.file(file), name: name ?? MailAttachment.name(of: file), type: type))
    }

    /// Attaches bytes.
    public mutating func attach(_ bytes: [UInt8], as name: String, type: String? = nil) {
        attachments.append(MailAttachment(.bytes(bytes), name: name, type: type))
    }

    /// Puts an image or another file into the HTML, which shows it by `cid:` and its identifier.
    /// - Parameters:
    ///   - file: a path; it is read when the message is stored.
    ///   - contentID: the identifier, of letters, digits and `._-@`.
    public mutating func embed(file: String, as contentID: String, type: String? = nil) {
        attachments.append(
            MailAttachment(.file(file), name: MailAttachment.name(of: file), type: type, contentID: contentID))
    }

    /// Puts bytes into the HTML, which shows them by `cid:` and their identifier.
    public mutating func embed(_ bytes: [UInt8], as contentID: String, name: String, type: String? = nil) {
        attachments.append(MailAttachment(.bytes(bytes), name: name, type: type, contentID: contentID))
    }

    /// All who get it, each once.
    var recipients: [MailAddress] {
        var seen: Set<ByteKey> = []
        return (to + cc + bcc).filter { seen.insert(ByteKey($0.mailbox)).inserted }
    }

    /// The address for reports.
    var envelopeSender: MailAddress { returnPath ?? sender ?? from }
}

/// Something that comes with a message.
public struct MailAttachment: Sendable {
    /// Where the bytes are.
    public enum Content: Sendable {
        case bytes([UInt8])
        /// The path of a file.
        case file(String)
    }

    public let content: Content
    /// How it is called.
    public let name: String
    /// Its content type.
    public let type: String
    /// The identifier by which the HTML shows it; nil for a file of its own.
    public let contentID: String?

    /// - Parameter type: Default: by the name.
    public init(_ content: Content, name: String, type: String? = nil, contentID: String? = nil) {
        self.content = content
        self.name = name
        self.type = type ?? MediaType.guess(name)
        self.contentID = contentID
    }

    static func name(of path: String) -> String { path.lastByte("/").map { String(path.text(after: $0)) } ?? path }
}
