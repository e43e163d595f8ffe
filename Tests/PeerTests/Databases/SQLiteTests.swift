import Foundation
import PeerSupport
import Skein
import SkeinCore
import SkeinPostgres
import SkeinRedis
import SkeinSQL
import SkeinSQLite
import Testing

/// SQLite, with Python's sqlite3 as the other user of the file.
@Suite("SQLite", .timeLimit(.minutes(2)))
struct SQLiteTests {
    private struct Person: Codable, Equatable {
        var name: String
        var age: Int?
        var bornAt: Date?
        var isWeaver: Bool
    }

    @Test("statements, several at once, rows as values; one is 410 or 409")
    func statements() async throws {
        let skein = SkeinClient()
        let db = try skein.sqlite("sqlite::memory:")
        try await db.execute(
            """
            drop table if exists people;
            create table people (name text primary key, age int, born_at text, is_weaver bool);
            insert into people values ('Cho', 42, null, 1);
            """
        ).commit()
        let date = Date(timeIntervalSince1970: 900_684_535.5)
        let response = await db.execute(
            "INSERT INTO people VALUES (\("O'Neil; --"), \(Int?.none), \(date), \(false))"
        ).dispatch()
        #expect(response.affected == 1 && response.lastInsertID == 2 && response.command == "INSERT")
        #expect(
            try await db.execute("SELECT * FROM people ORDER BY name").fetch([Person].self) == [
                Person(name: "Cho", age: 42, bornAt: nil, isWeaver: true),
                Person(name: "O'Neil; --", age: nil, bornAt: date, isWeaver: false),
            ])
        let missing = await #expect(throws: SkeinError.self) {
            try await db.execute("SELECT * FROM people WHERE age = 1").one()
        }
        #expect(missing?.code.rawValue == 410)
        let again = await db.execute("INSERT INTO people (name) VALUES ('Cho')").dispatch()
        #expect(again.statusCode == 409 && again.sqlError?.isUniqueViolation == true && again.sqlError?.code == 1555)
        let nonsense = await db.execute("SELEC 1").dispatch()
        #expect(nonsense.statusCode == 500 && nonsense.outcome == .requestFailed)
        let names = ["Cho", "x"]
        #expect(try await db.execute("SELECT count(*) FROM people WHERE name IN (\(list: names))").one(Int.self) == 1)
        #expect(
            try await db.execute("SELECT count(*) FROM people WHERE name IN (SELECT value FROM json_each(\(names)))")
                .one(Int.self) == 1)
        #expect(await db.execute("BEGIN").dispatch().failure?.code == .exception)
        for wrong in [
            SQL(unsafe: "SELECT $1"), SQL(unsafe: "SELECT 1", parameters: [2]), SQL(unsafe: "SELECT $1; SELECT 2"),
        ] {
            #expect(await db.execute(wrong).dispatch().failure?.code == .exception)
        }
        let other = try skein.sqlite(SQLiteConfiguration())
        #expect(await other.execute("SELECT * FROM people").dispatch().statusCode == 500)
        await skein.shutdown()
    }

    @Test("a file that Python writes and reads concurrently")
    func file() async throws {
        let path = TestFolder.path("loom.db")
        let skein = SkeinClient(concurrency: 1000)
        let db = try skein.sqlite("sqlite:\(path)")
        try await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT, bytes BLOB, number REAL)").commit()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let script = """
                    import sqlite3, sys
                    db = sqlite3.connect(sys.argv[1], timeout=20)
                    for number in range(200):
                        with db:
                            db.execute("INSERT INTO t (word, bytes, number) VALUES (?, ?, ?)", ("python", b"\\x00\\xff", 0.5))
                    """
                let run = try await runToEnd(Peers.python(), ["-c", script, path])
                guard run.code == 0 else { throw PeerError(run.errors) }
            }
            for number in 0..<200 {
                group.addTask {
                    try await db.execute(
                        "INSERT INTO t (word, bytes, number) VALUES (\("swift ü"), \(Data([0, 255])), \(number))"
                    )
                    .commit()
                    _ = try await db.execute("SELECT count(*) FROM t").one(Int.self)
                }
            }
            try await group.waitForAll()
        }
        #expect(try await db.execute("SELECT count(*) FROM t").one(Int.self) == 400)
        let script = """
            import sqlite3, sys
            print(sqlite3.connect(sys.argv[1]).execute("SELECT DISTINCT word, bytes FROM t ORDER BY word").fetchall())
            """
        let run = try await runToEnd(Peers.python(), ["-c", script, path])
        #expect(run.output == "[('python', b'\\x00\\xff'), ('swift ü', b'\\x00\\xff')]\n")
        await skein.shutdown()
    }

    @Test("transactions: atomic, by closure and manually; an idle one is rolled back")
    func transactions() async throws {
        let skein = SkeinClient()
        var options = SQLiteConfiguration(path: TestFolder.path("tx.db"))
        let db = try skein.sqlite(options)
        options.idleTransaction = .milliseconds(700)
        let impatient = try skein.sqlite(options)
        try await db.execute("CREATE TABLE t (a INT UNIQUE)").commit()
        try await db.transaction { (tx) async throws in
            tx.execute("INSERT INTO t VALUES (1)")
            tx.execute("INSERT INTO t VALUES (2)")
            #expect(try await tx.execute("SELECT count(*) FROM t").one(Int.self) == 2)
            #expect(try await db.execute("SELECT count(*) FROM t").one(Int.self) == 0)
        }
        await #expect(throws: SkeinError.self) {
            try await db.transaction { tx in
                tx.execute("INSERT INTO t VALUES (3)")
                try await tx.execute("INSERT INTO t VALUES (1)").commit()
            }
        }
        #expect(try await db.execute("SELECT a FROM t ORDER BY a").fetch([Int].self) == [1, 2])
        let tx = try await db.begin()
        try await tx.execute("DELETE FROM t").commit()
        try await tx.rollback()
        #expect(await tx.execute("SELECT 1").dispatch().failure?.code == .exception)
        let idle = try await impatient.begin()
        idle.execute("DELETE FROM t")
        try await impatient.execute("INSERT INTO t VALUES (9)").commit()  // waits until the other one is undone
        #expect(try await db.execute("SELECT a FROM t ORDER BY a").fetch([Int].self) == [1, 2, 9])
        await skein.shutdown()
    }

    private struct Post: Codable, Equatable {
        var id: Int
        var title: String
        var hits: Int
    }

    @Test("built queries are executed")
    func queries() async throws {
        let skein = SkeinClient()
        let db = try skein.sqlite(SQLiteConfiguration())
        try await db.execute("CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT, hits INT)").commit()
        let posts = (1...20).map { Post(id: $0, title: "post \($0)%", hits: $0 * $0) }
        for post in posts { try await db.execute(try Query.insert("post").data(encoding: post)).commit() }
        let stem = Query.select("post").filter("title", .endswith, "%").exclude("id", .in, [2, 3])
        #expect(try await db.execute(stem.get("count(*)")).one(Int.self) == 18)
        #expect(try await db.execute(stem.order("-hits")[1..<3]).fetch([Post].self) == [posts[18], posts[17]])
        #expect(try await db.execute(stem.filter("title", .contains, "1%")).fetch().count == 2)
        let upsert = Query.insert("post").data(["id": 1, "title": "new", "hits": 0]).upsert(
            on: "id", updating: ["title"]
        ).returning("hits")
        #expect(try await db.execute(upsert).one(Int.self) == 1)
        #expect(
            await db.execute(Query.update("post").set("hits", to: "hits + \(5)").filter("id", .lte, 2)).dispatch()
                .affected == 2)
        #expect(
            try await db.execute(
                Query.select("post").get("hits").filter(SQLCondition("id", 1) | SQLCondition("title", "x"))
            ).one(Int.self)
                == 6)
        #expect(await db.execute(Query.delete("post")).dispatch().failure?.code == .exception)
        #expect(
            try await db.execute(Query.delete("post").filter("id", .between, [1, 10]).returning("id")).fetch([Int].self)
                .count == 10)
        await skein.shutdown()
    }

    @Test("a path that cannot be opened is a clear error")
    func unopened() async throws {
        let error = #expect(throws: SkeinError.self) { try SkeinClient().sqlite("/no/such/folder/x.db") }
        #expect(error?.code == .connectionFailed)
    }
}

/// Behaviour that corequests of every protocol share, with several of them at once.
@Suite("Corequests of several protocols", .timeLimit(.minutes(2)))
struct MixedTests {
    @Test("one session, one summary; late responses and values make one group of all")
    func mixed() async throws {
        let skein = SkeinClient(concurrency: 3)
        let url = "http://127.0.0.1:\(try await Peers.shared.nginxPort())/hello"
        let db = try skein.postgres(try await PostgresPeer.shared.get().url())
        let store = try skein.redis(try await RedisPeer.shared.get().url("/10"))
        let lite = try skein.sqlite(":memory:")
        try await store.set("n", 3).commit()
        let group = CorequestGroup([
            skein.get(url).then { try $0.text().count }, db.execute("SELECT 2").then { try $0.decode(Int.self) },
            store.get("n").then { try $0.decode(Int.self) }, lite.execute("SELECT 4").then { try $0.decode(Int.self) },
            mask(5),
        ])
        #expect(try await group.fetch() == [11, 2, 3, 4, 5])
        #expect(try await mask([1, 2]).fetch([Int].self) == [1, 2])
        #expect(try await mask(7).one(Int.self) == 7)
        let failed = await db.execute("SELECT 1/0").then { try $0.decode(Int.self) }.dispatch()
        #expect(failed.outcome == .networkError || failed.statusCode == 709)
        #expect(db.execute("SELECT 1").returning(202) == 202)
        let summary = await skein.fetchAll()
        #expect(summary.tasks == 7)
        let slow = db.execute("SELECT pg_sleep(30)").then { _ in 1 }
        slow.cancel()
        // The work received the cancelled response and converted it to a value.
        #expect(await slow.dispatch().failure == nil)
        await skein.shutdown()
        #expect(await db.execute("SELECT 1").dispatch().failure?.code == .shuttingDown)
    }

    @Test("callbacks, meta and plain threads, as with requests")
    func forms() async throws {
        let skein = SkeinClient()
        let db = try skein.postgres(try await PostgresPeer.shared.get().url())
        let seen = AsyncStream<(Int, String?)>.makeStream()
        for number in 0..<3 {
            db.execute("SELECT \(number)::int", timeout: nil, meta: ["name": "call \(number)"]) { response in
                seen.continuation.yield((response.content.first?[0].int ?? -1, response.meta["name"] as? String))
            }
        }
        var walk = seen.stream.makeAsyncIterator()
        for _ in 0..<3 {
            let (number, name) = try #require(await walk.next())
            #expect(name == "call \(number)")
        }
        let value = try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try db.execute("SELECT 42").blocking.fetch(Int.self) })
            }
        }
        #expect(value == 42)
        let response = await withDeadline(.after(.milliseconds(100))) {
            await db.execute("SELECT pg_sleep(20)").dispatch()
        }
        #expect(response.failure?.code == .timeout)
        await skein.shutdown()
    }

    @Test("the commands: tables, JSON, CSV, exit codes; loads")
    func commands() async throws {
        let postgres = try await PostgresPeer.shared.get()
        let redis = try await RedisPeer.shared.get()
        func skein(_ arguments: String...) async throws -> Finished {
            try await runToEnd(CommandTests.skein, arguments)
        }
        let table = try await skein("sql", postgres.url(), "SELECT 1 AS n, $1 AS word", "-p", "it's")
        #expect(table.output == "n | word\n--+-----\n1 | it's\n(1 row)\n")
        let json = try await skein("sql", "sqlite::memory:", "SELECT -5 AS n, NULL AS x", "--json")
        #expect(json.output == "[\n  {\"n\": -5, \"x\": null}\n]\n")
        let csv = try await skein("sql", postgres.url(), "SELECT 'a,\"b' AS c", "--csv")
        #expect(csv.output == "c\r\n\"a,\"\"b\"\n")
        let refused = try await skein("sql", postgres.url(), "SELEC 1")
        #expect(refused.code == 1 && refused.errors.contains("42601"))
        #expect(try await skein("sql", "mysql://x", "SELECT 1").code == 2)
        #expect(try await skein("redis", redis.url("/11"), "SET", "k", "-1").output == "OK\n")
        #expect(
            try await skein("redis", "--json", redis.url("/11"), "MGET", "k", "nothing").output == "[\"-1\",null]\n")
        #expect(try await skein("redis", redis.url("/11"), "LPUSH", "k", "1").code == 1)
        for url in [
            "\(postgres.url())?query=SELECT%201", redis.url("/11?command=GET%20k"), "sqlite::memory:?query=SELECT%201",
        ] {
            let load = try await skein("load", "-n", "500", "-c", "10", "--json", url)
            #expect(load.code == 0 && load.output.contains("\"200\" : 500"), "\(load.output)\(load.errors)")
        }
    }
    @Test("the commands of MongoDB and Amazon: documents, messages, items; loads")
    func others() async throws {
        let mongo = try await MongoPeer.shared.get()
        let amazon = try await AWSPeer.shared.get()
        func skein(_ arguments: String...) async throws -> Finished {
            try await runToEnd(
                CommandTests.skein, arguments,
                environment: [
                    "AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "secret",
                    "AWS_ENDPOINT_URL": amazon.endpoint,
                    "AWS_REGION": "us-east-1",
                ])
        }
        let server = "127.0.0.1:\(mongo.port)"
        let inserted = try await skein(
            "mongo", server, "cli.t", "insert", #"[{"_id": 1, "a": "x"}, {"_id": 2, "a": "y"}]"#)
        #expect(inserted.output == "{\"n\": 2, \"inserted\": [1, 2]}\n", "\(inserted.errors)")
        let found = try await skein("mongo", server, "cli.t", "find", "{}", "--sort", #"{"_id": -1}"#)
        #expect(found.output == "{\"_id\": 2, \"a\": \"y\"}\n{\"_id\": 1, \"a\": \"x\"}\n")
        #expect(
            try await skein("mongo", server, "cli.t", "update", #"{"_id": 1}"#, #"{"$set": {"a": "z"}}"#).output
                == "{\"n\": 1, \"modified\": 1}\n")
        let values = try await skein("mongo", server, "cli.t", "distinct", "a", "--json").output
        #expect(["[\"z\", \"y\"]\n", "[\"y\", \"z\"]\n"].contains(values))
        #expect(try await skein("mongo", server, "cli.t", "count", "--canonical").output == "{\"$numberInt\": \"2\"}\n")
        let twice = try await skein("mongo", server, "cli.t", "insert", #"{"_id": 1}"#)
        #expect(twice.code == 1 && twice.errors.contains("11000"))
        #expect(try await skein("mongo", server, "cli.t", "find", "{").code == 1)
        #expect(try await skein("mongo", server, "nothing", "find").code == 2)
        #expect(try await skein("sqs", "create", "cli", "-a", "VisibilityTimeout=60").output.hasSuffix("/cli\n"))
        #expect(try await skein("sqs", "send", "cli", "first", "second").output == "2 sent\n")
        #expect(try await skein("sqs", "receive", "cli", "--delete").output == "first\nsecond\n")
        #expect(try await skein("sqs", "attributes", "cli", "--json").output.contains("\"VisibilityTimeout\":\"60\""))
        #expect(try await skein("sqs", "send", "nowhere", "x").code == 1)
        #expect(try await skein("dynamodb", "create", "cli", "id:S", "n:N").code == 0)
        #expect(
            try await skein("dynamodb", "put", "cli", #"{"id": "a", "n": 1, "tags": ["x"]}"#, #"{"id": "a", "n": 2}"#)
                .code == 0)
        let item = try await skein("dynamodb", "get", "cli", #"{"id": "a", "n": 1}"#)
        #expect(try JSONDecoder().decode(JSONValue.self, from: Data(item.output.utf8))["tags"]?[0]?.string == "x")
        #expect(
            try await skein("dynamodb", "query", "cli", "id", "a", "--descending", "--limit", "1").output.contains(
                "\"n\":2"))
        #expect(try await skein("dynamodb", "get", "cli", #"{"id": "b", "n": 1}"#).code == 1)
        let load = try await skein(
            "load", "-n", "200", "-c", "10", "--json", #"mongodb://\#(server)/cli?command={"find": "t", "limit": 1}"#)
        #expect(load.code == 0 && load.output.contains("\"200\" : 200"), "\(load.output)\(load.errors)")
    }
}
