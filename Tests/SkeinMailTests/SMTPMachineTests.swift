import NIOCore
import PeerSupport
import SkeinCore
import Testing

@testable import SkeinMail

@Suite("The client's side of SMTP")
struct SMTPMachineTests {
    private static func reply(_ text: String) -> SMTPReply {
        var decoder = SMTPReplyDecoder()
        decoder.append(ByteBuffer(string: text.replacingBytes("|", with: "\r\n") + "\r\n"))
        return (try? decoder.next()) ?? SMTPReply(code: 0, lines: [])
    }

    /// The actions of the machine, as text.
    private static func words(_ actions: [SMTPClientMachine.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .write(let text): text.replacingBytes("\r\n", with: "|")
            case .startTLS: "(TLS)"
            case .ready: "(ready)"
            case .writeContent(let dotStuffed): dotStuffed ? "(content)" : "(chunk)"
            case .finish(let results, let fate):
                "("
                    + results.map { result in
                        switch result {
                        case .delivered: "delivered"
                        case .deferred(let reply): "deferred \(reply.code)"
                        case .refused(let reply): "refused \(reply.code)"
                        }
                    }.joined(separator: ", ")
                    + (fate == .uncertain ? ", uncertain)" : fate == .notBegun ? ", not begun)" : ")")
            case .fail(let error): "(fail \(error.code.rawValue))"
            case .close: "(close)"
            }
        }
    }

    /// Plays a dialogue: `S: reply`, `C: expected actions`, or an event in parentheses.
    private func follow(
        _ history: [String], _ settings: SMTPClientMachine.Settings = .init(), recipients: [String] = ["b@x"],
        size: Int = 100,
        utf8: Bool = false
    ) {
        var machine = SMTPClientMachine(settings)
        var done: [String] = []
        for step in history {
            if step.hasBytePrefix("C: ") {
                #expect(done == [String(step.droppingBytes(first: 3))], "\(history)")
                done = []
                continue
            }
            #expect(done.isEmpty, "before \(step): \(done)")
            let event: SMTPClientMachine.Event
            switch step {
            case "(send)":
                var envelope = SMTPEnvelope(sender: "a@x", recipients: recipients, size: size)
                envelope.needsUTF8 = utf8
                event = .send(envelope)
            case "(written)": event = .contentWritten
            case "(secured)": event = .secured
            case "(lost)": event = .lost(SkeinError(.connectionClosed, because: "gone"))
            case "(silence)": event = .timedOut
            case "(unreadable)": event = .contentFailed(SkeinError(.bodyError, because: "broken"))
            case "(leave)": event = .leave
            default: event = .received(Self.reply(String(step.droppingBytes(first: 3))))
            }
            let words = Self.words(machine.receive(event))
            done = words.isEmpty ? [] : [words.joined(separator: " ")]
        }
        #expect(done.isEmpty, "at the end of \(history): \(done)")
    }

    private static let plain: [String] = ["S: 220 hi", "C: EHLO localhost|", "S: 250 x", "C: (ready)"]
    private static func offering(_ extensions: String...) -> [String] {
        [
            "S: 220 hi", "C: EHLO localhost|",
            "S: 250-x|"
                + extensions.enumerated().map {
                    "250\($0 + 1 < extensions.count ? "-" : " ")\($1)"
                }.joined(separator: "|"), "C: (ready)",
        ]
    }

    @Test("a message to one recipient, step by step")
    func lockstep() {
        follow(
            Self.plain + [
                "(send)", "C: MAIL FROM:<a@x>|", "S: 250 ok", "C: RCPT TO:<b@x>|", "S: 250 ok", "C: DATA|", "S: 354 go",
                "C: (content)", "(written)", "S: 250 2.0.0 taken", "C: (delivered) (ready)", "(leave)", "C: QUIT|",
                "S: 221 bye", "C: (close)",
            ])
    }

    @Test("with pipelining all commands are sent at once; the content waits for the reply to DATA")
    func pipelining() {
        follow(
            Self.offering("PIPELINING", "SIZE 1000") + [
                "(send)", "C: MAIL FROM:<a@x> SIZE=100|RCPT TO:<b@x>|RCPT TO:<c@x>|DATA|", "S: 250 ok",
                "S: 550 5.1.1 no such",
                "S: 250 ok", "S: 354 go", "C: (content)", "(written)", "S: 250 taken",
                "C: (refused 550, delivered) (ready)",
            ], recipients: ["b@x", "c@x"])
    }

    @Test("with chunks a short message needs a single reply")
    func chunking() {
        follow(
            Self.offering("PIPELINING", "CHUNKING") + [
                "(send)", "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|BDAT 100 LAST| (chunk)", "(written)", "S: 250 ok",
                "S: 250 ok",
                "S: 250 taken", "C: (delivered) (ready)",
            ])
        follow(
            Self.offering("PIPELINING", "CHUNKING") + [
                "(send)", "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|", "S: 250 ok", "S: 250 ok", "C: BDAT 99999 LAST| (chunk)",
                "(written)", "S: 452 full", "C: RSET|", "S: 250 ok", "C: (deferred 452) (ready)",
            ], size: 99999)
        // No recipient is to receive the chunk, and its refusal adds no information.
        follow(
            Self.offering("PIPELINING", "CHUNKING") + [
                "(send)", "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|BDAT 100 LAST| (chunk)", "(written)", "S: 250 ok",
                "S: 550 no",
                "S: 503 no recipients", "C: RSET|", "S: 250 ok", "C: (refused 550) (ready)",
            ])
    }

    @Test("when no recipient is accepted, the content after DATA is empty")
    func nobody() {
        follow(
            Self.offering("PIPELINING") + [
                "(send)", "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|DATA|", "S: 250 ok", "S: 450 later", "S: 354 go", "C: .|",
                "S: 554 no recipients", "C: RSET|", "S: 250 ok", "C: (deferred 450) (ready)",
            ])
    }

    @Test("a refused sender is the result for all recipients, whatever their replies")
    func sender() {
        follow(
            Self.plain + [
                "(send)", "C: MAIL FROM:<a@x>|", "S: 553 no", "C: RSET|", "S: 250 ok", "C: (refused 553) (ready)",
            ])
        follow(
            Self.offering("PIPELINING") + [
                "(send)", "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|DATA|", "S: 421 4.3.2 busy",
                "C: (deferred 421, not begun) (close)",
            ])
        follow(
            Self.offering("PIPELINING") + [
                "(send)", "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|DATA|", "S: 451 later", "S: 250 ok", "S: 503 no",
                "C: RSET|", "S: 250 ok", "C: (deferred 451) (ready)",
            ])
    }

    @Test("a connection that ends before the final dot has sent nothing; after it, the result is unknown")
    func lost() {
        let begun =
            Self.plain + [
                "(send)", "C: MAIL FROM:<a@x>|", "S: 250 ok", "C: RCPT TO:<b@x>|", "S: 250 ok", "C: DATA|", "S: 354 go",
                "C: (content)",
            ]
        follow(begun + ["(lost)", "C: (deferred 451)"])
        follow(begun + ["(silence)", "C: (deferred 451) (close)"])
        follow(begun + ["(unreadable)", "C: (deferred 451) (close)"])
        follow(begun + ["(written)", "(lost)", "C: (deferred 451, uncertain)"])
        follow(begun + ["(written)", "(silence)", "C: (deferred 451, uncertain) (close)"])
        follow(begun + ["(written)", "S: 421 4.3.0 full", "C: (deferred 421) (close)"])
        // The server replies in the middle of the content: it does not want the rest.
        follow(begun + ["S: 552 too large", "C: (refused 552) (close)"])
    }

    @Test("a positive reply before the content is invalid, and messages after the end of a connection fail at once")
    func early() {
        let begun =
            Self.plain + [
                "(send)", "C: MAIL FROM:<a@x>|", "S: 250 ok", "C: RCPT TO:<b@x>|", "S: 250 ok", "C: DATA|", "S: 354 go",
                "C: (content)",
            ]
        follow(begun + ["S: 250 taken", "C: (deferred 451) (close)"])
        follow(Self.plain + ["S: 421 bye", "C: (close)", "(send)", "C: (deferred 451, not begun)"])
        follow(Self.plain + ["(lost)", "(send)", "C: (deferred 451, not begun)"])
        follow(Self.plain + ["(send)", "C: MAIL FROM:<a@x>|", "(lost)", "C: (deferred 451, not begun)"])
        // After everything was sent at once, the outcome is unknown if the connection ends without a reply, and known
        // with one.
        let sent =
            Self.offering("PIPELINING", "CHUNKING")
            + ["(send)", "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|BDAT 100 LAST| (chunk)", "(written)"]
        follow(sent + ["S: 421 idle for too long", "C: (deferred 421, not begun) (close)"])
        follow(sent + ["(lost)", "C: (deferred 451, uncertain)"])
        follow(
            Self.plain + [
                "(send)", "C: MAIL FROM:<a@x>|", "S: 354 what?", "C: RSET|", "S: 250 ok", "C: (deferred 451) (ready)",
            ])
    }

    @Test("greetings and hello replies that are not positive")
    func refused() {
        follow(["S: 554 no service", "C: (fail 714) (close)"])
        follow(["S: 421 busy", "C: (fail 714) (close)"])
        follow(["S: 220 hi", "C: EHLO localhost|", "S: 502 what?", "C: HELO localhost|", "S: 250 x", "C: (ready)"])
        follow(["S: 220 hi", "C: EHLO localhost|", "S: 450 later", "C: (fail 714) (close)"])
        follow(["(lost)", "C: (fail 710)"])
        follow(["(silence)", "C: (fail 702) (close)"])
        follow(Self.plain + ["S: 421 idle for too long", "C: (close)"])
        follow(Self.plain + ["S: 250 what nobody asked for", "C: (close)"])
    }

    @Test("TLS if offered or required; extensions from before it are discarded")
    func startTLS() {
        let offered = ["S: 220 hi", "C: EHLO localhost|", "S: 250-x|250-AUTH PLAIN|250 STARTTLS"]
        follow(
            offered + [
                "C: STARTTLS|", "S: 220 go", "C: (TLS)", "(secured)", "C: EHLO localhost|", "S: 250 x", "C: (ready)",
            ])
        follow(offered + ["C: STARTTLS|", "S: 454 not now", "C: (ready)"])
        var required = SMTPClientMachine.Settings()
        required.tls = .required
        follow(offered + ["C: STARTTLS|", "S: 454 not now", "C: (fail 713) (close)"], required)
        follow(["S: 220 hi", "C: EHLO localhost|", "S: 250 x", "C: (fail 713) (close)"], required)
        // The server offered only credentials in clear text, where the password must not be sent.
        var secret = required
        secret.credentials = .password(user: "u", password: "p")
        follow(
            offered + [
                "C: STARTTLS|", "S: 220 go", "C: (TLS)", "(secured)", "C: EHLO localhost|", "S: 250 x",
                "C: (fail 706) (close)",
            ], secret)
    }

    @Test("a password is sent only over a protected connection")
    func authentication() {
        var settings = SMTPClientMachine.Settings()
        settings.credentials = .password(user: "u", password: "p")
        let offered = ["S: 220 hi", "C: EHLO localhost|", "S: 250-x|250 AUTH LOGIN PLAIN"]
        follow(offered + ["C: (fail 706) (close)"], settings)
        settings.isProtected = true
        follow(offered + ["C: AUTH PLAIN AHUAcA==|", "S: 235 welcome", "C: (ready)"], settings)
        follow(offered + ["C: AUTH PLAIN AHUAcA==|", "S: 535 5.7.8 no", "C: (fail 706) (close)"], settings)
        settings.mechanism = .login
        follow(
            offered + [
                "C: AUTH LOGIN|", "S: 334 VXNlcm5hbWU6", "C: dQ==|", "S: 334 UGFzc3dvcmQ6", "C: cA==|", "S: 235 ok",
                "C: (ready)",
            ],
            settings)
        settings.mechanism = .xoauth2
        settings.credentials = .token(user: "u", token: "t")
        follow(
            [
                "S: 220 hi", "C: EHLO localhost|", "S: 250-x|250 AUTH=XOAUTH2",
                "C: AUTH XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHQBAQ==|",
                "S: 334 eyJzdGF0dXMiOiI0MDEifQ==", "C: |", "S: 535 no", "C: (fail 706) (close)",
            ], settings)
        // The example of RFC 2195, without TLS.
        settings = .init()
        settings.credentials = .password(user: "tim", password: "tanstaaftanstaaf")
        follow(
            [
                "S: 220 hi", "C: EHLO localhost|", "S: 250-x|250 AUTH CRAM-MD5", "C: AUTH CRAM-MD5|",
                "S: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
                "C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw|", "S: 235 ok", "C: (ready)",
            ], settings)
    }

    @Test("a server that does not authenticate is refused")
    func scram() {
        var settings = SMTPClientMachine.Settings()
        settings.credentials = .password(user: "u", password: "p")
        var machine = SMTPClientMachine(settings)
        _ = machine.receive(.received(Self.reply("220 hi")))
        let words = Self.words(machine.receive(.received(Self.reply("250-x|250 AUTH SCRAM-SHA-256"))))
        #expect(words.count == 1 && words[0].hasBytePrefix("AUTH SCRAM-SHA-256 "))
        #expect(Self.words(machine.receive(.received(Self.reply("235 2.7.0 welcome")))) == ["(fail 706)", "(close)"])
    }

    @Test("LMTP has a reply for each accepted recipient")
    func lmtp() {
        var settings = SMTPClientMachine.Settings()
        settings.isLMTP = true
        follow(
            [
                "S: 220 hi", "C: LHLO localhost|", "S: 250-x|250-PIPELINING|250 CHUNKING", "C: (ready)", "(send)",
                "C: MAIL FROM:<a@x>|RCPT TO:<b@x>|RCPT TO:<c@x>|RCPT TO:<d@x>|DATA|", "S: 250 ok", "S: 250 ok",
                "S: 550 no", "S: 250 ok",
                "S: 354 go", "C: (content)", "(written)", "S: 250 taken", "S: 452 full",
                "C: (delivered, refused 550, deferred 452) (ready)",
            ],
            settings, recipients: ["b@x", "c@x", "d@x"])
    }

    @Test("messages that the server cannot accept are not sent")
    func problems() {
        follow(Self.offering("SIZE 99") + ["(send)", "C: (refused 552)"])
        follow(Self.plain + ["(send)", "C: (refused 553)"], utf8: true)
        follow(
            Self.offering("SMTPUTF8", "8BITMIME") + [
                "(send)", "C: MAIL FROM:<a@x> BODY=8BITMIME SMTPUTF8|", "S: 250 ok", "C: RCPT TO:<b@x>|", "S: 250 ok",
                "C: DATA|",
                "S: 354 go", "C: (content)", "(written)", "S: 250 ok", "C: (delivered) (ready)",
            ], utf8: true)
        follow(Self.plain + ["(send)", "C: (refused 553)"], recipients: ["b@x>\r\nRCPT TO:<c@x"])
    }

    @Test(
        "whatever comes in whatever order, each message ends once and a closed connection does nothing",
        arguments: 0..<300)
    func histories(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var settings = SMTPClientMachine.Settings()
        settings.isLMTP = seed % 5 == 0
        settings.tls = [.asItIs, .opportunistic, .required][seed % 3]
        settings.isProtected = true
        if seed % 4 == 0 { settings.credentials = .password(user: "u", password: "p") }
        var machine = SMTPClientMachine(settings)
        var open = false
        let replies = [
            "220 a", "250 b", "250-x|250-PIPELINING|250-CHUNKING|250-AUTH PLAIN|250 STARTTLS", "354 c", "334 ", "235 d",
            "421 e",
            "450 f", "550 g", "503 h", "221 i",
        ]
        for _ in 0..<60 {
            let event: SMTPClientMachine.Event
            switch random.next() % 20 {
            case 0: event = .lost(SkeinError(.connectionClosed, because: "gone"))
            case 1: event = .timedOut
            case 2: event = .leave
            case 3...5 where machine.phase == .idle && !open:
                event = .send(SMTPEnvelope(sender: "a@x", recipients: ["b@x", "c@x"], size: 10))
                open = true
            case 6, 7: event = .contentWritten
            case 8: event = .secured
            default: event = .received(Self.reply(random.pick(replies)))
            }
            let wasClosed = machine.phase == .closed
            for action in machine.receive(event) {
                #expect(!wasClosed)
                guard case .finish(let results, _) = action else { continue }
                #expect(open && results.count == 2)
                open = false
            }
        }
        for action in machine.receive(.lost(SkeinError(.connectionClosed, because: "gone"))) {
            if case .finish = action { open = false }
        }
        #expect(!open && machine.phase == .closed)
    }

    @Test("replies are parsed however the bytes are split")
    func decoder() throws {
        let bytes = Array("220-first\r\n220 second\r\n250 2.1.0 ok\r\n550\n".utf8)
        for size in 1...bytes.count {
            var decoder = SMTPReplyDecoder()
            var replies: [SMTPReply] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                decoder.append(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]))
                while let reply = try decoder.next() { replies.append(reply) }
            }
            #expect(replies.map(\.code) == [220, 250, 550])
            #expect(replies[0].lines == ["first", "second"])
            #expect(replies[1].enhancedCode == "2.1.0" && replies[0].enhancedCode == nil)
        }
    }

    @Test(
        "what is no reply",
        arguments: ["hello\r\n", "2x0 a\r\n", "220-a\r\n250 b\r\n", "650 a\r\n", "220:a\r\n", "22\r\n"])
    func malformed(text: String) {
        var decoder = SMTPReplyDecoder()
        decoder.append(ByteBuffer(string: text))
        #expect(throws: SkeinError.self) { while try decoder.next() != nil {} }
    }

    @Test("replies without an end are not buffered")
    func endless() {
        var line = SMTPReplyDecoder()
        line.append(ByteBuffer(repeating: 0x32, count: 10_000))
        #expect(throws: SkeinError.self) { _ = try line.next() }
        var lines = SMTPReplyDecoder()
        for _ in 0..<200 { lines.append(ByteBuffer(string: "220-a\r\n")) }
        #expect(throws: SkeinError.self) { _ = try lines.next() }
    }

    @Test("only CR LF ends a line, and dots are doubled, however the bytes are split")
    func dots() {
        let cases = [
            ("", ".\r\n"), ("a", "a\r\n.\r\n"), ("a\r\n", "a\r\n.\r\n"), (".\r\n", "..\r\n.\r\n"),
            ("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"), ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\n.\r\n", "a\r\n..\r\n.\r\n"),
            ("a\r.\r\n", "a\r\n..\r\n.\r\n"), ("\r\r\n", "\r\n\r\n.\r\n"), ("a\r", "a\r\n.\r\n"),
            ("..", "...\r\n.\r\n"),
        ]
        for (text, expected) in cases {
            let bytes = Array(text.utf8)
            for size in 1...max(1, bytes.count) {
                var stuffing = DotStuffing()
                var output = ByteBuffer()
                for start in stride(from: 0, to: bytes.count, by: size) {
                    stuffing.write(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]), to: &output)
                }
                stuffing.end(&output)
                #expect(String(buffer: output) == expected, "\(text.debugDescription) in pieces of \(size)")
            }
        }
    }
}
