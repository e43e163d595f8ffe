import Foundation
import NIOCore
import Testing

@testable import SkeinTransport

@Suite("DNS names and messages")
struct DNSTests {
    @Test(
        "a name as people write it",
        arguments: [
            ("Example.ORG", "example.org"), ("example.org.", "example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"), ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("münchen.de", "xn--mnchen-3ya.de"), ("例え.テスト", "xn--r8jz45g.xn--zckzah"), ("a_b.c", "a_b.c"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            // UTS 46: full-width and compatibility letters, the full stops of other scripts, ignored characters.
            ("ＥＸＡＭＰＬＥ.org", "example.org"), ("Ⅳ.example", "iv.example"), ("例え。jp", "xn--r8jz45g.jp"),
            ("a\u{AD}b.example", "ab.example"), ("faß.de", "xn--fa-hia.de"), ("ａ．ｂ", "a.b"), ("☃.net", "xn--n3h.net"),
        ])
    func names(text: String, expected: String) { #expect(DNSName(text)?.text == expected) }

    @Test(
        "what is no name",
        arguments: [
            "", ".", "a..b", ".a", "a b", "℀.de", "a\u{200D}b.de", "ü b.de", "\u{301}a.de",
            String(repeating: "a", count: 64),
            Array(repeating: "abcdefgh", count: 32).joined(separator: "."),
        ])
    func noNames(text: String) { #expect(DNSName(text) == nil) }

    /// A response: header, question, then records as given.
    private func response(
        _ question: DNSQuestion, flags: UInt16 = 0x8180,
        answers: [(name: [UInt8], type: UInt16, ttl: UInt32, data: [UInt8])],
        authorities: Int = 0
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(
            UInt16(7), flags, UInt16(1), UInt16(answers.count - authorities), UInt16(authorities), UInt16(0))
        question.name.write(to: &buffer)
        buffer.writeMultipleIntegers(question.type.rawValue, UInt16(1))
        for answer in answers {
            buffer.writeBytes(answer.name)
            buffer.writeMultipleIntegers(answer.type, UInt16(1), answer.ttl, UInt16(answer.data.count))
            buffer.writeBytes(answer.data)
        }
        return buffer
    }

    private func question(_ name: String, _ type: DNSRecordType = .a) throws -> DNSQuestion {
        DNSQuestion(try #require(DNSName(name)), type)
    }

    @Test("a query is encoded as in RFC 1035 and RFC 6891")
    func asked() throws {
        let plain = try question("a.bc").message(id: 0x0102, extended: false)
        #expect(
            Array(plain.readableBytesView) == [1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 2, 98, 99, 0, 0, 1, 0, 1])
        let extended = try question("a.bc", .aaaa).message(id: 0x0102, extended: true)
        #expect(Array(extended.readableBytesView.suffix(15)) == [0, 28, 0, 1, 0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0])
    }

    @Test("aliases are followed through compressed names, and the shortest TTL applies")
    func aliases() throws {
        let question = try question("www.a")
        // www.a → [4]b.a (pointing at "a" in the question) → 1.2.3.4 and 5.6.7.8
        let bytes = response(
            question,
            answers: [
                ([0xC0, 12], 5, 600, [1, 98, 0xC0, 16]), ([1, 98, 0xC0, 16], 1, 30, [1, 2, 3, 4]),
                ([1, 66, 0xC0, 16], 1, 60, [5, 6, 7, 8]), ([0xC0, 12], 28, 1, Array(repeating: 1, count: 16)),
            ])
        let message = try DNSResponse(bytes)
        #expect(message.question == question)
        #expect(
            message.answer(to: question)
                == .records([.address([1, 2, 3, 4]), .address([5, 6, 7, 8])], timeToLive: 30))
        // Truncated at any place, it is an error and nothing worse.
        for length in 0..<bytes.readableBytes {
            #expect(throws: DNSError.self) { try DNSResponse(bytes.getSlice(at: 0, length: length) ?? ByteBuffer()) }
        }
    }

    @Test("an alias without an address needs another query; loops are refused")
    func circles() throws {
        let question = try question("a")
        let alias = try DNSResponse(response(question, answers: [([0xC0, 12], 5, 9, [1, 98, 0])]))
        #expect(alias.answer(to: question) == .alias(try #require(DNSName("b")), timeToLive: 9))
        let circle = try DNSResponse(
            response(question, answers: [([0xC0, 12], 5, 9, [1, 98, 0]), ([1, 98, 0], 5, 9, [0xC0, 12])]))
        if case .records = circle.answer(to: question) { Issue.record("a circle has no address") }
    }

    @Test("negative responses are cached for the time of the SOA record")
    func negative() throws {
        let question = try question("a")
        let authority: [UInt8] = [0, 0] + Array(repeating: 0, count: 16) + [0, 0, 0, 90]
        let message = try DNSResponse(
            response(question, flags: 0x8183, answers: [([0], 6, 3600, authority)], authorities: 1))
        #expect(message.code == .noSuchName)
        #expect(message.answer(to: question) == .nothing(timeToLive: 90))
    }

    @Test(
        "pointers that go in circles, forwards or out of the message are malformed",
        arguments: [[0xC0, 31], [0xC0, 33], [0xFF, 0xFF], [0x80, 1], [0x40, 1], [0xC0]] as [[UInt8]])
    func pointers(name: [UInt8]) throws {
        let bytes = response(try question("abcdefghijklm"), answers: [(name, 1, 1, [1, 2, 3, 4])])
        #expect(throws: DNSError.self) { try DNSResponse(bytes) }
    }

    @Test("an address of a wrong length, a question, and too many records are refused")
    func refused() throws {
        let question = try question("a")
        #expect(throws: DNSError.malformedRecord) {
            try DNSResponse(response(question, answers: [([0xC0, 12], 1, 1, [1])]))
        }
        #expect(throws: DNSError.notAResponse) { try DNSResponse(question.message(id: 1, extended: false)) }
        var many = response(question, answers: [])
        many.setInteger(UInt16(5000), at: 6)
        #expect(throws: DNSError.tooManyRecords) { try DNSResponse(many) }
    }

    @Test("mutated messages", arguments: [1, 2])
    func fuzz(seed: UInt64) async throws {
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let question = try question("www.example.org")
        let seeds = [
            response(
                question,
                answers: [([0xC0, 12], 5, 600, [1, 98, 0xC0, 16]), ([1, 98, 0xC0, 16], 1, 30, [1, 2, 3, 4])]),
            response(
                question, flags: 0x8183, answers: [([0], 6, 9, [0, 0] + Array(repeating: 1, count: 20))], authorities: 1
            ),
        ]
        let inputs = (ProcessInfo.processInfo.environment["SKEIN_FUZZ"].flatMap { Int($0) } ?? 40_000) / 4
        for number in 0..<inputs {
            if number % 200 == 0 { await Task.yield() }
            var bytes = Array(seeds[number % 2].readableBytesView)
            for _ in 0...random(4) {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = UInt8(random(256))
                case 1: bytes.remove(at: random(bytes.count))
                default: bytes.insert(0xC0, at: random(bytes.count))
                }
            }
            _ = try? DNSResponse(ByteBuffer(bytes: bytes)).answer(to: question)
        }
    }

