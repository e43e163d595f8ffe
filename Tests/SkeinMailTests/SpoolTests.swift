import Foundation
import PeerSupport
import SkeinCore
import Testing

@testable import SkeinMail

@Suite("The spool")
struct SpoolTests {
    private func spool(_ change: (inout MailSpool.Limits) -> Void = { _ in }) throws -> MailSpool {
        var limits = MailSpool.Limits()
        change(&limits)
        return try MailSpool(TestFolder.path("spool"), limits: limits)
    }

    private let message = MailMessage(from: "a@b.c", to: ["d@e.f", "g@h.i"], subject: "Größe", text: "text")

    @Test("a message is stored completely, with its envelope")
    func stored() throws {
        let spool = try spool()
        var options = MailSpool.Options()
        options.delay = .seconds(60)
        options.relay = "smtp://u:p@x.org"
        options.notify = [.success, .failure]
        let id = try spool.store(message, options)
        let (state, file) = try #require(try spool.open(id))
        #expect(state == .new && MailID("\(id)") == id)
        let envelope = file.envelope
        #expect(envelope.sender == "a@b.c" && envelope.recipients == ["d@e.f", "g@h.i"] && envelope.subject == "Größe")
        #expect(envelope.notBefore == envelope.created + 60_000 && envelope.expires == envelope.notBefore + 432_000_000)
        #expect(envelope.relay == options.relay && envelope.notify == options.notify)
        #expect(file.due == envelope.notBefore && file.attempts == 0 && file.marks == [.pending, .pending])
        var check = SpoolFile.Check()
        check.update(try #require(file.shortContent))
        #expect(file.isIntact(check))
        #expect(try spool.usage.read().count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(spool.folder)/tmp").isEmpty)
    }

    @Test("marks and notes are read back; other bytes of the file do not change")
    func marks() throws {
        let spool = try spool()
        let id = try spool.store(message)
        let path = spool.path(.new, id)
        let before = try Data(contentsOf: URL(filePath: path))
        let file = try SpoolFile(path)
        try file.mark([1: .delivered])
        try file.schedule(attempts: 3, due: 1_800_000_000_000)
        file.note([.init(moment: 5, recipient: "d@e.f", text: "450 4.2.0 \"später\"")], areLast: false)
        let again = try SpoolFile(path)
        #expect(again.marks == [.pending, .delivered] && again.attempts == 3 && again.due == 1_800_000_000_000)
        #expect(again.notes == [.init(moment: 5, recipient: "d@e.f", text: "450 4.2.0 \"später\"")])
        let after = try Data(contentsOf: URL(filePath: path))
        let fixed = SpoolFile.headerLength + file.contentLength
        #expect(before.prefix(fixed) == after.prefix(fixed) && after.count > before.count)
    }

    @Test("a truncated or modified file is refused, or fails its checksum")
    func broken() throws {
        let spool = try spool()
        let id = try spool.store(message)
        let whole = try Data(contentsOf: URL(filePath: spool.path(.new, id)))
        let path = TestFolder.path("broken")
        func isSound(_ data: Data) -> Bool {
            try? data.write(to: URL(filePath: path))
            guard let file = try? SpoolFile(path), let content = file.shortContent else { return false }
            var check = SpoolFile.Check()
            check.update(content)
            return file.isIntact(check)
        }
        #expect(isSound(whole))
        for length in stride(from: 0, to: whole.count - 1, by: 7) { #expect(!isSound(whole.prefix(length))) }
        let state = whole.count - 2 - 2 - 21
        for index in stride(from: 0, to: state, by: 5) {
            var changed = whole
            changed[index] ^= 0x15
            #expect(!isSound(changed), "byte \(index)")
        }
    }

    @Test("manipulated numbers in a file do no harm")
    func numbers() throws {
        let spool = try spool()
        let id = try spool.store(message)
        let path = spool.path(.new, id)
        let whole = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        let length = whole.split(separator: " ")[1]
        for number in ["9223372036854775807", "-1", "9999999999999999", "0000000000000000"] {
            let changed = whole.replacingOccurrences(of: " \(length) ", with: " \(number.suffix(16)) ")
            try Data(changed.utf8).write(to: URL(filePath: path))
            #expect(throws: SkeinError.self) { _ = try SpoolFile(path) }
        }
        for number in ["-9223372036854775808", "9223372036854775807", "99999999999999"] {
            let changed = whole.replacingOccurrences(of: "\"expires\":", with: "\"expires\":\(number),\"x\":")
            try Data(changed.utf8).write(to: URL(filePath: path))
            #expect(throws: SkeinError.self) { _ = try SpoolFile(path) }
        }
        #expect(try spool.delete(id))
        try Data("9223372036854775807 9223372036854775807\n".utf8).write(to: URL(filePath: "\(spool.folder)/usage"))
        _ = try spool.store(message)
        var forEver = MailSpool.Options()
        forEver.delay = .seconds(Int64.max)
        forEver.lifetime = .seconds(Int64.max)
        let later = try spool.store(message, forEver)
        #expect(try spool.open(later)?.file.due == SpoolFile.lastMoment)
        var old = message
        old.date = Date(timeIntervalSince1970: .nan)
        #expect(throws: SkeinError.self) { _ = try spool.store(old) }
    }

    @Test("a pipe or a folder is refused as an attachment, without blocking")
    func pipes() throws {
        let spool = try spool()
        let pipe = TestFolder.path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        for path in [pipe, "/tmp", "/dev/zero"] {
            var message = message
            message.attach(file: path)
            #expect(throws: SkeinError.self) { _ = try spool.store(message) }
        }
        #expect(throws: SkeinError.self) { _ = try MailSpool(existing: "/nonexistent/spool") }
    }

    @Test("with a key, the same message is stored once, in any state")
    func keys() throws {
        let spool = try spool()
        var options = MailSpool.Options()
        options.key = "order 42"
        let id = try spool.store(message, options)
        #expect(try spool.store(message, options) == id)
        #expect(spool.names(.new).count == 1)
        #expect(spool.move(id, from: .new, to: .queue))
        #expect(try spool.store(message, options) == id && spool.names(.new).isEmpty)
        try spool.rememberKey(id)
        #expect(spool.remove(id, from: .queue, bytes: 0))
        #expect(try spool.store(message, options) == id && spool.names(.new).isEmpty)
        options.key = "order 43"
        #expect(try spool.store(message, options) != id && spool.names(.new).count == 1)
    }

    @Test("a full spool refuses messages, and accepts them after others are deleted")
    func full() throws {
        let spool = try spool { $0.count = 2 }
        let id = try spool.store(message)
        _ = try spool.store(message)
        let error = #expect(throws: SkeinError.self) { _ = try spool.store(message) }
        #expect(error?.code == .overloaded)
        #expect(try spool.delete(id))
        _ = try spool.store(message)
        let small = try self.spool { $0.message = 1000 }
        var large = message
        large.attach([UInt8](repeating: 1, count: 2000), as: "a.bin")
        #expect(throws: SkeinError.self) { _ = try small.store(large) }
        #expect(try small.usage.read() == (0, 0))
        let bytes = try self.spool { $0.bytes = 500 }
        #expect(throws: SkeinError.self) { _ = try bytes.store(message) }
        #expect(try bytes.usage.read() == (0, 0))
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bytes.folder)/tmp").isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bytes.folder)/new").isEmpty)
    }

    @Test("a missing attachment is an error with its name, and leaves no files")
    func missing() throws {
        let spool = try spool()
        var message = message
        message.attach(file: "/nowhere/x.pdf")
        let error = #expect(throws: SkeinError.self) { _ = try spool.store(message) }
        #expect(error?.peer == "/nowhere/x.pdf")
        #expect(try spool.usage.read() == (0, 0) && spool.names(.new).isEmpty)
    }

    @Test("held, retried, deleted")
    func managed() throws {
        let spool = try spool()
        let id = try spool.store(message)
        #expect(spool.hold(id) && spool.names(.hold) == [id])
        #expect(try spool.retry(id) && spool.names(.new) == [id])
        #expect(spool.move(id, from: .new, to: .failed))
        try SpoolFile(spool.path(.failed, id)).mark([0: .failed, 1: .delivered])
        #expect(try spool.retry(id))
        #expect(try SpoolFile(spool.path(.new, id)).marks == [.pending, .delivered])
        #expect(try spool.delete(id) && !spool.delete(id) && !spool.hold(id) && !spool.retry(id))
    }

    @Test("counts are corrected, and unfinished files are removed after a day")
    func tidy() throws {
        let spool = try spool()
        _ = try spool.store(message)
        spool.usage.set(count: 99, bytes: 99)
        let old = "\(spool.folder)/tmp/old"
        let new = "\(spool.folder)/tmp/new"
        for path in [old, new] { #expect(FileManager.default.createFile(atPath: path, contents: nil)) }
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -90_000)], ofItemAtPath: old)
        spool.tidy()
        #expect(try spool.usage.read().count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(spool.folder)/tmp") == ["new"])
    }

    @Test("many threads store concurrently, and every message is stored")
    func producers() async throws {
        let spool = try spool()
        let ids = try await withThrowingTaskGroup(of: MailID.self) { group in
            for _ in 0..<50 { group.addTask { [message] in try spool.store(message) } }
            return try await group.reduce(into: Set<MailID>()) { $0.insert($1) }
        }
        #expect(ids.count == 50 && Set(spool.names(.new)) == ids)
        #expect(try spool.usage.read().count == 50)
    }
}

