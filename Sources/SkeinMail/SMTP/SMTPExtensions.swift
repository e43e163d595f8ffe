// The extensions of a server, from its reply to EHLO (RFC 5321, section 4.1.1.1).

import SkeinCore

/// The extensions that a server offers.
struct SMTPExtensions: Sendable, Equatable {
    var startTLS = false
    var pipelining = false
    var eightBitMIME = false
    var chunking = false
    var dsn = false
    var smtpUTF8 = false
    /// The size limit of the server (RFC 1870); nil when it is unknown or there is none.
    var maximumSize: Int?
    var offersSize = false
    /// The mechanisms of AUTH, in upper case (RFC 4954).
    var authentication: [String] = []

    init() {}

    /// - Parameter reply: the reply to EHLO or LHLO; its first line is the greeting.
    init(_ reply: SMTPReply) {
        for line in reply.lines.dropFirst() {
            // Some servers write `AUTH=LOGIN PLAIN`, as in a draft.
            let words = line.replacingBytes("AUTH=", with: "AUTH ").splitAtBlanks().map { $0.asciiUppercased }
            guard let name = words.first else { continue }
            switch name {
            case "STARTTLS": startTLS = true
            case "PIPELINING": pipelining = true
            case "8BITMIME": eightBitMIME = true
            case "CHUNKING": chunking = true
            case "DSN": dsn = true
            case "SMTPUTF8": smtpUTF8 = true
            case "SIZE":
                offersSize = true
                maximumSize = words.dropFirst().first.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
            case "AUTH":
                authentication += words.dropFirst().prefix(32).filter { !authentication.contains($0) }
            default: break
            }
        }
    }
}
