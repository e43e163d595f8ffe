// Delivery reports to senders (RFC 3464), and outcomes for the app.

import Logging
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The outcome of a message, for an app.
public struct MailOutcome: Codable, Sendable, Equatable {
    /// A recipient.
    public struct Recipient: Codable, Sendable, Equatable {
        public let address: String
        /// Whether a server has accepted the message.
        public let isDelivered: Bool
        /// The server's response, or the reason for giving up; empty for a delivered one.
        public let reason: String
    }

    /// The ID of the message in the spool.
    public let id: String
    /// Its Message-ID.
    public let messageID: String
    public let subject: String
    public let recipients: [Recipient]

    /// The recipients without delivery.
    public var failed: [Recipient] { recipients.filter { !$0.isDelivered } }
}

extension MailSpool {
    /// Completes a message: its sender gets a report if a delivery failed, and its file is deleted. On a thread.
    /// - Parameter whole: the message, when it was delivered to all and has no marks.
    /// - Returns: the number of recipients without delivery.
    func settle(_ id: MailID, isDelivered whole: SpoolFile?, name: String, _ logger: Logger) throws(SkeinError) -> Int {
        let file: SpoolFile
        do throws(SkeinError) {
            file = if let whole { whole } else { try SpoolFile(path(.queue, id)) }
        } catch  where error.isMissingFile {
            // It was put on hold or deleted meanwhile.
            return 0
        }
        let envelope = file.envelope
        guard whole != nil || !file.marks.contains(.pending) else {
            throw SkeinError(.exception, because: "the delivery results of its recipients are missing")
        }
        let failed = whole == nil ? file.marks.indices.filter { file.marks[$0] == .failed } : []
        let notes = failed.isEmpty ? [] : file.notes
        func reason(_ index: Int) -> String {
            notes.last { $0.recipient.equalsBytes(envelope.recipients[index]) }?.text
                ?? "450 4.4.7 it could not be delivered in time"
        }
        if let report = envelope.report {
            let recipients = envelope.recipients.indices.map { index in
                let isFailed = failed.contains(index)
                return MailOutcome.Recipient(
                    address: envelope.recipients[index], isDelivered: !isFailed, reason: isFailed ? reason(index) : "")
            }
            try write(
                MailOutcome(
                    id: "\(id)", messageID: envelope.messageID, subject: envelope.subject, recipients: recipients),
                to: report)
        }
        if envelope.isKeyed { try rememberKey(id) }
        if failed.isEmpty {
            // It may have been put on hold meanwhile.
            if !remove(id, from: .queue, bytes: file.storedLength), !remove(id, from: .hold, bytes: file.storedLength) {
                _ = remove(id, from: .new, bytes: file.storedLength)
            }
            return 0
        }
        // The sender may have disabled failure reports (RFC 3461, section 4.1).
        if !envelope.sender.isEmpty, envelope.notify?.contains(.failure) ?? true {
            let report = DeliveryReport(
                name: name, envelope: envelope, failed: failed.map { (envelope.recipients[$0], reason($0)) },
                header: envelope.prefix + (try file.header))
            var options = Options()
            options.relay = envelope.relay
            options.isReport = true
            // An agent that stops in between must not send it twice.
            options.key = "report of \(id) \(envelope.created) \(notes.count)"
            let stored = try store(
                report.content, from: "", to: [envelope.sender], options)
            logger.info("\(stored) informs \(envelope.sender) that \(id) could not be delivered")
        }
        _ = move(id, from: .queue, to: .failed)
        return failed.count
    }

    private func write(_ outcome: MailOutcome, to report: String) throws(SkeinError) {
        let folder = "\(self.folder)/reports/\(report)"
        mkdir(folder, 0o700)
        let path = "\(folder)/\(outcome.id)"
        unlink("\(path).tmp")
        let file = try MailFile(creating: "\(path).tmp")
        guard let document = try? JSON.encode(outcome) else { return }
        try document.give(to: file.write)
        guard rename("\(path).tmp", "\(path).json") == 0 else {
            throw MailFile.failure(path, "the file cannot be renamed")
        }
    }
}