    @Test("responses are cached until their TTL ends, up to the limit")
    func cache() throws {
        var cache = DNSCache(limit: 8)
        func moment(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }
        for number in 0..<20 {
            cache.keep(.nothing, for: try question("n\(number)"), until: moment(100 + Int64(number)), at: moment(0))
            #expect(cache.count <= 8)
        }
        #expect(cache.find(try question("n19"), at: moment(118)) == .nothing)
        #expect(cache.find(try question("n19"), at: moment(119)) == nil)
        #expect(cache.find(try question("n0"), at: moment(0)) == nil)
    }

    @Test("the system's files are parsed, with comments and options")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "skein-dns-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let resolver = folder.appending(path: "resolv.conf").path
        try """
        # a comment
        nameserver 192.0.2.1
        nameserver 2001:db8::1 ; another
        search a.example b.example
        options ndots:2 timeout:3 attempts:4 rotate
        """.write(toFile: resolver, atomically: true, encoding: .utf8)
        let configuration = DNSConfiguration(resolverFile: resolver)
        #expect(configuration.servers == ["192.0.2.1", "2001:db8::1"])
        #expect(configuration.searchDomains == ["a.example", "b.example"])
        #expect(configuration.dots == 2 && configuration.timeout == .seconds(3) && configuration.attempts == 4)
        let hosts = folder.appending(path: "hosts").path
        try "192.0.2.7 One one.example # two\n::1 one\nnonsense three\n".write(
            toFile: hosts, atomically: true, encoding: .utf8)
        let file = HostsFile(hosts, adding: ["added": ["192.0.2.9"]])
        #expect(
            file.addresses(try #require(DNSName("ONE"))) == [[192, 0, 2, 7], Array(repeating: 0, count: 15) + [1]])
        #expect(file.addresses(try #require(DNSName("added"))) == [[192, 0, 2, 9]])
        #expect(file.addresses(try #require(DNSName("two"))) == nil)
        #expect(file.addresses(try #require(DNSName("any.localhost")))?.count == 2)
    }
}
