import Foundation
import PeerSupport
import SkeinCore
import SkeinMail
import Testing

/// Messages as Python's email package, mail-parser, dkimpy and opendkim read them.
@Suite("Mail: messages", .serialized, .inTurn, .timeLimit(.minutes(3)))
struct MailComposeTests {
    private static let names = [
        "Ada Lovelace", "Jürgen Müller", "Ελένη Παπαδοπούλου", "Наталья Иванова", "山田 太郎", "김민수", "محمد علي", "דוד כהן",
        "नरेन्द्र शर्मा",
        "สมชาย ใจดี", "Lovelace, Ada \"Countess\"", "O'Neil (Bob)", "a=?b?=",
        "Zoë\u{308} 😀🧶 wide",
    ]
    private static let words = [
        "plain", "ünïcödé", "漢字かな交じり文", "😀🧶", "=?utf-8?q?fake?=", "a,b;c", "\"quoted\"", "tail ", "under_score",
        "x" + String(repeating: "y", count: 90),
        "пример", "<tag>", "100%",
    ]

    private struct Record: Encodable {
        var subject, text, html: String?
        var from, to, cc: [[String]]
        var replyTo: [[String]]
        var headers: [[String]]
        var files: [[String]]
        var signatures: Int

        enum CodingKeys: String, CodingKey {
            case subject, text, html, from, to, cc, headers, files, signatures
            case replyTo = "reply-to"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(subject, forKey: .subject)
            try container.encode(text, forKey: .text)
            try container.encode(html, forKey: .html)
            try container.encode(from, forKey: .from)
            try container.encode(to, forKey: .to)
            try container.encode(cc, forKey: .cc)
            try container.encode(replyTo, forKey: .replyTo)
            try container.encode(headers, forKey: .headers)
            try container.encode(files, forKey: .files)
            try container.encode(signatures, forKey: .signatures)
        }
    }

    private struct Records: Encodable {
        let keys: [String: String]
        let messages: [Record]
    }

    private static func pair(_ address: MailAddress) -> [String] { [address.name ?? "", address.mailbox] }

    private func make(_ random: inout SeededGenerator) -> (MailMessage, Record) {
        func phrase(_ random: inout SeededGenerator) -> String {
            let text = (0..<random.number(1...12)).map { _ in random.pick(Self.words) }.joined(separator: " ")
            return String(text.trimmingBlanks())
        }
        func address(_ random: inout SeededGenerator, _ domain: String = "example.org") -> MailAddress {
            let name = random.number(0...3) == 0 ? nil : random.pick(Self.names).trimmingCharacters(in: .whitespaces)
            return MailAddress(name: name, "u\(random.number(0...999))@\(domain)")
        }
        func body(_ random: inout SeededGenerator, html: Bool) -> String {
            var text = html ? "<p>" : ""
            for _ in 0..<random.number(0...30) {
                switch random.number(0...6) {
                case 0: text += "\n"
                case 1: text += ".\n"
                case 2: text += "From the start\n.leading dot\n"
                case 3: text += String(repeating: random.pick(Self.words), count: random.number(1...60)) + "\n"
                case 4: text += "blank at the end \t\n"
                case 5: text += "smuggled\n.\nMAIL FROM:<x@y>\n"
                default: text += phrase(&random) + "\n"
                }
            }
            return text
        }
        var message = MailMessage(
            from: address(&random), to: (0..<random.number(1...5)).map { _ in address(&random, "bücher.example") },
            subject: phrase(&random))
        message.cc = (0..<random.number(0...2)).map { _ in address(&random) }
        message.replyTo = (0..<random.number(0...1)).map { _ in address(&random) }
        if random.number(0...9) > 0 { message.text = body(&random, html: false) }
        if random.number(0...2) > 0 || message.text == nil { message.html = body(&random, html: true) }
        message.headers = (0..<random.number(0...2)).map { ("X-Own-\($0)", phrase(&random)) }
        var files: [[String]] = []
        for number in 0..<random.number(0...3) {
            let name = random.pick([
                "a.txt", "grüße.bin", "报告 \(number).pdf", "x;y'z\"%.dat",
                String(repeating: "long ", count: 20) + "é.bin",
            ])
            let bytes = random.bytes(random.number(0...3000))
            let isInline = message.html != nil && random.number(0...2) == 0
            let id = isInline ? "image\(number)@x" : ""
            if isInline {
                message.embed(bytes, as: id, name: name, type: "image/png")
            } else {
                message.attach(bytes, as: name, type: "application/octet-stream")
            }
            files.append([name, id, Data(bytes).base64EncodedString()])
        }
        let record = Record(
            subject: message.subject, text: message.text, html: message.html, from: [Self.pair(message.from)],
            to: message.to.map(Self.pair), cc: message.cc.map(Self.pair), replyTo: message.replyTo.map(Self.pair),
            headers: message.headers.map { [$0.name, $0.value] }, files: files, signatures: 2)
        return (message, record)
    }