extension SpoolFile {
    /// The header of the message.
    fileprivate var header: String {
        get throws(SkeinError) {
            let start = try content(at: 0, count: 64 << 10)
            var end = start.count
            for index in start.indices.dropLast(3)
            where start[index] == Bytes.cr && start[(index + 1)...].starts(with: [Bytes.lf, Bytes.cr, Bytes.lf]) {
                end = index + 2
                break
            }
            return String(decoding: start[..<end], as: UTF8.self)
        }
    }
}

/// A report for the sender of a message (RFC 3464).
struct DeliveryReport {
    let name: String
    let envelope: SpooledEnvelope
    let failed: [(address: String, reason: String)]
    /// The header of the message.
    let header: String

    /// The report as a message.
    var content: [UInt8] {
        get throws(SkeinError) {
            let now = CivilTime.now
            var text = "This is the mail system of \(name).\n\nYour message"
            if !envelope.subject.isEmpty { text += " \"\(envelope.subject)\"" }
            text += " could not be delivered to:\n"
            var status =
                "Reporting-MTA: dns; \(name)\r\nArrival-Date: \(CivilTime(envelope.created / 1000).mailDate)\r\n"
            for (address, reason) in failed {
                let words = reason.splitBytes(separator: " ", maxSplits: 2)
                let reply = SMTPReply(
                    code: Int(words.first ?? "") ?? 550, lines: [words.dropFirst().joined(separator: " ")])
                text += "\n<\(address)>: \(reason)\n"
                // Whatever the last response was, a message that is given up has failed permanently.
                let code = reply.enhancedCode.map { "5\($0.droppingBytes(first: 1))" } ?? "5.0.0"
                let kind = address.utf8.allSatisfy { $0 < 0x80 } ? "rfc822" : "utf-8"
                status += "\r\nFinal-Recipient: \(kind); \(address)\r\nAction: failed\r\nStatus: \(code)\r\n"
                status += HeaderText.structured("Diagnostic-Code", "smtp; \(Self.ascii(reason))")
            }
            text += "\nIt will not be tried again. The fields of the message are attached.\n"
            let parts: [MIMEPart] = [
                .text(
                    type: "text/plain", parameters: [("charset", "utf-8")],
                    fields: "Content-Description: Notification\r\n",
                    Array(text.utf8)),
                .message(
                    type: "message/delivery-status", parameters: [], fields: "Content-Description: Delivery report\r\n",
                    Array(Self.ascii(status).utf8)),
                .message(
                    type: "text/rfc822-headers", parameters: [], fields: "Content-Description: Undelivered message\r\n",
                    Array(Self.ascii(header).utf8)),
            ]
            let body = MIMEPart.parts(
                kind: "report", parameters: [("report-type", "delivery-status")], boundary: "=_\(Hex.random(12))", parts
            )
            var content = Array(
                ("Date: \(CivilTime(now).mailDate)\r\n"
                    + HeaderText.addresses("From", [MailAddress(name: "Mail Delivery System", "mailer-daemon@\(name)")])
                    + HeaderText.addresses("To", [MailAddress(name: nil, envelope.sender)])
                    + "Subject: Undelivered Mail Returned to Sender\r\n"
                    + "Message-ID: <\(String(now, radix: 16)).\(Hex.random(12))@\(name)>\r\n"
                    + (envelope.messageID.isEmpty ? "" : "In-Reply-To: <\(envelope.messageID)>\r\n")
                    + "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\(body.head)\r\n").utf8)
            try body.writeBody { (bytes) throws(SkeinError) in content += bytes }
            return content
        }
    }

    /// Text without non-ASCII bytes, which are not allowed in such parts.
    private static func ascii(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}
