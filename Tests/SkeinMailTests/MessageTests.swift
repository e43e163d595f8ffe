import Foundation
import PeerSupport
import SkeinCore
import Testing

@testable import SkeinMail

@Suite("Messages")
struct MessageTests {
    private func text(_ message: MailMessage) throws -> String {
        var number = 0
        let composed = try ComposedMessage(message, now: 1_795_764_810) {
            number += 1
            return "r\(number)"
        }
        var bytes: [UInt8] = []
        try composed.write { bytes += $0 }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("a message of text")
    func plain() throws {
        var message = MailMessage(
            from: "Ada <ada@example.org>", to: ["bob@example.org"], subject: "Hello", text: "Hi\nBob")
        message.unsubscribe = .init(url: "https://example.org/u?1", mailbox: "off@example.org")
        #expect(
            try text(message) == """
                Date: Fri, 27 Nov 2026 07:33:30 +0000\r
                From: Ada <ada@example.org>\r
                To: bob@example.org\r
                Subject: Hello\r
                Message-ID: <6b09324a.r1@example.org>\r
                List-Unsubscribe: <https://example.org/u?1>, <mailto:off@example.org>\r
                List-Unsubscribe-Post: List-Unsubscribe=One-Click\r
                MIME-Version: 1.0\r
                Content-Type: text/plain; charset=utf-8\r
                Content-Transfer-Encoding: 7bit\r
                \r
                Hi\r
                Bob
                """)
    }

    @Test("blind copy recipients are in no field")
    func blind() throws {
        var message = MailMessage(from: "a@x.org", to: [], subject: "s")
        message.bcc = ["secret@x.org", "secret@x.org"]
        let text = try text(message)
        #expect(!text.containsBytes("secret") && text.containsBytes("To: undisclosed-recipients:;"))
        #expect(try ComposedMessage(message).recipients == ["secret@x.org"])
    }

    @Test(
        "addresses",
        arguments: [
            ("ada@example.org", nil, "ada@example.org"), ("Ada L <ada@Example.ORG>", "Ada L", "ada@example.org"),
            ("\"L, \\\"A\\\"\" <a@b.c>", "L, \"A\"", "a@b.c"),
            ("grün@bücher.example", nil, "grün@xn--bcher-kva.example"),
            ("用户@例え.テスト", nil, "用户@xn--r8jz45g.xn--zckzah"), ("a@[127.0.0.1]", nil, "a@[127.0.0.1]"),
            ("a@[IPv6:::1]", nil, "a@[IPv6:::1]"), ("\"a..b\"@x.org", nil, "\"a..b\"@x.org"),
            ("o'neil+tag/x=y@x.org", nil, "o'neil+tag/x=y@x.org"),
            ("<a@b.c>", nil, "a@b.c"),
        ] as [(String, String?, String)])
    func addresses(text: String, name: String?, mailbox: String) {
        let address = MailAddress(text)
        #expect(address.problem == nil && address.name == name && address.mailbox == mailbox)
    }