    /// Keys of both kinds, created by OpenSSL.
    private static func keys() async throws -> [DKIMKey] {
        let (rsa, ed25519) = (TestFolder.path("rsa.pem"), TestFolder.path("ed25519.pem"))
        for arguments in [
            ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", rsa],
            ["genpkey", "-algorithm", "ed25519", "-out", ed25519],
        ] {
            let made = try await runToEnd("openssl", arguments)
            #expect(made.code == 0, "\(made.errors)")
        }
        return [
            try DKIMKey(domain: "example.org", selector: "rsa", file: rsa),
            try DKIMKey(domain: "example.org", selector: "ed", file: ed25519),
        ]
    }

    @Test("300 messages of all kinds are parsed back unchanged, and their signatures verify")
    func readers() async throws {
        let keys = try await Self.keys()
        let spool = try MailSpool(TestFolder.path("spool"), keys: keys)
        let folder = TestFolder.path("messages")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var random = SeededGenerator(seed: 20_261_127)
        var records: [Record] = []
        for number in 0..<300 {
            let (message, record) = make(&random)
            records.append(record)
            let id = try spool.store(message)
            let (_, file) = try #require(try spool.open(id))
            var bytes: [UInt8] = []
            try file.eachPiece { bytes += $0 }
            try Data(bytes).write(to: URL(filePath: "\(folder)/\(number).eml"))
        }
        let names = Dictionary(uniqueKeysWithValues: keys.map { ("\($0.selector)._domainkey.\($0.domain)", $0.record) })
        let document = try JSONEncoder().encode(Records(keys: names, messages: records))
        let path = try TestFolder.write(String(decoding: document, as: UTF8.self), as: "records.json")
        let read = try await runToEnd(Peers.python(), ["\(Peers.scripts)/mail_reader.py", folder, path])
        #expect(read.code == 0, "\(read.output) \(read.errors)")
        #expect(read.output.contains("300 messages, 600 signatures, 0 problems"), "\(read.output)")
        try await opendkim(folder, keys[0])
    }

    /// opendkim supports RSA only; it reads the messages in its test mode.
    private func opendkim(_ folder: String, _ key: DKIMKey) async throws {
        let table = try TestFolder.write("\(key.selector)._domainkey.\(key.domain) \(key.record)\n", as: "keys")
        let configuration = try TestFolder.write(
            "Mode v\nTestPublicKeys \(table)\nSyslog no\nAlwaysAddARHeader yes\nAuthservID test\n", as: "opendkim.conf")
        for number in stride(from: 0, to: 300, by: 6) {
            let path = "\(folder)/\(number).eml"
            let read = try await runToEnd("opendkim", ["-x", configuration, "-t", path, "-vv"])
            let said = read.output + read.errors
            #expect(said.contains("dkim=pass"), "\(number): \(said.suffix(800))")
        }
    }
}
