// skein mail: messages sent, kept, delivered and looked at.

import ArgumentParser
import SkeinCore
import SkeinMail

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct MailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mail",
        abstract: "Send mail: at once, or by a spool and an agent that delivers it.",
        discussion: """
            Apps store messages in a spool, a folder; the agent, a process of its own, delivers them, tries again what fails, and \
            tells senders what cannot be delivered.

              skein mail send --to ada@example.org --subject Hello --text "It works." --smtp smtp://127.0.0.1:2525
              skein mail agent start --relay smtp://user:password@mail.example.org:587
              skein mail queue
              skein mail sink --listen 2525 --page 8025
            """,
        subcommands: [
            MailSendCommand.self, MailQueueCommand.self, MailShowCommand.self, MailRetryCommand.self,
            MailHoldCommand.self,
            MailDeleteCommand.self, MailFlushCommand.self, MailAgentCommand.self, MailSinkCommand.self,
        ])
}

/// Where the messages are.
struct SpoolOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The folder of the spool. Default: SKEIN_MAIL_SPOOL, /var/spool/skein for root, ~/.local/state/skein/mail for others.",
            valueName: "folder"))
    var spool: String?

    func open(keys: [DKIMKey] = []) throws -> MailSpool {
        do {
            return try MailSpool(folder, keys: keys)
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    var folder: String {
        let folder = spool ?? MailSpool.standardFolder
        return URL(filePath: folder).standardizedFileURL.path
    }
}

/// Keys that sign messages.
struct SigningOptions: ParsableArguments {
    @Option(
        name: .customLong("dkim"),
        help: ArgumentHelp(
            "Sign messages of a domain (DKIM) with the private key of a PEM file; may be repeated.",
            valueName: "domain:selector:file"))
    var keys: [String] = []

    func read() throws -> [DKIMKey] {
        try keys.map { text in
            let parts = text.splitBytes(separator: ":", maxSplits: 2).map(String.init)
            guard parts.count == 3 else {
                throw ValidationError("\(text.debugDescription) is no key; write DOMAIN:SELECTOR:FILE.")
            }
            do {
                return try DKIMKey(domain: parts[0], selector: parts[1], file: parts[2])
            } catch {
                throw ValidationError("\(error)")
            }
        }
    }
}

/// How times are written.
enum MailTime {
    /// `2026-11-27 08:15:00`, in UTC.
    static func text(_ milliseconds: Int) -> String {
        let time = CivilTime(milliseconds / 1000)
        return "\(time.date.text) \(time.clock)"
    }

    /// `3 h`, `12 min`, `5 s`.
    static func span(_ milliseconds: Int) -> String {
        let seconds = max(0, milliseconds / 1000)
        switch seconds {
        case 172_800...: return "\(seconds / 86_400) d"
        case 7200...: return "\(seconds / 3600) h"
        case 120...: return "\(seconds / 60) min"
        default: return "\(seconds) s"
        }
    }
}
