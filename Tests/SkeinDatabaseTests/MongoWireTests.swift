import Crypto
import NIOCore
import SkeinCore
import SkeinTransport
import Testing

@testable import SkeinMongo

@Suite("MongoDB wire")
struct MongoWireTests {
    private static func message(
        compressor: MongoCompressor? = nil, checksum: Bool = false, responseTo: Int32 = 0
    ) -> ByteBuffer {
        var output = ByteBuffer()
        let body = MongoBody(
            document: ["find": "posts", "text": .string(String(repeating: "x", count: 500))], database: "blog",
            additions: ["a": 1], sequence: ("documents", [["b": 1], ["b": 2]]))
        MongoWriter.write(body, id: 7, compressor: compressor, checksum: checksum, into: &output)
        return output
    }

    @Test(
        "a message is the same behind its writer and its reader, cut at every place",
        arguments: [nil, .zlib, .zstd] as [MongoCompressor?], [false, true])
    func roundTrip(compressor: MongoCompressor?, checksum: Bool) throws {
        let bytes = Array(Self.message(compressor: compressor, checksum: checksum).readableBytesView)
        if compressor != nil { #expect(bytes.count < 300) }
        for cut in 0...bytes.count {
            var decoder = MongoDecoder()
            var replies: [MongoReply] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                decoder.append(ByteBuffer(bytes: part))
                while let reply = try decoder.next() { replies.append(reply) }
            }
            let reply = try #require(replies.first)
            #expect(replies.count == 1 && reply.requestID == 7)
            #expect(reply.document.keys == ["find", "text", "$db", "a", "documents"])
            #expect(reply.document["documents"] == [["b": 1], ["b": 2]])
        }
    }

