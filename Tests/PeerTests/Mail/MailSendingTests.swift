import Foundation
import PeerSupport
import SkeinCore
import SkeinMail
import Testing

/// The SMTP client with aiosmtpd, postfix and its smtp-sink, and our sink with smtp-source and swaks.
@Suite("Mail: sending", .serialized, .inTurn, .timeLimit(.minutes(3)))
struct MailSendingTests {
    private static let plain = SharedPeer { try await MailServer() }
    private static let secured = SharedPeer {
        try await MailServer("--tls", "\(try await Certificates.shared.folder())/good.pem")
    }
    private static let guarded = SharedPeer { try await MailServer("--auth") }

    private static func message(_ to: MailAddress..., text: String = "text") -> MailMessage {
        MailMessage(from: "a@example.org", to: to, subject: "subject", text: text)
    }

    private static func send(_ message: MailMessage, _ url: String) async throws -> [String] {
        try await MailSender(url).send(message).map { sent in
            switch sent.result {
            case .delivered: "delivered"
            case .deferred(let reply): "deferred \(reply.code)"
            case .refused(let reply): "refused \(reply.code)"
            }
        }
    }

    @Test("each recipient has its own result")
    func partial() async throws {
        let server = try await Self.plain.get()
        let results = try await Self.send(
            Self.message("ok-1@x.test", "never-1@x.test", "later-1@x.test", "ok-2@x.test"), server.url)
        #expect(results == ["delivered", "refused 550", "deferred 450", "delivered"])
        let kept = try #require(server.kept.last { $0.to.contains("ok-1@x.test") })
        #expect(kept.to == ["ok-1@x.test", "ok-2@x.test"] && kept.from == "a@example.org")
    }

