// skein mail queue, show, retry, hold, delete, flush: manage the messages of a spool.

import ArgumentParser
import SkeinCore
import SkeinMail

/// A message in lists.
struct SpooledRecord: Encodable {
    let id: String
    let state: String
    let from: String
    let pending: [String]
    let delivered: [String]
    let failed: [String]
    let subject: String
    let messageID: String
    let bytes: Int
    let priority: String
    let created: String
    let attempts: Int
    let next: String?
    let expires: String
    let relay: String?
    let last: String?

    init(_ id: MailID, _ state: MailSpool.State, _ file: SpoolFile) {
        let envelope = file.envelope
        func recipients(_ mark: SpoolFile.Mark) -> [String] {
            zip(envelope.recipients, file.marks).filter { $1 == mark }.map(\.0)
        }
        self.id = "\(id)"
        self.state = state.rawValue
        from = envelope.sender
        pending = recipients(.pending)
        delivered = recipients(.delivered)
        failed = recipients(.failed)
        subject = envelope.subject
        messageID = envelope.messageID
        bytes = file.size
        priority = "\(envelope.priority)"
        created = MailTime.text(envelope.created)
        attempts = file.attempts
        next = state == .queue || state == .new ? MailTime.text(file.due) : nil
        expires = MailTime.text(envelope.expires)
        relay = envelope.relay.flatMap { (try? MailRelay($0))?.description }
        last = file.notes.last.map { "\($0.recipient): \($0.text)" }
    }
}

struct MailQueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "List the messages of the spool.",
        discussion: """
            A line for each message: its ID, its state (new, queue, hold, failed), its age, the number of attempts, \
            the recipients, and the last reply of a server.

              skein mail queue --state failed
              skein mail queue --json | jq .subject
            """)

    @OptionGroup var spool: SpoolOption

    @Option(help: "Only messages in a state: new, queue, hold or failed; may be repeated.")
    var state: [MailSpool.State] = []

    @Option(help: ArgumentHelp("Maximum number of messages.", valueName: "count"))
    var limit = 1000

    @Flag(help: "Print a JSON record for each message.")
    var json = false

    func run() async throws {
        let spool = try spool.open()
        let now = CivilTime.now * 1000
        var shown = 0
        var all = 0
        for state in state.isEmpty ? MailSpool.State.allCases : state {
            let names = spool.names(state).sorted { "\($0)" < "\($1)" }
            all += names.count
            for id in names.prefix(max(0, limit - shown)) {
                shown += 1
                guard let (state, file) = Self.open(id, spool, state, json) else { continue }
                let record = SpooledRecord(id, state, file)
                if json {
                    Terminal.say(MailJSON.line(record))
                } else {
                    let to = (record.pending + record.failed).prefix(3).joined(separator: ", ")
                    let more = record.pending.count + record.failed.count > 3 ? ", …" : ""
                    let age = MailTime.span(now - file.envelope.created)
                    let last = record.last.map { "\n    \($0)" } ?? ""
                    Terminal.say("\(id)  \(state.rawValue)  \(age)  \(file.attempts) attempts  \(to)\(more)\(last)")
                }
            }
        }
        if !json {
            Terminal.say(all == shown ? "\(all) messages" : "\(all) messages, \(shown) of them shown; see --limit")
        }
    }
}

extension MailSpool.State: ExpressibleByArgument {}

extension MailQueueCommand {
    /// Opens a message; a file that cannot be read as a message is listed with its error.
    private static func open(
        _ id: MailID, _ spool: MailSpool, _ state: MailSpool.State, _ json: Bool
    ) -> (MailSpool.State, SpoolFile)? {
        do throws(SkeinError) {
            return try spool.open(id)
        } catch {
            let record = ["id": "\(id)", "state": state.rawValue, "problem": CommandFailure(error).description]
            Terminal.say(
                json
                    ? MailJSON.line(record)
                    : "\(id)  \(state.rawValue)  cannot be read: \(error.message)")
            return nil
        }
    }
}

