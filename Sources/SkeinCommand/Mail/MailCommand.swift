// skein mail: sends, stores, delivers and shows messages.

import ArgumentParser
import SkeinCore
import SkeinMail
import SkeinTransport
import SkeinWorkers

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct MailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mail",
        abstract: "Send mail: directly, or by a spool and an agent that delivers it.",
        discussion: """
            Apps store messages in a spool, a folder; the agent, a separate process, delivers them, retries temporary failures, and \
            notifies senders of permanent ones.

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

/// The location of the spool.
struct SpoolOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The folder of the spool. Default: SKEIN_MAIL_SPOOL, /var/spool/skein for root, ~/.local/state/skein/mail for others.",
            valueName: "folder"))
    var spool: String?

    /// The spool, created if it does not exist.
    func make(keys: [DKIMKey] = []) throws -> MailSpool {
        do {
            return try MailSpool(folder, keys: keys)
        } catch {
            throw CommandFailure(error)
        }
    }

    /// The existing spool.
    func open() throws -> MailSpool {
        do {
            return try MailSpool(existing: folder)
        } catch {
            throw CommandFailure(error)
        }
    }

    /// The agent of the spool, by its pid file.
    func agent() throws -> Daemon {
        let path = "\(folder)/agent.pid"
        if access(path, R_OK) != 0, errno == EACCES {
            throw CommandFailure("\(path): this user may not see whether an agent is running")
        }
        return Daemon(pidFile: path)
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
                throw ValidationError("\(text.debugDescription) is not a key; write DOMAIN:SELECTOR:FILE.")
            }
            do throws(SkeinError) {
                return try DKIMKey(domain: parts[0], selector: parts[1], file: parts[2])
            } catch {
                throw ValidationError("\(CommandFailure(error)).")
            }
        }
    }
}

extension CommandFailure {
    /// The message of an error without its code, which is for programs.
    init(_ error: SkeinError) {
        // A setting in a program is an option of the URL here.
        let message = error.message.replacingBytes("pass verify: .none", with: "?verify=none is needed")
        self.init(error.peer.map { "\($0): \(message)" } ?? message)
    }
}

/// URLs and addresses of the command line, validated before anything is done.
enum MailArguments {
    static let servers = """
        Servers: smtp://host, smtp://user:password@host:587, smtps://host, lmtp://host:24, lmtp+unix:///path, file:///folder. Query \
        parameters: tls=none|opportunistic|required, verify=none|full, ca=FILE, auth=PLAIN|LOGIN|CRAM-MD5|SCRAM-SHA-256|XOAUTH2, \
        name=HELLO, chunking=no. @FILE reads the URL from a file. With a password, TLS is required unless the server is on this machine.
        """

    /// The URL of a server; `@FILE` reads it from a file, which keeps its password private.
    static func server(_ text: String?) throws -> String? {
        guard let text else { return nil }
        let url =
            text.hasBytePrefix("@")
            ? String(try InputFile.utf8(text).trimmingCharacters(in: .whitespacesAndNewlines)) : text
        do { _ = try MailRelay(url) } catch { throw ValidationError("\(error.message).") }
        return url
    }

    static func check(_ addresses: [MailAddress]) throws {
        for address in addresses { if let problem = address.problem { throw ValidationError("\(problem).") } }
    }
}

/// A record of `--json`.
enum MailJSON {
    static func line(_ value: some Encodable) -> String {
        (try? JSON.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
    }
}

/// The text form of times.
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

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