@Suite("The server's side of SMTP")
struct SMTPServerMachineTests {
    private func talk(_ text: String, size: Int = .max, limits: SMTPServerMachine.Limits = .init()) -> (
        replies: String, mails: [ReceivedMail]
    ) {
        var machine = SMTPServerMachine(name: "x", limits: limits)
        let bytes = Array(text.utf8)
        var replies = ""
        var mails: [ReceivedMail] = []
        for start in stride(from: 0, to: bytes.count, by: min(size, bytes.count)) {
            let piece = bytes[start..<min(bytes.count, start + min(size, bytes.count))]
            for action in machine.receive(.init(bytes: piece)) {
                switch action {
                case .reply(let reply): replies += reply.prefix(3) + " "
                case .message(let mail): mails.append(mail)
                case .close: replies += "close "
                }
            }
        }
        return (replies, mails)
    }

    @Test("a message is received unchanged, however the bytes are split", arguments: [1, 2, 3, 7, 1000])
    func message(size: Int) {
        let (replies, mails) = talk(
            "EHLO c\r\nMAIL FROM:<a@b> SIZE=3\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\na\r\n..b\r\n.c\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<g@h>\r\nBDAT 3\r\nx\r\nBDAT 2 LAST\r\nyzQUIT\r\n",
            size: size)
        #expect(replies == "250 250 250 250 354 250 250 250 221 close ")
        #expect(mails.count == 2)
        #expect(mails.first.map { String(decoding: $0.content, as: UTF8.self) } == "a\r\n.b\r\nc\r\n")
        #expect(mails.first?.recipients == ["c@d", "e@f"] && mails.last?.sender == "")
        #expect(mails.last.map { String(decoding: $0.content, as: UTF8.self) } == "x\r\nyz")
    }