    @Test(
        "what is no address",
        arguments: [
            "", "a", "@b.c", "a@", "a@b..c", "a b@c.d", "a@b c", "a\r\nb@c.d", "a@c.d\r\nRCPT TO:<x@y>", "a<b@c.d",
            "a>b@c.d", ".a@b.c",
            "a..b@c.d", "a.@b.c", "a@-\u{0}.d", "a@[1.2.3]", "\"a\"b\"@c.d", "a@b>c", "a,b@c.d", "a\u{7F}b@c.d",
            "a@b/c", "x\ny <a@b.c>",
            String(repeating: "a", count: 65) + "@b.c", "a@" + String(repeating: "b.", count: 130) + "c",
        ])
    func noAddresses(text: String) {
        #expect(MailAddress(text).problem != nil)
        #expect(throws: SkeinError.self) {
            _ = try ComposedMessage(MailMessage(from: "a@b.c", to: [MailAddress(text)], subject: ""))
        }
        #expect(throws: SkeinError.self) {
            _ = try ComposedMessage(MailMessage(from: MailAddress(text), to: ["a@b.c"], subject: ""))
        }
    }

    @Test("lists of addresses are split at commas outside of quotation marks")
    func lists() {
        #expect(
            MailAddress.list("a@b.c, \"X, Y\" <x@y.z>,, \"\\\",\" <q@r.s>").map(\.mailbox) == [
                "a@b.c", "x@y.z", "q@r.s",
            ])
    }

    @Test(
        "nothing that an app was given can begin a field or a part",
        arguments: ["\r\nBcc: x@y.z", "\nX: y", "\rX: y", "\u{0}", "a\u{B}b"])
    func injection(poison: String) {
        func refuses(_ change: (inout MailMessage) -> Void) {
            var message = MailMessage(from: "a@b.c", to: ["d@e.f"], subject: "s", html: "h")
            change(&message)
            #expect(throws: SkeinError.self) { _ = try ComposedMessage(message) }
        }
        refuses { $0.subject = "s\(poison)" }
        refuses { $0.from = MailAddress(name: "n\(poison)", "a@b.c") }
        refuses { $0.headers = [("X-A", "v\(poison)")] }
        refuses { $0.headers = [("X-A\(poison)", "v")] }
        refuses { $0.messageID = "a\(poison)@b" }
        refuses { $0.inReplyTo = "a\(poison)@b" }
        refuses { $0.references = ["a\(poison)@b"] }
        refuses { $0.attach([1], as: "n\(poison)") }
        refuses { $0.attach([1], as: "n", type: "a/b\(poison)") }
        refuses { $0.embed([1], as: "id\(poison)", name: "n") }
        refuses { $0.unsubscribe = .init(url: "https://x\(poison)") }
        refuses { $0.unsubscribe = .init(mailbox: "x\(poison)@y.z") }
        refuses { $0.calendar = ("REQUEST\(poison)", "") }
    }

    @Test(
        "fields that a message has by itself cannot be added",
        arguments: ["From", "bcc", "Content-Type", "DKIM-Signature", "", "a b", "a:b"])
    func ownFields(name: String) {
        var message = MailMessage(from: "a@b.c", to: ["d@e.f"], subject: "s")
        message.headers = [(name, "x")]
        #expect(throws: SkeinError.self) { _ = try ComposedMessage(message) }
    }

    @Test("no line is longer than 998 bytes, nor one of a field than 78", arguments: 1...40)
    func lines(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        var message = MailMessage(
            from: MailAddress(name: random.text(random.number(0...200), from: "aé 漢\",.\\😀=?_"), "a@b.c"),
            to: ["d@e.f"],
            subject: random.text(random.number(0...300), from: "abc é漢 😀=?_,"))
        message.cc = (0..<random.number(0...20)).map { MailAddress(name: "Name \($0)", "n\($0)@example.org") }
        message.text = random.text(random.number(0...5000), from: "abcdefgh é\n.\r=")
        message.html = String(repeating: "x", count: random.number(0...3000))
        message.attach([1, 2, 3], as: random.text(random.number(1...150), from: "ab é漢\";'%*") + ".txt")
        let text = try text(message)
        let parts = text.utf8.split(separator: 10, omittingEmptySubsequences: false)
        #expect(parts.allSatisfy { $0.count <= 999 })
        #expect(parts.dropLast().allSatisfy { $0.last == 13 }, "each line ends with CR LF")
        let header = parts.prefix { $0.count > 1 }
        for line in header { #expect(line.count <= 79, "\(String(Substring(line)))") }
        #expect(!header.contains { $0.allSatisfy { $0 == 32 || $0 == 13 } })
        // The parsed message equals the written one.
        let read = ReadMessage(Array(text.utf8))
        #expect(read["subject"].equalsBytes(message.subject))
        #expect(read.parts.last?.name == message.attachments[0].name)
        let expected = TransferEncoding.lines(Array((message.text ?? "").utf8))
        #expect(read.text?.bytes == expected)
    }

    @Test(
        "no text makes a line too long",
        arguments: [
            "a" + String(repeating: " ", count: 1800) + "b",
            String(repeating: "A", count: 800) + ": " + String(repeating: "B", count: 800),
            String(repeating: "x", count: 5000),
        ])
    func longWords(subject: String) throws {
        var message = MailMessage(from: "John Q. Public <a@b.c>", to: ["d@e.f"], subject: subject)
        message.headers = [("X-Own", subject)]
        let text = try text(message)
        #expect(text.utf8.split(separator: 10).allSatisfy { $0.count < 998 })
        #expect(
            ReadMessage(Array(text.utf8))["subject"] == subject
                && text.containsBytes("From: \"John Q. Public\" <a@b.c>"))
    }

    @Test("a body in its relaxed form (RFC 6376, section 3.4.5)")
    func relaxed() {
        // From the RFC: " C \r\nD \t E\r\n\r\n\r\n" becomes " C\r\nD E\r\n".
        var hash = RelaxedBodyHash()
        Array(" C \r\nD \t E\r\n\r\n\r\n".utf8).withUnsafeBytes { hash.append($0) }
        var expected = RelaxedBodyHash()
        Array(" C\r\nD E".utf8).withUnsafeBytes { expected.append($0) }
        #expect(hash.finish() == expected.finish())
        #expect(RelaxedHeader.field(name: "SubJect ", value: " AbC\r\n \t d ") == Array("subject:AbC d".utf8))
        // The hash of an empty body, as RFC 6376 gives it for the relaxed form.
        var empty = RelaxedBodyHash()
        #expect(Data(empty.finish()).base64EncodedString() == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
    }

    @Test("templates insert values, escaped in HTML and unescaped in text")
    func templates() throws {
        let template = try MailTemplate(
            subject: "For {{name}}", text: "Dear {{name}}{{#items}}, {{.}}{{/items}}", html: "<p>{{name}}</p>{{{raw}}}")
        var message = MailMessage(from: "a@b.c", to: ["d@e.f"], subject: "")
        template.fill(&message, with: ["name": "A & <B>", "items": ["x", "y"], "raw": "<br>"])
        #expect(message.subject == "For A & <B>")
        #expect(message.text == "Dear A & <B>, x, y")
        #expect(message.html == "<p>A &amp; &lt;B&gt;</p><br>")
        #expect(throws: SkeinError.self) { _ = try MailTemplate(text: "{{#open}}") }
    }

    @Test("the MIME reader accepts any bytes", arguments: 1...20)
    func reader(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var message = MailMessage(from: "a@b.c", to: ["d@e.f"], subject: "é", text: "é", html: "<b>")
        message.attach([1, 2, 3], as: "é.bin")
        guard let composed = try? ComposedMessage(message) else { return }
        var bytes: [UInt8] = []
        try? composed.write { bytes += $0 }
        for _ in 0..<200 {
            var changed = bytes
            for _ in 0..<random.number(1...20) {
                changed[random.number(0...changed.count - 1)] = UInt8(random.number(0...255))
            }
            #expect(ReadMessage(changed).parts.count <= 200)
        }
    }
}

