import Foundation
import PeerSupport
import Skein
import Testing

/// SQLite, with Python's sqlite3 as the other one at the file.
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
        let skein = Skein()
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
            "INSERT INTO people VALUES (\("O'Neil; --"), \(Int?.none), \(date), \(false))").dispatch()
        #expect(response.affected == 1 && response.lastInsertID == 2 && response.command == "INSERT")
        #expect(
            try await db.execute("SELECT * FROM people ORDER BY name").fetch([Person].self) == [
                Person(name: "Cho", age: 42, bornAt: nil, isWeaver: true),
                Person(name: "O'Neil; --", age: nil, bornAt: date, isWeaver: false),
            ])
        let missing = await #expect(throws: SkeinError.self) { try await db.execute("SELECT * FROM people WHERE age = 1").one() }
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
        let other = try skein.sqlite(SQLiteOptions())
        #expect(await other.execute("SELECT * FROM people").dispatch().statusCode == 500)
        await skein.shutdown()
    }

    @Test("a file that Python writes and reads, at the same time")
    func file() async throws {
        let path = TestFolder.path("loom.db")
        let skein = Skein(concurrency: 1000)
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
                    try await db.execute("INSERT INTO t (word, bytes, number) VALUES (\("swift ü"), \(Data([0, 255])), \(number))")
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

    @Test("transactions: all or nothing, by scope and by hand; one that does nothing is undone")
    func transactions() async throws {
        let skein = Skein()
        var options = SQLiteOptions(path: TestFolder.path("tx.db"))
        options.idleTransaction = .seconds(1)
        let db = try skein.sqlite(options)
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
        let idle = try await db.begin()
        try await idle.execute("DELETE FROM t").commit()
        try await db.execute("INSERT INTO t VALUES (9)").commit()  // waits until the other one is undone
        #expect(try await db.execute("SELECT a FROM t ORDER BY a").fetch([Int].self) == [1, 2, 9])
        await skein.shutdown()
    }

    @Test("a path that cannot be opened is refused in one sentence")
    func unopened() async throws {
        let error = #expect(throws: SkeinError.self) { try Skein().sqlite("/no/such/folder/x.db") }
        #expect(error?.code == .connectionFailed)
    }
}