    @Test("the checksum is CRC-32C")
    func checksum() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum(Array("".utf8)) == 0)
    }

    private static func frame(
        _ body: [UInt8], opcode: Int32 = 2013, length: Int32? = nil
    ) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(length ?? Int32(body.count + 16), 1, 1, opcode, endianness: .little)
        bytes.writeBytes(body)
        return bytes
    }

    @Test(
        "what is no message is refused",
        arguments: [
            ("a message of 20 bytes", frame([], length: 20)), ("a message of 1 GiB", frame([], length: 1 << 30)),
            ("a negative length", frame([], length: -1)),
            ("another kind", frame([0, 0, 0, 0, 0, 5, 0, 0, 0, 0], opcode: 1)),
            ("unknown flags", frame([8, 0, 0, 0, 0, 5, 0, 0, 0, 0])),
            ("no document", frame([0, 0, 0, 0, 1, 6, 0, 0, 0, 97, 0])),
            ("two documents", frame([0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0])),
            ("a section of kind 2", frame([0, 0, 0, 0, 2, 5, 0, 0, 0, 0])),
            ("a document that is cut", frame([0, 0, 0, 0, 0, 9, 0, 0, 0, 0])),
            ("a malformed document", frame([0, 0, 0, 0, 0, 5, 0, 0, 0, 1])),
            ("a wrong checksum", frame([1, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4])),
            ("a sequence over the end", frame([0, 0, 0, 0, 1, 99, 0, 0, 0, 97, 0])),
            ("a sequence without a name", frame([0, 0, 0, 0, 1, 5, 0, 0, 0, 97])),
            ("a compressor that was not agreed on", frame([0xDD, 7, 0, 0, 5, 0, 0, 0, 1, 1, 2, 3], opcode: 2012)),
            ("a compressed message of 1 GiB", frame([0xDD, 7, 0, 0, 0, 0, 0, 0x40, 2, 1, 2, 3], opcode: 2012)),
            ("malformed zlib", frame([0xDD, 7, 0, 0, 9, 0, 0, 0, 2, 1, 2, 3], opcode: 2012)),
            ("malformed zstd", frame([0xDD, 7, 0, 0, 9, 0, 0, 0, 3, 1, 2, 3], opcode: 2012)),
            ("a compressed OP_QUERY", frame([0xD4, 7, 0, 0, 9, 0, 0, 0, 2, 1, 2, 3], opcode: 2012)),
        ])
    func refused(what: String, bytes: ByteBuffer) {
        #expect(throws: MongoProtocolError.self, "\(what)") {
            var decoder = MongoDecoder()
            decoder.append(bytes)
            _ = try decoder.next()
        }
    }

    @Test("mutated messages are refused or parsed, without a crash")
    func fuzz() {
        let seeds = [
            Self.message(), Self.message(checksum: true), Self.message(compressor: .zlib),
            Self.message(compressor: .zstd),
        ].map { Array($0.readableBytesView) }
        for number in 0..<fuzzInputs {
            var input = seeds[number % seeds.count]
            for _ in 0..<Int.random(in: 1...6) {
                let place = Int.random(in: 0..<input.count)
                if Bool.random() { input[place] = .random(in: 0...255) } else { input.remove(at: place) }
            }
            var decoder = MongoDecoder()
            decoder.append(ByteBuffer(bytes: input))
            do { while let reply = try decoder.next() { _ = reply.document.description } } catch {}
        }
    }

    // MARK: The handshake

    private static func options(_ text: String) throws -> MongoConfiguration { try MongoConfiguration(text) }
    private static let hello: Document = ["ok": 1, "isWritablePrimary": true, "maxWireVersion": 17]

    @Test("a server without hello gets the legacy handshake")
    func oldServer() throws {
        var handshake = MongoHandshake(try Self.options("h"))
        #expect(try handshake.begin().keys.first == "hello")
        guard
            case .send(let again, "admin") = try handshake.receive(["ok": 0, "code": 59, "errmsg": "no such command"])
        else {
            Issue.record("the greeting was not said once more")
            return
        }
        #expect(again.keys.first == "isMaster" && again["helloOk"] == true && !again.contains("hello"))
        guard case .ready = try handshake.receive(["ok": 1, "ismaster": true, "maxWireVersion": 6]) else {
            Issue.record("it is not ready")
            return
        }
    }

    @Test(
        "servers that cannot be talked to are told apart",
        arguments: [
            (["ok": 1, "maxWireVersion": 5], "MongoDB 3.6"),
            (["ok": 1, "maxWireVersion": 99, "minWireVersion": 90], "version 90"),
            (["ok": 0, "code": 1, "errmsg": "out of order"], "out of order"),
        ] as [(Document, String)])
    func unfit(reply: Document, words: String) throws {
        var handshake = MongoHandshake(try Self.options("h"))
        _ = try handshake.begin()
        let error = #expect(throws: SkeinError.self) { try handshake.receive(reply) }
        #expect(error?.message.contains(words) == true)
    }

    @Test("the published exchanges of SCRAM-SHA-1 and SCRAM-SHA-256; a server that cannot authenticate is refused")
    func scram() throws {
        // The messages that the authentication specification prints, with its nonces.
        var sha1 = SCRAMClient<Insecure.SHA1>(
            user: "user", password: "1c33006ec1ffd90f9cadcbcc0e118200", binding: .unsupported,
            nonce: "fyko+d2lbbFgONRv9qkxdawL")
        #expect(sha1.first == "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
        #expect(
            try sha1.answer(
                "r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,s=rQ9ZY3MntBeuP3E1TDVC4w==,i=10000")
                == "c=biws,r=fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE,p=MC2T8BvbmWRckDw8oWl5IVghwCY=")
        try sha1.verify("v=UMWeI25JD1yNYZRMpZ4VHvhZ9e0=")
        var sha256 = SCRAMClient<SHA256>(
            user: "user", password: "pencil", binding: .unsupported, nonce: "rOprNGfwEbeRWgbNEkqO")
        #expect(
            try sha256.answer("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
                == "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        #expect(throws: SkeinError.self) { try sha256.verify("v=AAAAI25JD1yNYZRMpZ4VHvhZ9e0=") }
    }

    @Test("a server that ends the exchange before it has authenticated is refused")
    func greedy() throws {
        var handshake = MongoHandshake(try Self.options("mongodb://u:p@h/"))
        let first = try handshake.begin()
        let payload = try #require(first["speculativeAuthenticate"]?["payload"]?.bytes)
        let nonce = String(decoding: payload, as: UTF8.self).split(separator: "r=")[1]
        var reply = Self.hello
        let challenge = "r=\(nonce)xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        reply.append(
            "speculativeAuthenticate",
            ["conversationId": 1, "done": true, "payload": .binary(BSONBinary(challenge.utf8))])
        let error = #expect(throws: SkeinError.self) { try handshake.receive(reply) }
        #expect(error?.code == .unknownAuthentication && error?.message.contains("impostor") == true)
    }

    // MARK: Addresses

    @Test("all parts of connection strings")
    func addresses() throws {
        let options = try MongoConfiguration(
            "mongodb://us%40er:p%3Ass@a:1,B,[::1]:3/blog?replicaSet=rs0&tls=true&tlsCAFile=/x&authSource=users&w=majority&wTimeoutMS=5"
                + "&journal=true&readPreference=secondaryPreferred&readPreferenceTags=dc:ny,rack:1&readPreferenceTags=&maxStalenessSeconds=120"
                + "&compressors=snappy,zstd,zlib&appName=x&retryWrites=false&maxPoolSize=5&connectTimeoutMS=1000&readConcernLevel=majority"
        )
        #expect(options.hosts == [.host("a", port: 1), .host("B", port: 27017), .host("::1", port: 3)])
        #expect(options.credentials == MongoCredentials(user: "us@er", password: "p:ss", source: "users"))
        #expect(options.database == "blog" && options.replicaSet == "rs0" && options.tls?.roots == .file("/x"))
        #expect(options.writeConcern?.document == ["w": "majority", "j": true, "wtimeout": 5])
        #expect(options.readPreference.tagSets == [["dc": "ny", "rack": "1"], [:]])
        #expect(options.readPreference.maximumStaleness == .seconds(120) && options.compressors == [.zstd, .zlib])
        #expect(!options.retriesWrites && options.retriesReads && options.pool.maximum == 5)
        #expect(try MongoConfiguration("host/db").database == "db")
        #expect(try MongoConfiguration("mongodb://%2Ftmp%2Fm.sock").hosts == [.unix(path: "/tmp/m.sock")])
        #expect(try MongoConfiguration("mongodb://u:p@h/db").credentials?.source == "db")
        #expect(
            try MongoConfiguration("mongodb://h/?authMechanism=MONGODB-X509&tls=true").credentials?.source
                == "$external")
    }

    @Test(
        "addresses that say nonsense are refused with a reason",
        arguments: [
            ("http://h", "scheme"), ("mongodb+srv://h", "mongodb+srv"), ("mongodb://h:0", "port"),
            ("mongodb://", "host"),
            ("mongodb://h/?w", "no value"), ("mongodb://h/?tls=maybe", "true nor false"),
            ("mongodb://h/?nonsense=1", "not known"),
            ("mongodb://u:p@h/?authMechanism=GSSAPI", "GSSAPI"), ("mongodb://u:p@h/?authMechanism=PLAIN", "tls=true"),
            ("mongodb://a,b/?directConnection=true", "one host"), ("mongodb://h/?readPreferenceTags=a:b", "primary"),
            ("mongodb://h/%zz", "percent"), ("mongodb://h/?maxPoolSize=-1", "number"),
            ("mongodb://h/?compressors=lzma", "lzma"),
        ])
    func nonsense(text: String, word: String) {
        let error = #expect(throws: SkeinError.self) { try MongoConfiguration(text) }
        #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
}