    @Test("no recipient is accepted; the message is too large; the server disconnects")
    func failures() async throws {
        let server = try await Self.plain.get()
        #expect(try await Self.send(Self.message("never-2@x.test"), server.url) == ["refused 550"])
        #expect(try await Self.send(Self.message("full-1@x.test"), server.url) == ["deferred 452"])
        #expect(try await Self.send(Self.message("content-1@x.test"), server.url) == ["refused 554"])
        #expect(try await Self.send(Self.message("drop-1@x.test"), server.url) == ["deferred 451"])
        #expect(try await Self.send(Self.message("busy-1@x.test"), server.url) == ["deferred 421"])
        let error = await #expect(throws: SkeinError.self) {
            try await Self.send(Self.message("ok@x.test"), "smtp://127.0.0.1:1")
        }
        #expect(error?.code == .connectionFailed)
    }

    @Test(
        "a content with every kind of line is one message, and arrives as it is",
        arguments: ["\n.\n", "\r\n.\r\n", "\r.\r\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r\n.\n"])
    func smuggling(sequence: String) async throws {
        let server = try await Self.plain.get()
        let number = UUID().uuidString
        let evil =
            "first\(sequence)MAIL FROM:<evil@x.test>\r\nRCPT TO:<ok@y.test>\r\nDATA\r\nsecond \(number)\(sequence)"
        // As text, and as a message composed by another program.
        _ = try await Self.send(Self.message("ok-s@x.test", text: evil), server.url + "?chunking=no")
        let spool = try MailSpool(TestFolder.path("spool"))
        _ = try spool.store(
            Array("Subject: raw\(sequence)X: y\r\n\r\n\(evil)".utf8), from: "a@example.org", to: ["ok-s@x.test"])
        try await MailAgentTests.deliver(spool, to: server) {
            try await wait("both") { server.kept.filter { $0.text.contains(number) }.count >= 2 }
        }
        let kept = server.kept.filter { $0.text.contains(number) }
        #expect(kept.count == 2)
        for mail in kept {
            #expect(mail.from == "a@example.org" && mail.to == ["ok-s@x.test"])
            let rest = mail.bytes.split(separator: 10, omittingEmptySubsequences: false).dropLast()
            #expect(
                rest.allSatisfy { $0.last == 13 && !$0.dropLast().contains(13) },
                "each line ends with CR LF, and none holds CR")
        }
        #expect(!server.kept.contains { $0.from == "evil@x.test" })
    }

    @Test("STARTTLS is used if offered, and its certificate is verified if required")
    func startTLS() async throws {
        let server = try await Self.secured.get()
        let folder = try await Certificates.shared.folder()
        #expect(try await Self.send(Self.message("ok-t1@x.test"), server.url) == ["delivered"])
        #expect(server.kept.last { $0.to == ["ok-t1@x.test"] }?.tls == true)
        #expect(
            try await Self.send(Self.message("ok-t2@x.test"), server.url + "?tls=required&ca=\(folder)/ca.pem") == [
                "delivered"
            ])
        #expect(try await Self.send(Self.message("ok-t3@x.test"), server.url + "?tls=none") == ["delivered"])
        #expect(server.kept.last { $0.to == ["ok-t3@x.test"] }?.tls == false)
        for url in [
            server.url + "?tls=required",
            server.url + "?tls=opportunistic&verify=full&ca=\(folder)/self.pem&tls=required",
        ] {
            let error = await #expect(throws: SkeinError.self) { try await Self.send(Self.message("ok@x.test"), url) }
            #expect(error?.code == .tlsHandshakeFailed, "\(url)")
        }
        let plain = try await Self.plain.get()
        let error = await #expect(throws: SkeinError.self) {
            try await Self.send(Self.message("ok@x.test"), plain.url + "?tls=required")
        }
        #expect(error?.code == .tlsHandshakeFailed)
    }

    @Test("every mechanism of AUTH", arguments: ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"])
    func authentication(mechanism: String) async throws {
        let server = try await Self.guarded.get()
        let recipient = MailAddress("ok-\(mechanism.lowercased())@x.test")
        let secret = mechanism == "XOAUTH2" ? "token" : "secret"
        #expect(
            try await Self.send(
                Self.message(recipient), "smtp://ada:\(secret)@127.0.0.1:\(server.port)?auth=\(mechanism)") == [
                    "delivered"
                ])
        #expect(server.kept.last { $0.to == [recipient.mailbox] }?.login == "ada")
        let error = await #expect(throws: SkeinError.self) {
            try await Self.send(Self.message(recipient), "smtp://ada:wrong@127.0.0.1:\(server.port)?auth=\(mechanism)")
        }
        #expect(error?.code == .unknownAuthentication)
    }

    @Test("non-ASCII addresses are sent only to servers that support them")
    func utf8() async throws {
        let server = try await Self.plain.get()
        #expect(try await Self.send(Self.message("ok-grün@bücher.test"), server.url) == ["delivered"])
        let kept = try #require(server.kept.last)
        #expect(kept.to == ["ok-grün@xn--bcher-kva.test"] && kept.options?.contains("SMTPUTF8") == true)
    }

    @Test("LMTP has a reply for each recipient")
    func lmtp() async throws {
        let server = try await MailServer("--lmtp")
        let results = try await Self.send(Self.message("ok@x.test", "never@x.test"), "lmtp://127.0.0.1:\(server.port)")
        #expect(results == ["delivered", "refused 550"])
        await server.process.stop()
    }

    @Test("postfix accepts messages: pipelining, TLS, chunks, sizes, non-ASCII addresses")
    func postfix() async throws {
        let postfix = try await Postfix.shared.get()
        let url = "smtp://localhost:\(postfix.port)"
        var large = Self.message("ada@sink.test", text: String(repeating: "a line of text\n.dot\n", count: 20_000))
        large.attach([UInt8](repeating: 7, count: 3 << 20), as: "a.bin")
        for (number, options) in ["", "?chunking=no", "?tls=required&verify=none", "?tls=none"].enumerated() {
            #expect(
                try await Self.send(Self.message("ada@sink.test", text: "small \(number)"), url + options) == [
                    "delivered"
                ], "\(options)")
            #expect(try await Self.send(large, url + options) == ["delivered"], "\(options)")
        }
        #expect(try await Self.send(Self.message("grün@sink.test"), url) == ["delivered"])
        #expect(try await Self.send(Self.message("ada@elsewhere.test"), url) == ["refused 554"])
        large.attach([UInt8](repeating: 7, count: 30 << 20), as: "b.bin")
        #expect(try await Self.send(large, url) == ["refused 552"])
        let mails = try await postfix.untilKept(9)
        #expect(mails.filter { $0.contains(".dot") }.count == 4 && !mails.contains { $0.contains("..dot") })
    }

    @Test("smtp-source and swaks deliver to the sink, and the page shows it")
    func sink() async throws {
        let (port, page) = (try await Ports.free(), try await Ports.free())
        let folder = TestFolder.path("sink")
        let sink = try PeerProcess(
            CommandTests.skein, ["mail", "sink", "--listen", "\(port)", "--page", "\(page)", "--folder", folder],
            log: TestFolder.path("sink.log"))
        _ = try await sink.untilPrinted("web page")
        let source = try await runToEnd(
            "smtp-source",
            ["-m", "500", "-s", "10", "-l", "5000", "-f", "a@x.test", "-t", "b@y.test", "127.0.0.1:\(port)"])
        #expect(source.code == 0, "\(source.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 500)
        let attachment = try TestFolder.write("<script>alert(1)</script>", as: "evil.html")
        let swaks = try await runToEnd(
            "swaks",
            [
                "--server", "127.0.0.1:\(port)", "--from", "a@x.test", "--to", "b@y.test,c@y.test", "--header",
                "Subject: <b>evil</b>", "--attach-type", "text/html", "--attach-body",
                "<script>alert(1)</script><p>shown",
                "--attach", attachment, "--auth", "PLAIN", "--auth-user", "u", "--auth-password", "p",
            ])
        #expect(swaks.code == 0, "\(swaks.output) \(swaks.errors)")
        func get(_ path: String) async throws -> String {
            try await runToEnd("curl", ["-si", "-H", "Accept: text/html", "http://127.0.0.1:\(page)\(path)"]).output
        }
        let list = try await get("/")
        #expect(list.contains("<a href=\"/messages/501\">&lt;b&gt;evil&lt;/b&gt;</a>") && !list.contains("<b>evil"))
        #expect(
            try await runToEnd("curl", ["-si", "-H", "Host: evil.test", "http://127.0.0.1:\(page)/messages"]).output
                .contains("403"))
        let shown = try await get("/messages/501")
        #expect(shown.contains("<iframe sandbox src=") && !shown.contains("<script>"))
        let frame = try await get("/messages/501/html")
        #expect(frame.contains("sandbox; default-src 'none'") && frame.contains("<script>"))
        #expect(try await get("/messages/501/parts/1").contains("attachment; filename="))
        #expect(try await get("/messages/501.eml").contains("message/rfc822"))
        #expect(try await get("/messages").contains("\"subject\":\"<b>evil</b>\""))
        #expect(await sink.stop() == 0)
    }

    @Test("the command prints the result for each recipient, and stores messages for later")
    func command() async throws {
        let server = try await Self.plain.get()
        let spool = TestFolder.path("spool")
        let sent = try await runToEnd(
            CommandTests.skein,
            [
                "mail", "send", "--from", "a@x.test", "--to", "ok-c@x.test,never-c@x.test", "--subject", "é", "--text",
                "-", "--smtp", server.url,
            ],
            input: "from standard input")
        #expect(
            sent.code == 1 && sent.output.contains("ok-c@x.test: sent: 250")
                && sent.output.contains("never-c@x.test: refused: 550"))
        #expect(server.kept.last?.text.contains("from standard input") == true)
        let stored = try await runToEnd(
            CommandTests.skein,
            ["mail", "send", "--from", "a@x.test", "--to", "b@x.test", "--spool", spool, "--in", "3600"])
        #expect(stored.code == 0 && stored.errors.contains("No agent"))
        let id = stored.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let queue = try await runToEnd(CommandTests.skein, ["mail", "queue", "--spool", spool])
        #expect(queue.output.contains(id) && queue.output.contains("1 messages"))
        let shown = try await runToEnd(CommandTests.skein, ["mail", "show", id, "--spool", spool])
        #expect(shown.output.contains("To:       b@x.test: pending"))
        let message = try await runToEnd(CommandTests.skein, ["mail", "show", id, "--message", "--spool", spool])
        #expect(message.output.hasPrefix("Date: ") && message.output.contains("\r\n\r\n"))
        for (words, state) in [("hold", "hold"), ("retry", "new")] {
            #expect(try await runToEnd(CommandTests.skein, ["mail", words, id, "--spool", spool]).code == 0)
            let json = try await runToEnd(CommandTests.skein, ["mail", "show", id, "--json", "--spool", spool])
            #expect(json.output.contains("\"state\":\"\(state)\""))
        }
        #expect(try await runToEnd(CommandTests.skein, ["mail", "delete", id, "--spool", spool]).code == 0)
        #expect(try await runToEnd(CommandTests.skein, ["mail", "delete", id, "--spool", spool]).code == 1)
        for wrong in [
            ["mail", "send"], ["mail", "send", "--to", "a@b.c", "--smtp", "smtp://x", "--key", "k"],
            ["mail", "show", "zz"],
            ["mail", "agent", "run", "--concurrency", "0"], ["mail", "sink", "--listen", "x"], ["mail", "delete"],
        ] {
            #expect(
                try await runToEnd(
                    CommandTests.skein,
                    wrong + (wrong.contains("sink") || wrong.contains("--smtp") ? [] : ["--spool", spool])
                ).code == 2, "\(wrong)")
        }
        let bad = try await runToEnd(
            CommandTests.skein, ["mail", "send", "--from", "a@x.test", "--to", "no address", "--spool", spool])
        #expect(bad.code == 2 && bad.errors.contains("is not an address"))
    }
}
