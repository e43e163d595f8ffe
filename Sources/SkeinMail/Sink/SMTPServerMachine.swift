// The server's side of SMTP for development (RFC 5321), without I/O: it accepts every message and relays none.

import NIOCore
import SkeinCore

/// A message that a sink has received.
public struct ReceivedMail: Sendable {
    /// The envelope's sender.
    public let sender: String
    /// The envelope's recipients.
    public let recipients: [String]
    /// The message as received, with dot-stuffing removed.
    public let content: [UInt8]
    /// Seconds since 1970.
    public let moment: Int
}

/// A connection to a sink.
struct SMTPServerMachine {
    struct Limits: Sendable {
        /// Bytes of a message. Default: 64 MiB.
        var message = 64 << 20
        /// Recipients of a message. Default: 1000.
        var recipients = 1000
        /// Bytes of a line of commands.
        var line = 4096
        /// Invalid commands before the connection is closed.
        var mistakes = 20
    }

    enum Action {
        case reply(String)
        /// A complete message; the reply depends on its handling.
        case message(ReceivedMail)
        case close
    }

    private enum State {
        case commands
        case data
        /// The remaining bytes of a chunk.
        case chunk(Int, isLast: Bool)
        /// Lines of credentials that are still expected.
        case password(Int)
        case closed
    }

    private let limits: Limits
    private let name: String
    private var state = State.commands
    private var buffer = ByteBuffer()
    private var hasGreeted = false
    private var sender: String?
    private var recipients: [String] = []
    private var content: [UInt8] = []
    private var isTooLarge = false
    private var mistakes = 0
    private var searched = 0

    init(name: String, limits: Limits = Limits()) {
        self.name = name
        self.limits = limits
    }

    var greeting: String { "220 \(name) ESMTP Skein mail sink\r\n" }
    /// Buffered bytes.
    var held: Int { content.count + buffer.readableBytes }

    mutating func receive(_ bytes: ByteBuffer) -> [Action] {
        buffer.absorb(bytes)
        var actions: [Action] = []
        while let more = step() { actions += more }
        return actions
    }

    private mutating func step() -> [Action]? {
        switch state {
        case .closed: return nil
        case .data: return readData()
        case .chunk(let count, let isLast): return readChunk(count, isLast)
        case .commands, .password:
            let view = buffer.readableBytesView
            guard let end = view.firstIndex(of: Bytes.lf) else {
                guard view.count > limits.line else { return nil }
                state = .closed
                return [.reply("500 5.5.6 the line is too long\r\n"), .close]
            }
            let line = view[..<end]
            let text = String(decoding: line.last == Bytes.cr ? line.dropLast() : line, as: UTF8.self)
            buffer.moveReaderIndex(to: end + 1)
            if case .password(let lines) = state {
                state = lines > 1 ? .password(lines - 1) : .commands
                return [.reply(lines > 1 ? "334 UGFzc3dvcmQ6\r\n" : "235 2.7.0 welcome\r\n")]
            }
            return command(text)
        }
    }

    // MARK: Commands

    private mutating func command(_ line: String) -> [Action] {
        let words = line.splitBytes(separator: " ", maxSplits: 1)
        let argument = words.count > 1 ? String(words[1].trimmingBlanks()) : ""
        switch words.first?.asciiUppercased ?? "" {
        case "EHLO", "LHLO", "HELO":
            hasGreeted = true
            reset()
            guard words[0].asciiUppercased != "HELO" else { return [.reply("250 \(name)\r\n")] }
            let extensions = [
                "PIPELINING", "SIZE \(limits.message)", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES",
                "AUTH PLAIN LOGIN",
            ]
            let lines = [name] + extensions
            return [
                .reply(
                    lines.enumerated().map { "250\($0 + 1 < lines.count ? "-" : " ")\($1)\r\n" }.joined())
            ]
        case "AUTH":
            // Any credentials are accepted: the server is for testing.
            let kind = argument.splitBytes(separator: " ")
            if kind.first?.asciiUppercased == "LOGIN" {
                state = .password(kind.count > 1 ? 1 : 2)
                return [.reply(kind.count > 1 ? "334 UGFzc3dvcmQ6\r\n" : "334 VXNlcm5hbWU6\r\n")]
            }
            if kind.count > 1 { return [.reply("235 2.7.0 welcome\r\n")] }
            state = .password(1)
            return [.reply("334 \r\n")]
        case "MAIL": return mail(argument)
        case "RCPT": return recipient(argument)
        case "DATA":
            guard sender != nil, !recipients.isEmpty else { return mistake("503 5.5.1 MAIL and RCPT come first") }
            state = .data
            content = []
            return [.reply("354 go on, and end with a dot\r\n")]
        case "BDAT": return chunk(argument)
        case "RSET":
            reset()
            return [.reply("250 2.0.0 forgotten\r\n")]
        case "NOOP": return [.reply("250 2.0.0 done\r\n")]
        case "VRFY": return [.reply("252 2.5.0 everybody is taken\r\n")]
        case "QUIT":
            state = .closed
            return [.reply("221 2.0.0 goodbye\r\n"), .close]
        default: return mistake("500 5.5.2 this is no command that is known here")
        }
    }

