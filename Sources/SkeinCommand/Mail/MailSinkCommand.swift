// skein mail sink: a mail server for development, and a page that shows the received messages.

import ArgumentParser
import SkeinCore
import SkeinEngine
import SkeinMail
import Synchronization
import UnixSignals

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct MailSinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sink",
        abstract: "Accept every message, deliver none, and show them: a mail server for development.",
        discussion: """
            Every sender, recipient and password is accepted. The page lists the last messages; HTML is shown in a frame without \
            scripts and remote content. /messages is the same as JSON, /messages/N.eml a message as it was received.

              skein mail sink --listen 2525 --page 8025
              skein mail send --to a@example.org --subject Hi --text Hello --smtp smtp://127.0.0.1:2525
            """)

    @Option(help: ArgumentHelp("Accept mail at this address.", valueName: "[host:]port"))
    var listen = "127.0.0.1:2525"

    @Option(help: ArgumentHelp("Serve a page with the messages here. Default: none.", valueName: "[host:]port"))
    var page: String?

    @Option(help: ArgumentHelp("Write each message to this folder, as N.eml.", valueName: "folder"))
    var folder: String?

    @Option(help: ArgumentHelp("Maximum number of messages on the page.", valueName: "count"))
    var keep = 200

    func validate() throws {
        _ = try PageAddress.read(listen)
        if let page { _ = try PageAddress.read(page) }
        guard (1...100_000).contains(keep) else { throw ValidationError("--keep must be from 1 to 100000.") }
    }

    func run() async throws {
        if let folder {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        let store = SinkStore(keep: keep, folder: folder)
        let sink = MailSink { mail in
            let number = try store.add(mail)
            // The sender's address may contain control sequences for the terminal.
            let line = "\(mail.sender) → \(mail.recipients.prefix(20).joined(separator: ", "))"
            let shown = line.unicodeScalars.map { $0.properties.generalCategory == .control ? "·" : $0 }
            Terminal.say("\(number)  \(String(String.UnicodeScalarView(shown)))  \(mail.content.count) bytes")
        }
        let address = try PageAddress.read(listen)
        do {
            let port = try await sink.start(host: address.host, port: address.port)
            Terminal.complain("accepting mail at smtp://\(address.host):\(port)")
            let server = try page.map { try PageAddress.read($0) }.map { ($0, SinkPage(store: store)) }
            if let (address, page) = server {
                let port = try await page.serve(at: address)
                Terminal.complain("web page at http://\(address.host):\(port)/")
            }
        } catch let error as SkeinError {
            throw CommandFailure(error)
        }
        for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) { break }
        await sink.stop()
    }
}

/// The most recently received messages.
final class SinkStore: Sendable {
    /// Maximum bytes of stored messages.
    private static let memory = 256 << 20

    struct Entry: Sendable {
        let number: Int
        let mail: ReceivedMail
    }

    private struct State {
        var entries: [Entry] = []
        var bytes = 0
        var last = 0
    }

    private let keep: Int
    private let folder: String?
    private let state = Mutex(State())

    init(keep: Int, folder: String?) {
        self.keep = keep
        self.folder = folder
    }

    /// - Returns: the number of the message.
    func add(_ mail: ReceivedMail) throws -> Int {
        let number = state.withLock { state in
            state.last += 1
            return state.last
        }
        if let folder { try Data(mail.content).write(to: URL(filePath: "\(folder)/\(number).eml"), options: .atomic) }
        state.withLock { state in
            state.entries.append(Entry(number: number, mail: mail))
            state.bytes += mail.content.count
            while state.entries.count > keep || state.bytes > Self.memory, state.entries.count > 1 {
                state.bytes -= state.entries.removeFirst().mail.content.count
            }
        }
        return number
    }

    /// The newest first.
    var entries: [Entry] { state.withLock { $0.entries.reversed() } }

    func entry(_ number: Int) -> Entry? { state.withLock { $0.entries.first { $0.number == number } } }

    func clear() {
        state.withLock { state in
            state.entries = []
            state.bytes = 0
        }
    }
}
