// The data of a message in the spool beside its bytes: recipients, times, options.

import SkeinCore

/// The envelope of a message in the spool.
public struct SpooledEnvelope: Sendable, Equatable {
    /// The address for reports; empty for a report itself.
    public var sender: String
    /// The addresses of the recipients.
    public var recipients: [String]
    /// When it was stored, in milliseconds since 1970.
    public var created: Int
    /// The time before which it is not sent, in milliseconds since 1970.
    public var notBefore: Int
    /// The time after which it is not sent any more, in milliseconds since 1970.
    public var expires: Int
    /// The priority of delivery.
    public var priority = MailMessage.Priority.normal
    /// The relay, as a URL; nil for the agent's.
    public var relay: String?
    /// Whether it has a deduplication key.
    public var isKeyed = false
    /// Whether it has bytes above 127.
    public var isEightBit = false
    /// Whether servers need SMTPUTF8 for it.
    public var needsUTF8 = false
    /// The events for which the last server should report.
    public var notify: SMTPEnvelope.Notification?
    /// Fields before the message, such as signatures.
    public var prefix = ""
    /// The subject, for lists.
    public var subject = ""
    /// Its Message-ID, without angle brackets.
    public var messageID = ""
    /// The name by which the app gets the outcome; nil for none.
    public var report: String?

    /// - Parameter moment: milliseconds since 1970.
    public init(sender: String, recipients: [String], created moment: Int, lifetime: Duration) {
        self.sender = sender
        self.recipients = recipients
        created = moment
        notBefore = moment
        expires = min(moment + lifetime.clampedMilliseconds, SpoolFile.lastMoment)
    }

    /// Whether it has a short lifetime; others get one more attempt after an outage of days.
    var isShortLived: Bool { expires - created < 5 * 86_400_000 }

    /// The envelope as a JSON document.
    var document: [UInt8] {
        var object: JSONObject = [
            "from": .string(sender), "to": .array(recipients.map { .string($0) }), "created": .integer(created),
            "notBefore": .integer(notBefore), "expires": .integer(expires), "priority": .integer(priority.rawValue),
        ]
        if let relay { object["relay"] = .string(relay) }
        if isKeyed { object["keyed"] = true }
        if isEightBit { object["eightBit"] = true }
        if needsUTF8 { object["utf8"] = true }
        if let notify { object["notify"] = .integer(Int(notify.rawValue)) }
        if !prefix.isEmpty { object["prefix"] = .string(prefix) }
        if !subject.isEmpty { object["subject"] = .string(subject) }
        if !messageID.isEmpty { object["messageID"] = .string(messageID) }
        if let report { object["report"] = .string(report) }
        return Array(JSONValue.object(object).json.utf8)
    }

    /// Parses a document; nil for an invalid one.
    init?(document: [UInt8]) {
        guard let value = try? JSONValue(json: document), let sender = value["from"]?.string,
            let recipients = value["to"]?.elements?.compactMap(\.string), !recipients.isEmpty,
            let created = value["created"]?.integer, let notBefore = value["notBefore"]?.integer,
            let expires = value["expires"]?.integer,
            [created, notBefore, expires].allSatisfy({ (0...SpoolFile.lastMoment).contains($0) })
        else { return nil }
        self.sender = sender
        self.recipients = recipients
        self.created = created
        self.notBefore = notBefore
        self.expires = expires
        priority = value["priority"]?.integer.flatMap(MailMessage.Priority.init(rawValue:)) ?? .normal
        relay = value["relay"]?.string
        isKeyed = value["keyed"]?.bool ?? false
        isEightBit = value["eightBit"]?.bool ?? false
        needsUTF8 = value["utf8"]?.bool ?? false
        notify = value["notify"]?.integer.flatMap { UInt8(exactly: $0) }.map { .init(rawValue: $0) }
        prefix = value["prefix"]?.string ?? ""
        subject = value["subject"]?.string ?? ""
        messageID = value["messageID"]?.string ?? ""
        report = value["report"]?.string
    }
}

extension Duration {
    /// Whole milliseconds, from 0 to some thousand years.
    var clampedMilliseconds: Int {
        let seconds = min(max(components.seconds, 0), 100_000_000_000)
        return Int(seconds) * 1000 + Int(max(0, components.attoseconds) / 1_000_000_000_000_000)
    }
}