    private mutating func mistake(_ reply: String) -> [Action] {
        mistakes += 1
        guard mistakes < limits.mistakes else {
            state = .closed
            return [.reply("421 4.7.0 there are too many mistakes\r\n"), .close]
        }
        return [.reply("\(reply)\r\n")]
    }

    private mutating func mail(_ argument: String) -> [Action] {
        guard hasGreeted else { return mistake("503 5.5.1 EHLO comes first") }
        guard sender == nil else { return mistake("503 5.5.1 there is a sender already") }
        guard let (path, parameters) = Self.path(argument, "FROM:") else {
            return mistake("501 5.5.4 MAIL FROM:<address> is expected")
        }
        for parameter in parameters where parameter.asciiUppercased.hasBytePrefix("SIZE=") {
            let digits = parameter.droppingBytes(first: 5)
            if Int(digits) ?? (digits.utf8.allSatisfy(Bytes.isDigit) ? .max : 0) > limits.message {
                return [.reply("552 5.3.4 a message has at most \(limits.message) bytes\r\n")]
            }
        }
        sender = path
        return [.reply("250 2.1.0 the sender is taken\r\n")]
    }

    private mutating func recipient(_ argument: String) -> [Action] {
        guard sender != nil else { return mistake("503 5.5.1 MAIL comes first") }
        guard let (path, _) = Self.path(argument, "TO:"), !path.isEmpty else {
            return mistake("501 5.5.4 RCPT TO:<address> is expected")
        }
        guard recipients.count < limits.recipients else {
            return [.reply("452 4.5.3 there are too many recipients\r\n")]
        }
        recipients.append(path)
        return [.reply("250 2.1.5 the recipient is taken\r\n")]
    }

    private static func path(_ argument: String, _ keyword: String) -> (String, [Substring])? {
        guard argument.asciiUppercased.hasBytePrefix(keyword) else { return nil }
        let rest = argument.droppingBytes(first: keyword.utf8.count).trimmingBlanks()
        guard rest.hasBytePrefix("<"), let end = rest.firstByte(">") else { return nil }
        return (String(rest[..<end].droppingBytes(first: 1)), rest.text(after: end).splitBytes(separator: " "))
    }

    private mutating func reset() {
        sender = nil
        recipients = []
        content = []
        isTooLarge = false
        searched = 0
    }

    private mutating func end() -> [Action] {
        defer { reset() }
        state = .commands
        if isTooLarge { return [.reply("552 5.3.4 a message has at most \(limits.message) bytes\r\n")] }
        return [
            .message(
                ReceivedMail(sender: sender ?? "", recipients: recipients, content: content, moment: CivilTime.now))
        ]
    }

    private mutating func add(_ bytes: some Collection<UInt8>) {
        if content.count + bytes.count > limits.message {
            isTooLarge = true
            content = []
        }
        if !isTooLarge { content += bytes }
    }

    // MARK: Content

    /// Lines until a single dot; only CR LF ends a line.
    private mutating func readData() -> [Action]? {
        let view = buffer.readableBytesView
        var index = view.startIndex + searched
        while let lineEnd = view[index...].firstIndex(of: Bytes.lf) {
            index = lineEnd + 1
            guard lineEnd > view.startIndex, view[lineEnd - 1] == Bytes.cr else { continue }
            let line = view[..<index]
            let isDot = line.first == UInt8(ascii: ".")
            if isDot, line.count == 3 {
                buffer.moveReaderIndex(to: index)
                searched = 0
                return end()
            }
            add(isDot ? line.dropFirst() : line)
            buffer.moveReaderIndex(to: index)
            searched = 0
            return []
        }
        // A line without an end is not searched again.
        searched = max(0, view.count - 1)
        if view.count > limits.message {
            isTooLarge = true
            state = .closed
            return [.reply("552 5.3.4 a message has at most \(limits.message) bytes\r\n"), .close]
        }
        return nil
    }

    private mutating func chunk(_ argument: String) -> [Action] {
        let words = argument.splitBytes(separator: " ")
        guard let count = words.first.flatMap({ Int($0) }), count >= 0,
            words.count == 1 || words.count == 2 && words[1].equalsIgnoringCase("LAST")
        else {
            // The following bytes cannot be distinguished from commands.
            state = .closed
            return [.reply("501 5.5.4 BDAT SIZE [LAST] is expected\r\n"), .close]
        }
        state = .chunk(count, isLast: words.count == 2)
        return []
    }

    private mutating func readChunk(_ count: Int, _ isLast: Bool) -> [Action]? {
        if count > 0 {
            guard let bytes = buffer.readBytes(length: min(count, buffer.readableBytes)), !bytes.isEmpty else {
                return nil
            }
            if sender != nil, !recipients.isEmpty { add(bytes) }
            state = .chunk(count - bytes.count, isLast: isLast)
            return []
        }
        state = .commands
        guard sender != nil, !recipients.isEmpty else { return mistake("503 5.5.1 MAIL and RCPT come first") }
        return isLast ? end() : [.reply("250 2.0.0 the chunk is taken\r\n")]
    }
}
