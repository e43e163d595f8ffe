import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinMongo
import SkeinPostgres
import SkeinRedis
import SkeinSQL
import SkeinSQLite
import Testing

@testable import SkeinAWS
@testable import SkeinEngine
@testable import SkeinHTTP

/// Strings that break out of their quotation marks if they are processed as characters, through all code that writes
/// text for a peer, and back from the peer.
@Suite("Hostile texts", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct HostileTextTests {
    @Test("the table is complete")
    func count() { #expect(HostileStrings.all.count >= 60) }

    private func databases() async throws -> [(SkeinClient, any SQLExecutor)] {
        let (one, two) = (SkeinClient(), SkeinClient())
        return [
            (one, try one.postgres(try await PostgresPeer.shared.get().url(query: "pool_size=1"))),
            (two, try two.sqlite("sqlite::memory:")),
        ]
    }

    @Test("identifiers and values of SQL are not changed")
    func sql() async throws {
        for (skein, db) in try await databases() {
            for text in HostileStrings.all where !text.utf8.contains(0) {
                if !text.isEmpty, text.utf8.count < 63 {
                    let rows = try await db.execute("SELECT 1 AS \(identifier: text)").fetch()
                    #expect(rows.columns[0].equalsBytes(text), "\(text.debugDescription)")
                    let missing = await db.execute("SELECT \(identifier: text + "x") FROM (SELECT 1) t").dispatch()
                    #expect(missing.failure != nil || missing.content.first?.values.first?.string != "secret")
                }
                let value = try await db.execute("SELECT \(text)").one(String.self)
                #expect(value.equalsBytes(text), "\(text.debugDescription)")
            }
            await skein.shutdown()
        }
    }

    @Test("two statements that are equal only by canonical equivalence are distinct", arguments: HostileStrings.twins)
    func statements(pair: (String, String)) async throws {
        for (skein, db) in try await databases() {
            try await db.execute("CREATE TEMP TABLE twins (k text, n int)").dispatch().raiseForStatus()
            for text in [pair.0, pair.1, pair.0] {
                let quoted = text.replacingBytes("'", with: "''")
                let found = try await db.execute(SQL(unsafe: "SELECT '\(quoted)'")).one(String.self)
                #expect(found.equalsBytes(text))
            }
            let rows = try await db.execute("SELECT 1 AS \(identifier: pair.0), 2 AS \(identifier: pair.1)").fetch()
            #expect(rows[0].values.map(\.int) == [1, 2])
            #expect(rows.columns.firstIndex { $0.equalsBytes(pair.1) } == 1)
            await skein.shutdown()
        }
    }

    @Test("arrays, records and patterns of PostgreSQL")
    func postgres() async throws {
        let skein = SkeinClient()
        let db = try skein.postgres(try await PostgresPeer.shared.get().url())
        let texts = HostileStrings.all.filter { !$0.utf8.contains(0) }
        let back = try await db.execute("SELECT \(texts)::text[]").one([String].self)
        #expect(back.count == texts.count && zip(back, texts).allSatisfy { $0.equalsBytes($1) })
        // As text, which is sent where a type is not known.
        let written = SQLValue.array(texts.map { .text($0) }).description
        let read = try await db.execute("SELECT (\(written)::text)::text[]").one([String].self)
        #expect(read.count == texts.count && zip(read, texts).allSatisfy { $0.equalsBytes($1) })
        for text in texts {
            let rows: SQL = "(SELECT \(text + "tail") AS v UNION SELECT 'zzz other') t"
            let found = try await db.execute(Query.select(rows).filter("v", .startswith, text).get("count(*)")).one(
                Int.self)
            #expect(found == (text.isEmpty ? 2 : 1), "\(text.debugDescription)")
        }
        await skein.shutdown()
    }

    @Test("keys, fields, channels and cached responses of Redis")
    func redis() async throws {
        let peer = try await RedisPeer.shared.get()
        let skein = SkeinClient()
        var options = try RedisConfiguration(peer.url("/9"))
        options.cachedAnswers = 1000
        let redis = skein.redis(options)
        for text in HostileStrings.all {
            try await redis.set("key \(text)", text).commit()
            #expect(try await redis.get("key \(text)").fetch(String.self).equalsBytes(text))
            try await redis.hset("hash", text, text).commit()
        }
        let fields = try await redis.hgetall("hash").fetch()
        for text in HostileStrings.all { #expect(fields[text]?.string?.equalsBytes(text) == true) }
        for (one, two) in HostileStrings.twins {
            try await redis.hset("twins", one, 1, two, 2).commit()
            for _ in 0..<2 {
                #expect(try await redis.hget("twins", one).fetch(Int.self) == 1)
                #expect(try await redis.hget("twins", two).fetch(Int.self) == 2)
            }
            let subscriptions = (try await redis.subscribe("c\(one)"), try await redis.subscribe("c\(two)"))
            try await redis.publish("c\(two)", "for two").commit()
            try await redis.publish("c\(one)", "for one").commit()
            var (first, second) = (subscriptions.0.makeAsyncIterator(), subscriptions.1.makeAsyncIterator())
            #expect(try await first.next()?.payload.string == "for one")
            #expect(try await second.next()?.payload.string == "for two")
        }
        await skein.shutdown()
    }

    @Test("names of DynamoDB's attributes and members of documents")
    func documents() throws {
        for (one, two) in HostileStrings.twins {
            var attributes = ExpressionAttributes()
            #expect(attributes.text("\(name: one) = \(one) AND \(name: two) = \(two)") == "#n0 = :v0 AND #n1 = :v1")
            #expect(attributes.allNames?.count == 2 && attributes.allValues?.count == 2)
            var document: Document = [:]
            document.append(two, 1)
            document.append(one, 2)
            document[one] = 3
            #expect(document[one]?.int == 3 && document[two]?.int == 1)
            document[one] = nil
            #expect(document.count == 1 && document[two]?.int == 1)
        }
    }

    @Test("heads of multipart forms, as Python's parser reads them")
    func multipart() async throws {
        let texts = HostileStrings.all.filter { !$0.isEmpty }
        let parts = texts.map {
            FormPart("name", .bytes(ByteBuffer(string: "x"), contentType: "text/plain"), fileName: $0)
        }
        let heads = parts.map { $0.head }
        let input = try TestFolder.write(
            String(decoding: try JSONEncoder().encode(heads), as: UTF8.self), as: "heads.json")
        let lines = try await python(
            """
            import json, sys
            print(json.dumps([[len(head.encode().split(b"\\r\\n")), head.encode().count(b"\\n"), head.encode().count(b'"')] for head in json.load(open(sys.argv[1]))]))
            """, input)
        for (number, text) in texts.enumerated() {
            // Two lines and the empty one, and no quotation marks except the four around two names.
            #expect(lines[number] == .array([.integer(3), .integer(2), .integer(4)]), "\(text.debugDescription)")
        }
    }

    @Test("names of uploaded files contain no folder and no line end")
    func uploads() {
        for text in HostileStrings.all + [
            "..", ".", "a/..", "a\\..", "x/\u{301}y", "/etc/passwd", "a\r\nSet-Cookie: x",
        ] {
            let name = UploadedFile.safeName(text)
            #expect(
                name != ".." && name != "."
                    && !name.utf8.contains { $0 < 0x20 || $0 == 0x2F || $0 == 0x5C || $0 == 0x7F })
        }
        #expect(UploadedFile.safeName("C:\\folder\\a.txt") == "a.txt")
        // A quotation mark before a combining mark still ends a name.
        let (_, attributes) = MediaType.split("form-data; filename=\"\u{301}; name=evil; x=\"; name=good")
        #expect(attributes["name"] == "good")
    }

    @Test("the number of server-sent events does not change")
    func events() {
        for text in HostileStrings.all {
            let event = ServerSentEvent(text, name: text, id: text)
            let lines = String(buffer: event.bytes).utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
            #expect(!String(buffer: event.bytes).utf8.contains(0x0D))
            // One empty line at the end of the event, and none before it.
            #expect(lines.dropLast(2).allSatisfy { !$0.isEmpty }, "\(text.debugDescription)")
        }
    }

    @Test("Prometheus reads labels unchanged, CSV and log lines stay lines")
    func lines() async throws {
        let labels = HostileStrings.all.map { "m{l=\"\(PrometheusText.escape($0))\"} 1" }.joined(separator: "\n") + "\n"
        let path = try TestFolder.write(labels, as: "labels.txt")
        let count = try await python(
            """
            import json, sys
            from prometheus_client.parser import text_string_to_metric_families
            text = open(sys.argv[1], newline="").read()
            print(json.dumps([s.labels["l"] for f in text_string_to_metric_families(text) for s in f.samples]))
            """, path)
        #expect(count.elements?.count == HostileStrings.all.count)
        for (read, text) in zip(count.elements ?? [], HostileStrings.all) {
            #expect(read.string?.equalsBytes(text) == true)
        }
    }

    @Test("a jar's file cannot be manipulated to hold other cookies")
    func jar() throws {
        let url = try HTTPURL("https://a.example.com/")
        let jar = CookieJar(publicSuffixes: .builtIn)
        for text in HostileStrings.all {
            jar.store(["Set-Cookie": "n\(text)=v\(text); Path=/\(text)"], from: url)
            jar.store(["Set-Cookie": "m=v\u{2028}.evil.example\tTRUE\t/\tTRUE\t0\t__Host-session\tforged"], from: url)
        }
        for format in [CookieJar.Format.netscape, .json] {
            let path = TestFolder.path("jar")
            try jar.save(to: path, format: format)
            let read = try CookieJar(file: path, publicSuffixes: .builtIn)
            #expect(read.cookies.count == jar.cookies.count)
            #expect(read.cookies.allSatisfy { $0.domain == "a.example.com" && $0.isHostOnly })
            #expect(!read.cookies.contains { $0.name.hasPrefix("__") })
        }
        // A cookie that no server could have set is not read from a file.
        let forged = try TestFolder.write(
            """
            .com\tTRUE\t/\tFALSE\t0\tall\t1
            a.example.com\tFALSE\t/\tFALSE\t0\t__Secure-a\t1
            .example.com\tTRUE\t/\tTRUE\t0\t__Host-b\t1
            a.example.com\tFALSE\t/x\tTRUE\t0\t__Host-c\t1
            a.example.com\tFALSE\t/\tTRUE\t0\t__Host-d\t1

            """, as: "forged")
        #expect(try CookieJar(file: forged, publicSuffixes: .builtIn).cookies.map(\.name) == ["__Host-d"])
        #expect(CookieJar.anybodys.accept("a=1; Domain=com.", from: url, .now) == nil)
        #expect(CookieJar.anybodys.accept("a=1; Domain=example.com.", from: url, .now)?.domain == "example.com")
        jar.set(Cookie("tab", "a\tb", domain: "a.example.com"))
        #expect(throws: SkeinError.self) { try jar.save(to: TestFolder.path("jar")) }
    }
}