struct MailShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the state of a message in the spool.")

    @OptionGroup var spool: SpoolOption

    @Argument(help: "The ID of the message.")
    var id: String

    @Flag(help: "Print the message as it is sent, and nothing else.")
    var message = false

    @Flag(help: "Print its state as JSON.")
    var json = false

    func run() async throws {
        let spool = try spool.open()
        let id = try MailNames.read(id)
        let found: (state: MailSpool.State, file: SpoolFile)?
        do { found = try spool.open(id) } catch { throw CommandFailure(error) }
        guard let (state, file) = found else { throw CommandFailure("There is no message \(id).") }
        if message {
            try file.eachPiece { bytes in Terminal.emit(bytes) }
            return
        }
        let record = SpooledRecord(id, state, file)
        if json { return Terminal.say(MailJSON.line(record)) }
        var lines = [
            "\(id)  \(state.rawValue)  \(file.size) bytes, priority \(record.priority)",
            "From:     \(record.from.isEmpty ? "(a report)" : record.from)", "Subject:  \(record.subject)",
            "Stored:   \(record.created) UTC", "Expires:  \(record.expires) UTC",
        ]
        if let next = record.next { lines.append("Next:     \(next) UTC, after \(file.attempts) attempts") }
        if let relay = record.relay { lines.append("Server:   \(relay)") }
        for (address, mark) in zip(file.envelope.recipients, file.marks) {
            lines.append("To:       \(address): \(mark)")
        }
        for note in file.notes.suffix(50) {
            lines.append("\(MailTime.text(note.moment))  \(note.recipient): \(note.text)")
        }
        for line in lines { Terminal.say(line) }
    }
}

/// Names of messages on the command line.
enum MailNames {
    static func read(_ text: String) throws -> MailID {
        guard let id = MailID(text) else {
            throw ValidationError("\(text.debugDescription) is not a message ID; an ID has 24 hexadecimal digits.")
        }
        return id
    }

    /// Runs work on each named message, and reports those that do not exist.
    static func each(_ texts: [String], _ done: String, _ work: (MailID) throws -> Bool) throws {
        var missing = false
        for text in texts {
            let id = try read(text)
            do {
                if try work(id) {
                    Terminal.say("\(id) \(done)")
                    continue
                }
                Terminal.complain("The message \(id) does not exist, or its state does not allow this.")
            } catch let error as SkeinError {
                Terminal.complain(CommandFailure(error).description)
            }
            missing = true
        }
        if missing { throw ExitCode(1) }
    }
}

struct MailRetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Try messages immediately, also those on hold and failed ones.")

    @OptionGroup var spool: SpoolOption
    @Argument(help: "IDs of messages.")
    var ids: [String]

    func run() async throws {
        let spool = try spool.open()
        try MailNames.each(ids, "is scheduled for immediate delivery") { try spool.retry($0) }
    }
}

struct MailHoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Hold messages until `retry` releases them. A delivery in progress is not stopped.")

    @OptionGroup var spool: SpoolOption
    @Argument(help: "IDs of messages.")
    var ids: [String]

    func run() async throws {
        let spool = try spool.open()
        try MailNames.each(ids, "is on hold") { spool.hold($0) }
    }
}

struct MailDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete messages permanently. A delivery in progress is not stopped.")

    @OptionGroup var spool: SpoolOption

    @Option(help: "All messages in a state: new, queue, hold or failed.")
    var all: MailSpool.State?

    @Argument(help: "IDs of messages.")
    var ids: [String] = []

    func validate() throws {
        guard all != nil || !ids.isEmpty else { throw ValidationError("Give message IDs, or a state with --all.") }
    }

    func run() async throws {
        let spool = try spool.open()
        let names = all.map { spool.names($0).map { "\($0)" } } ?? []
        try MailNames.each(ids + names, "is deleted") { try spool.delete($0) }
    }
}

struct MailFlushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flush", abstract: "Try all messages of the queue immediately.")

    @OptionGroup var spool: SpoolOption

    func run() async throws {
        let spool = try spool.open()
        var count = 0
        for id in spool.names(.queue) where (try? spool.retry(id)) == true { count += 1 }
        Terminal.say("\(count) messages are scheduled for immediate delivery")
    }
}