    @Test(
        "only a dot between CR LFs ends a message",
        arguments: ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r\n"])
    func smuggling(end: String) {
        let (_, mails) = talk(
            "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\na\(end)MAIL FROM:<evil@x>\r\nRCPT TO:<y@z>\r\nDATA\r\nb\r\n.\r\n"
        )
        #expect(mails.count == 1 && mails.first?.sender == "a@b")
    }

    @Test(
        "commands in a wrong order and form",
        arguments: [
            ("MAIL FROM:<a@b>\r\n", "503 "), ("EHLO c\r\nRCPT TO:<a@b>\r\n", "250 503 "),
            ("EHLO c\r\nDATA\r\n", "250 503 "),
            ("EHLO c\r\nMAIL FROM:a@b\r\n", "250 501 "),
            ("EHLO c\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n", "250 250 503 "),
            ("EHLO c\r\nMAIL FROM:<a@b> SIZE=999999999999\r\n", "250 552 "), ("WHAT\r\n", "500 "),
            ("EHLO c\r\nBDAT x\r\n", "250 501 close "),
            ("EHLO c\r\nAUTH LOGIN\r\ndQ==\r\ncA==\r\nNOOP\r\n", "250 334 334 235 250 "),
            ("EHLO c\r\nAUTH PLAIN AHUAcA==\r\n", "250 235 "),
            ("EHLO c\r\nBDAT 2 LAST\r\nxxNOOP\r\n", "250 503 250 "),
            (String(repeating: "a", count: 9000), "500 close "),
        ])
    func order(text: String, expected: String) { #expect(talk(text).replies == expected) }

    @Test("exceeding any limit is refused")
    func limits() {
        var limits = SMTPServerMachine.Limits()
        limits.message = 10
        limits.recipients = 1
        let begin = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
        #expect(talk(begin + "RCPT TO:<e@f>\r\n", limits: limits).replies == "250 250 250 452 ")
        #expect(
            talk(begin + "DATA\r\n12345\r\n67890\r\n.\r\nNOOP\r\n", limits: limits).replies
                == "250 250 250 354 552 250 ")
        #expect(talk(String(repeating: "X\r\n", count: 30)).replies.hasSuffix("421 close "))
    }
}
