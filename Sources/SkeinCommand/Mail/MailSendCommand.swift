// skein mail send: sends a message from the command line.

import ArgumentParser
import SkeinCore
import SkeinMail
import SkeinWorkers

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension MailMessage.Priority: ExpressibleByArgument {
    public init?(argument: String) {
        switch argument {
        case "high": self = .high
        case "normal": self = .normal
        case "low": self = .low
        default: return nil
        }
    }

    public static var allValueStrings: [String] { ["high", "normal", "low"] }
    public var defaultValueDescription: String { "\(self)" }
}

struct MailSendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Send a message.",
        discussion: """
            With --smtp, the message is sent to the server directly, and the server's reply for each recipient is printed; the exit code \
            is 1 if a recipient was refused. Without it, the message is stored in the spool, and its ID is printed. TEXT is text, @FILE, \
            or - for standard input.

            \(MailArguments.servers)

              skein mail send --to ada@example.org --subject "Your invoice" --text @letter.txt --attach invoice.pdf \\
                --smtp smtp://user:password@mail.example.org:587
              skein mail send --to ada@example.org --subject Hello --text Hi --in 3600
            """)

    @Option(help: ArgumentHelp("The author (From). Default: this user at this host.", valueName: "address"))
    var from: String?

    @Option(help: ArgumentHelp("Recipients (To), separated by commas; may be repeated.", valueName: "addresses"))
    var to: [String] = []

    @Option(help: ArgumentHelp("Recipients of a copy (Cc).", valueName: "addresses"))
    var cc: [String] = []

    @Option(help: ArgumentHelp("Hidden recipients of a copy (Bcc).", valueName: "addresses"))
    var bcc: [String] = []

    @Option(help: ArgumentHelp("Addresses for replies (Reply-To).", valueName: "addresses"))
    var replyTo: [String] = []

    @Option(help: ArgumentHelp("The address for failure reports. Default: the author.", valueName: "address"))
    var returnPath: String?

    @Option(help: "The subject.")
    var subject = ""

    @Option(help: ArgumentHelp("The text: TEXT, @FILE, or - for standard input.", valueName: "text"))
    var text: String?

    @Option(help: ArgumentHelp("The text in HTML.", valueName: "text"))
    var html: String?

    @Option(help: ArgumentHelp("Attach a file; may be repeated.", valueName: "file"))
    var attach: [String] = []

    @Option(
        help: ArgumentHelp("Embed a file that the HTML shows as cid:ID; may be repeated.", valueName: "id=file")
    )
    var embed: [String] = []

    @Option(
        name: [.customShort("H"), .long],
        help: ArgumentHelp("A field of the header; may be repeated.", valueName: "name: value"))
    var header: [String] = []

    @Option(
        help: ArgumentHelp("Send directly to this server, such as smtp://user:password@host:587.", valueName: "url"))
    var smtp: String?

    @OptionGroup var spool: SpoolOption

    @Option(help: ArgumentHelp("With the spool: send it to this server instead of the agent's.", valueName: "url"))
    var relay: String?

    @Option(
        help: ArgumentHelp(
            "With the spool: a message with a key that was used in the last week is not stored again.",
            valueName: "text"))
    var key: String?

    @Option(
        name: .customLong("in"), help: ArgumentHelp("With the spool: send it after this delay.", valueName: "seconds"))
    var delay: Int?

    @Option(help: ArgumentHelp("With the spool: give up after this time. Default: five days.", valueName: "seconds"))
    var lifetime: Int?

    @Option(help: "With the spool: high, normal or low.")
    var priority: MailMessage.Priority?

    @Option(
        help: ArgumentHelp(
            "With --smtp: timeout for each step of the server. Default: 30, and 120 for the last.",
            valueName: "seconds"))
    var timeout: Double?

    @OptionGroup var signing: SigningOptions

    @Flag(help: "Print the result as JSON.")
    var json = false

    func validate() throws {
        guard !(to + cc + bcc).isEmpty else { throw ValidationError("Give a recipient: --to ADDRESS.") }
        guard
            smtp == nil
                || [relay, key, spool.spool].allSatisfy({ $0 == nil }) && [delay, lifetime].allSatisfy({ $0 == nil })
                    && priority == nil
        else {
            throw ValidationError(
                "--spool, --relay, --key, --in, --lifetime and --priority cannot be combined with --smtp.")
        }
        for server in [smtp, relay] { _ = try MailArguments.server(server) }
        try MailArguments.check(
            (to + cc + bcc + replyTo + [from, returnPath].compactMap(\.self)).flatMap { MailAddress.list($0) })
        guard key?.isEmpty != true else { throw ValidationError("--key must not be empty.") }
        guard (0.1...86_400).contains(timeout ?? 1) else {
            throw ValidationError("--timeout must be from 0.1 to 86400 seconds.")
        }
        guard (0...31_536_000).contains(delay ?? 0), (1...31_536_000).contains(lifetime ?? 1) else {
            throw ValidationError("--in and --lifetime must be seconds, at most a year.")
        }
        for text in embed where !text.containsByte("=") {
            throw ValidationError("\(text.debugDescription): write ID=FILE.")
        }
        for text in header where !text.containsByte(":") {
            throw ValidationError("\(text.debugDescription): write \"Name: value\".")
        }
    }

    func run() async throws {
        let (message, keys) = (try message, try signing.read())
        let (smtp, relay) = (try MailArguments.server(smtp), try MailArguments.server(relay))
        if !keys.isEmpty, !keys.contains(where: { $0.signs(for: message.from.domain) }) {
            Terminal.complain("--dkim has no key for \(message.from.domain): the message is not signed.")
        }
        do throws(SkeinError) {
            if let smtp { try await send(message, smtp, keys) } else { try store(message, relay, keys) }
        } catch {
            throw CommandFailure(error)
        }
    }

    private var message: MailMessage {
        get throws {
            let author = from ?? "\(ProcessInfo.processInfo.environment["USER"] ?? "root")@\(SystemName.host)"
            func addresses(_ texts: [String]) -> [MailAddress] { texts.flatMap { MailAddress.list($0) } }
            var message = MailMessage(from: MailAddress(author), to: addresses(to), subject: subject)
            message.cc = addresses(cc)
            message.bcc = addresses(bcc)
            message.replyTo = addresses(replyTo)
            message.returnPath = returnPath.map { MailAddress($0) }
            message.text = try text.map { try InputFile.utf8($0) }
            message.html = try html.map { try InputFile.utf8($0) }
            message.priority = priority ?? .normal
            for file in attach { message.attach(file: file) }
            for pair in embed {
                let parts = pair.splitBytes(separator: "=", maxSplits: 1).map(String.init)
                guard parts.count == 2 else { throw ValidationError("\(pair.debugDescription): write ID=FILE.") }
                message.embed(file: parts[1], as: parts[0])
            }
            for field in header {
                let colon = field.firstByte(":") ?? field.startIndex
                message.headers.append((String(field[..<colon]), String(field.text(after: colon).trimmingBlanks())))
            }
            return message
        }
    }

    private struct Stored: Encodable {
        let id: String
        let new: Bool
    }

    private struct Record: Encodable {
        let recipient: String
        let result: String
        let reply: String
    }

    private func send(_ message: MailMessage, _ server: String, _ keys: [DKIMKey]) async throws(SkeinError) {
        var timeouts = SMTPTimeouts.interactive
        if let timeout {
            for part in [\SMTPTimeouts.connect, \.command, \.data, \.block, \.final] {
                timeouts[keyPath: part] = .seconds(timeout)
            }
        }
        let sent = try await MailSender(server, keys: keys, timeouts: timeouts).send(message)
        var isWhole = true
        for one in sent {
            let word: String
            switch one.result {
            case .delivered: word = "sent"
            case .deferred: word = "not taken now"
            case .refused: word = "refused"
            }
            if case .delivered = one.result {} else { isWhole = false }
            let record = Record(recipient: one.recipient, result: word, reply: "\(one.result.reply)")
            Terminal.say(json ? MailJSON.line(record) : "\(one.recipient): \(word): \(one.result.reply)")
        }
        if !isWhole { Terminal.leave(1) }
    }

    private func store(_ message: MailMessage, _ relay: String?, _ keys: [DKIMKey]) throws(SkeinError) {
        var options = MailSpool.Options()
        options.key = key
        options.relay = relay
        if let delay { options.delay = .seconds(delay) }
        if let lifetime { options.lifetime = .seconds(lifetime) }
        let spool = try MailSpool(spool.folder, keys: keys)
        let wasThere = key.map { spool.knows(key: $0) } ?? false
        let id = try spool.store(message, options)
        Terminal.say(json ? MailJSON.line(Stored(id: "\(id)", new: !wasThere)) : "\(id)")
        if wasThere, !json {
            Terminal.complain("A message with this key was stored before; this message was not stored.")
        }
        if Daemon(pidFile: "\(spool.folder)/agent.pid").processID == nil {
            Terminal.complain("No agent is running for \(spool.folder); start one: skein mail agent start")
        }
    }
}