@Suite("Servers for mail as URLs")
struct MailRelayTests {
    @Test("the meaning of URLs")
    func urls() throws {
        let plain = try MailRelay("smtp://mail.example.org")
        #expect(plain.target == .server(.host("mail.example.org", port: 25), isLMTP: false))
        #expect(plain.tls == .opportunistic && plain.tlsConfiguration.verify == .none)
        let secret = try MailRelay("smtp://us%40er:p%3Ass@mail.example.org")
        #expect(secret.target == .server(.host("mail.example.org", port: 587), isLMTP: false))
        #expect(secret.credentials == .password(user: "us@er", password: "p:ss"))
        #expect(secret.tls == .required && secret.tlsConfiguration.verify == .full)
        #expect(secret.description == "smtp://us%40er@mail.example.org")
        let implicit = try MailRelay("smtps://u:p@[::1]:4650?verify=full&auth=login")
        #expect(implicit.target == .server(.host("::1", port: 4650), isLMTP: false))
        #expect(implicit.usesTLSAtOnce && implicit.mechanism == .login && implicit.tlsConfiguration.verify == .full)
        #expect(try MailRelay("lmtp+unix:///run/lmtp").target == .server(.unix(path: "/run/lmtp"), isLMTP: true))
        #expect(try MailRelay("file:///tmp/out").target == .folder("/tmp/out"))
        #expect(try MailRelay("smtp://u:t@h?auth=xoauth2").credentials == .token(user: "u", token: "t"))
        #expect(try MailRelay("smtp://u:p@127.0.0.1").tls == .opportunistic)
    }

    @Test("required authentication is not skipped, and no password is shown")
    func proofs() throws {
        for url in ["smtp://mail.example.org?verify=full", "smtp://mail.example.org?ca=/x.pem"] {
            #expect(try MailRelay(url).tls == .required)
        }
        #expect(try MailRelay("smtp://u:p@mail.example.org?tls=opportunistic").tlsConfiguration.verify == .full)
        for url in ["smtp://user:se?cret@host", "smtp://user:secret@host?x=secret", "smtp://user:se@cret@host:0"] {
            let error = #expect(throws: SkeinError.self) { _ = try MailRelay(url) }
            #expect(error?.message.contains("cret") == false, "\(error?.message ?? "")")
        }
    }

    @Test(
        "what is no server",
        arguments: [
            "mail.example.org", "http://x", "smtp://", "smtp://u@x", "smtp://:p@x", "smtp://x:0", "smtp://x:70000",
            "smtp://x?tls=maybe",
            "smtp://x?auth=NTLM", "file://x", "smtp://x y", "smtp://a..b", "smtp://x?name=a%0Ab",
        ])
    func noServers(url: String) { #expect(throws: SkeinError.self) { _ = try MailRelay(url) } }
}
