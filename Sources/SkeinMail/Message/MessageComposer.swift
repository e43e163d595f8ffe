// Composes a message for transmission: the header, and the parts in order.

import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A checked message that can be written.
struct ComposedMessage {
    /// The fields of the header, each with its line end.
    let header: [UInt8]
    let messageID: String
    let recipients: [String]
    let sender: String
    /// The domain of the author.
    let domain: String
    let needsUTF8: Bool
    let body: MIMEPart

    /// Names of fields that the composer writes.
    private static let own: Set<String> = [
        "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version",
        "content-type",
        "content-transfer-encoding", "in-reply-to", "references", "list-unsubscribe", "list-unsubscribe-post",
        "return-path", "dkim-signature", "received",
    ]

    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - random: makes boundaries and IDs; for tests.
    /// - Throws: code 701 with the invalid part of the message, and the reason.
    init(
        _ message: MailMessage, now: Int = CivilTime.now, random: @escaping () -> String = { Hex.random(12) }
    ) throws(SkeinError) {
        let recipients = message.recipients
        let people =
            [message.from, message.sender, message.returnPath].compactMap(\.self) + recipients + message.replyTo
        if let problem = people.compactMap(\.problem).first { throw SkeinError(.exception, because: problem) }
        guard (1...10_000).contains(recipients.count) else {
            throw SkeinError(
                .exception, because: "a message needs 1 to 10 000 recipients; this one has \(recipients.count)")
        }
        try Self.check(message)
        // Only addresses in fields: each server is asked for the extensions that its own recipients need.
        let named = [message.from, message.sender].compactMap(\.self) + message.to + message.cc + message.replyTo
        needsUTF8 = named.contains { $0.needsUTF8 }
        domain = message.from.domain
        sender = message.envelopeSender.mailbox
        self.recipients = recipients.map(\.mailbox)
        let parts = Parts(random: random)
        messageID = message.messageID ?? "\(String(now, radix: 16)).\(random())@\(domain)"
        body = try parts.body(of: message)
        header = Array((try Self.fields(message, messageID, now) + "MIME-Version: 1.0\r\n\(body.head)").utf8)
    }

    /// Writes the whole message.
    func write(_ output: MIMEOutput) throws(SkeinError) {
        try (header + Array("\r\n".utf8)).give(to: output)
        try body.writeBody(output)
    }

    // MARK: The header

    private static func check(_ message: MailMessage) throws(SkeinError) {
        func fail(_ text: String) -> SkeinError { SkeinError(.exception, because: text) }
        if HeaderText.hasControl(message.subject) {
            throw fail("the subject has a line break or another control character")
        }
        for (name, value) in message.headers {
            guard !name.isEmpty, name.utf8.count <= 70, name.utf8.allSatisfy({ Bytes.isToken($0) }) else {
                throw fail("\(name.debugDescription) is not a field name")
            }
            guard !own.contains(name.asciiLowercased), !name.asciiLowercased.hasBytePrefix("content-") else {
                throw fail("the field \(name) is set by the message; use its property instead")
            }
            guard !HeaderText.hasControl(value) else { throw fail("the field \(name) has a control character") }
        }
        let identifiers = [message.messageID, message.inReplyTo].compactMap(\.self) + message.references
        for identifier in identifiers where !isIdentifier(identifier) {
            throw fail("\(identifier.debugDescription) is not a message identifier such as 1234@example.org")
        }
        for attachment in message.attachments {
            if let id = attachment.contentID, !isIdentifier(id, needsAt: false) {
                throw fail("\(id.debugDescription) is not a content identifier; use letters, digits and ._-@")
            }
            guard !HeaderText.hasControl(attachment.name), !attachment.name.isEmpty else {
                throw fail("an attachment has no name, or one with a control character")
            }
            let type = MediaType.split(attachment.type).value
            let words = type.splitBytes(separator: "/", omittingEmptySubsequences: false)
            guard words.count == 2, words.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { Bytes.isToken($0) } }),
                !HeaderText.hasControl(attachment.type)
            else { throw fail("\(attachment.type.debugDescription) is not a content type such as image/png") }
            guard !type.asciiLowercased.hasBytePrefix("message/"), !type.asciiLowercased.hasBytePrefix("multipart/")
            else {
                throw fail(
                    "\(attachment.name) cannot be attached as \(type), which may not be encoded; use application/octet-stream"
                )
            }
        }
        if let calendar = message.calendar {
            guard !calendar.method.isEmpty, calendar.method.utf8.allSatisfy({ Bytes.isToken($0) }) else {
                throw fail("\(calendar.method.debugDescription) is not a calendar method such as REQUEST")
            }
        }
    }

    private static func isIdentifier(_ text: String, needsAt: Bool = true) -> Bool {
        let isSound = text.utf8.allSatisfy {
            HeaderText.isAtom($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "@") || $0 == UInt8(ascii: "[")
                || $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: ":")
        }
        return isSound && (1...200).contains(text.utf8.count) && (!needsAt || text.containsByte("@"))
    }

    private static func fields(_ message: MailMessage, _ messageID: String, _ now: Int) throws(SkeinError) -> String {
        let written = message.date.map(\.timeIntervalSince1970) ?? Double(now)
        guard written >= 0, written < 253_402_300_800 else {
            throw SkeinError(.exception, because: "the date of a message must be between 1970 and 9999")
        }
        let moment = Int(written)
        var text = "Date: \(CivilTime(moment).mailDate)\r\n"
        text += HeaderText.addresses("From", [message.from])
        if let sender = message.sender { text += HeaderText.addresses("Sender", [sender]) }
        if !message.replyTo.isEmpty { text += HeaderText.addresses("Reply-To", message.replyTo) }
        if !message.to.isEmpty { text += HeaderText.addresses("To", message.to) }
        if !message.cc.isEmpty { text += HeaderText.addresses("Cc", message.cc) }
        if message.to.isEmpty, message.cc.isEmpty { text += "To: undisclosed-recipients:;\r\n" }
        text += HeaderText.unstructured("Subject", message.subject)
        text += "Message-ID: <\(messageID)>\r\n"
        if let id = message.inReplyTo { text += "In-Reply-To: <\(id)>\r\n" }
        if !message.references.isEmpty {
            text += HeaderText.structured("References", message.references.map { "<\($0)>" }.joined(separator: " "))
        }
        if let unsubscribe = message.unsubscribe { text += try fields(unsubscribe) }
        for (name, value) in message.headers { text += HeaderText.unstructured(name, value) }
        return text
    }

    private static func fields(_ unsubscribe: MailMessage.Unsubscribe) throws(SkeinError) -> String {
        var places: [String] = []
        if let url = unsubscribe.url {
            let isSound = url.utf8.allSatisfy {
                $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") && $0 != UInt8(ascii: ",")
            }
            guard isSound, url.hasBytePrefix("https://"), url.utf8.count <= 800 else {
                throw SkeinError(
                    .exception, because: "\(url.debugDescription) is not an HTTPS address to unsubscribe at")
            }
            places.append("<\(url)>")
        }
        if let mailbox = unsubscribe.mailbox {
            let address = MailAddress(mailbox)
            if let problem = address.problem { throw SkeinError(.exception, because: problem) }
            places.append(
                "<mailto:\(Percent.encode(address.mailbox) { Percent.isUnreserved($0) || $0 == UInt8(ascii: "@") })>")
        }
        guard !places.isEmpty else {
            throw SkeinError(.exception, because: "unsubscribing needs an HTTPS address or a mailbox")
        }
        return HeaderText.structured("List-Unsubscribe", places.joined(separator: ", "))
            + (unsubscribe.url == nil ? "" : "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    }
}

/// Arranges the parts of a message: files after the text, images next to the HTML that refers to them, and the
/// preferred alternative last (RFC 2046, section 5.1.4; RFC 2387).
private struct Parts {
    let random: () -> String

    func body(of message: MailMessage) throws(SkeinError) -> MIMEPart {
        let embedded = message.attachments.filter { $0.contentID != nil }
        let files = message.attachments.filter { $0.contentID == nil }
        guard embedded.isEmpty || message.html != nil else {
            throw SkeinError(.exception, because: "embedded attachments need an HTML body")
        }
        var alternatives: [MIMEPart] = []
        if message.text != nil || message.html == nil { alternatives.append(text("text/plain", message.text ?? "")) }
        if let html = message.html {
            let part = text("text/html", html)
            alternatives.append(
                embedded.isEmpty
                    ? part
                    : group("related", [("type", "text/html")], [part] + embedded.map { file($0, isInline: true) }))
        }
        if let calendar = message.calendar {
            alternatives.append(
                .text(
                    type: "text/calendar", parameters: [("charset", "utf-8"), ("method", calendar.method)], fields: "",
                    Array(calendar.text.utf8)))
        }
        let content = alternatives.count == 1 ? alternatives[0] : group("alternative", [], alternatives)
        return files.isEmpty ? content : group("mixed", [], [content] + files.map { file($0, isInline: false) })
    }

    private func text(_ type: String, _ content: String) -> MIMEPart {
        .text(type: type, parameters: [("charset", "utf-8")], fields: "", Array(content.utf8))
    }

    private func group(_ kind: String, _ parameters: [(String, String)], _ parts: [MIMEPart]) -> MIMEPart {
        // `=_` cannot occur in Base64 or quoted-printable, and the author of the text cannot guess the random part.
        .parts(kind: kind, parameters: parameters, boundary: "=_\(random())", parts)
    }

    private func file(_ attachment: MailAttachment, isInline: Bool) -> MIMEPart {
        var fields = HeaderText.parameters(
            "Content-Disposition", isInline ? "inline" : "attachment", [("filename", attachment.name)])
        if let id = attachment.contentID { fields += "Content-ID: <\(id)>\r\n" }
        return .file(attachment, fields: fields)
    }
}
