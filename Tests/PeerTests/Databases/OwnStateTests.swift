import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinPostgres
import SkeinRedis
import SkeinSQL
import SkeinSQLite
import Testing

/// One caller's changes to a session are reset for the next, nothing that may have been executed is sent again, and no
/// statement ends the process.
@Suite("State of sessions", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct OwnStateTests {
    private func postgres(_ query: String = "pool_size=1") async throws -> (SkeinClient, PostgresClient) {
        let skein = SkeinClient(concurrency: 100)
        return (skein, try skein.postgres(try await PostgresPeer.shared.get().url(query: query)))
    }

    // MARK: PostgreSQL

    @Test(
        "what is set on a lease is as before",
        arguments: [
            ("SET ROLE pg_monitor", "SELECT current_user::text", "weaver"),
            ("SET SESSION AUTHORIZATION pg_monitor", "SELECT session_user::text", "weaver"),
            (
                "SELECT set_config('app.tenant', 'a', false)",
                "SELECT coalesce(current_setting('app.tenant', true), '')", ""
            ),
            ("SET search_path = pg_catalog", "SHOW search_path", "\"$user\", public"),
            ("SELECT pg_advisory_lock(4711)", "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'", "0"),
            (
                "CREATE TEMP TABLE left_over (a int)",
                "SELECT count(*)::text FROM pg_class WHERE relname = 'left_over'", "0"
            ),
            (
                "DO $$ BEGIN SET app.tenant = 'b'; END $$", "SELECT coalesce(current_setting('app.tenant', true), '')",
                ""
            ),
            (
                "PREPARE left_over AS SELECT 1",
                "SELECT count(*)::text FROM pg_prepared_statements WHERE name = 'left_over'", "0"
            ),
            ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*)::text FROM pg_cursors WHERE name = 'c'", "0"),
            // In a transaction, now() is its start.
            ("BEGIN", "SELECT (now() > clock_timestamp() - interval '100 ms')::text", "true"),
        ])
    func leases(statement: String, question: String, answer: String) async throws {
        let (skein, db) = try await postgres()
        try await db.withConnection { try await $0.execute(SQL(unsafe: statement)).commit() }
        try await Task.sleep(for: .milliseconds(150))
        #expect(try await db.execute(SQL(unsafe: question)).one(String.self) == answer)
        #expect(skein.connectCount == 1)
        await skein.shutdown()
    }

    @Test(
        "what a statement changes on a shared connection is as before",
        arguments: [
            (
                "SELECT set_config('app.tenant', 'a', false)",
                "SELECT coalesce(current_setting('app.tenant', true), '')", ""
            ),
            (
                "DO $$ BEGIN PERFORM set_config('role', 'pg_monitor', false); END $$", "SELECT current_user::text",
                "weaver"
            ),
            (
                "SELECT pg_advisory_lock(4712)::text",
                "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'", "0"
            ),
            (
                "CREATE TEMPORARY TABLE left_over (a int)",
                "SELECT count(*)::text FROM pg_class WHERE relname = 'left_over'", "0"
            ),
        ])
    func shared(statement: String, question: String, answer: String) async throws {
        let (skein, db) = try await postgres()
        try await db.execute(SQL(unsafe: statement)).commit()
        #expect(try await db.execute(SQL(unsafe: question)).one(String.self) == answer)
        await skein.shutdown()
    }

    @Test(
        "transactions do not begin on a shared connection, however they are written",
        arguments: [
            "BEGIN", "/* app */ BEGIN", "-- c\nSTART TRANSACTION", "/* a /* b */ */ begin", ";BEGIN", "\u{FEFF}BEGIN",
            "(BEGIN",
        ])
    func begin(text: String) async throws {
        let (skein, db) = try await postgres()
        try await db.script("DROP TABLE IF EXISTS kept; CREATE TABLE kept (a int)").commit()
        try await db.transaction { try await $0.execute("INSERT INTO kept VALUES (0)").commit() }
        #expect(await db.execute(SQL(unsafe: text)).dispatch().failure != nil || !text.isEmpty)
        let refused = await db.execute(SQL(unsafe: text)).dispatch()
        #expect(refused.statusCode >= 400, "\(refused.statusCode)")
        try await db.execute("INSERT INTO kept VALUES (1)").commit()
        #expect(try await PostgresPeer.shared.get().query("SELECT count(*) FROM kept") == "2")
        await skein.shutdown()
    }

    @Test("a session change that keywords do not reveal is detected by the response, with limited effect")
    func noticed() async throws {
        let (skein, db) = try await postgres()
        // A simple query of several statements is refused, and a script runs on a dedicated connection.
        let open = await db.script("BEGIN; SELECT 1").dispatch()
        #expect(open.failure?.message.contains("was rolled back") == true)
        let answers = (0..<40).map { _ in db.execute("SELECT 1") }
        for answer in answers { #expect(try await answer.one(Int.self) == 1) }
        await skein.shutdown()
    }

    @Test("a procedure is not repeated when the server ends its session; a query is")
    func notTwice() async throws {
        let peer = try await PostgresPeer.shared.get()
        _ = try await peer.query(
            """
            DROP TABLE IF EXISTS calls; CREATE TABLE calls (a int);
            CREATE OR REPLACE PROCEDURE slow_call() LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO calls VALUES (1); COMMIT; PERFORM pg_sleep(20); END $$;
            """)
        for (sql, code) in [("CALL slow_call() -- ended", false), ("SELECT 1 FROM pg_sleep(1) -- ended", true)] {
            let (skein, db) = try await postgres()
            let call = db.execute(SQL(unsafe: sql), timeout: .seconds(30))
            let process = try await peer.untilActive("%-- ended")
            _ = try await peer.query("SELECT pg_terminate_backend(\(process))")
            let response = await call.dispatch()
            #expect((response.statusCode == 200) == code, "\(response.statusCode) \(response.reason)")
            await skein.shutdown()
        }
        #expect(try await peer.query("SELECT count(*) FROM calls") == "1")
    }

    @Test("COPY observes its timeout, cancellation and direction")
    func copy() async throws {
        let (skein, db) = try await postgres("pool_size=2")
        try await db.script("DROP TABLE IF EXISTS copied; CREATE TABLE copied (a int)").commit()
        let endless = AsyncStream<ByteBuffer> { $0.yield(ByteBuffer(string: "1\n")) }
        let begun = ContinuousClock.now
        let late = await #expect(throws: SkeinError.self) {
            try await db.copyIn("COPY copied FROM STDIN", endless, timeout: .milliseconds(300))
        }
        #expect(late?.code == .timeout)
        let byCaller = await #expect(throws: SkeinError.self) {
            try await withDeadline(.after(.milliseconds(300))) {
                try await db.copyIn(
                    "COPY copied FROM STDIN", AsyncStream<ByteBuffer> { $0.yield(ByteBuffer(string: "1\n")) })
            }
        }
        #expect(byCaller?.code == .timeout)
        let task = Task { try await db.copyIn("COPY copied FROM STDIN", AsyncStream<ByteBuffer> { _ in }) }
        try await Task.sleep(for: .milliseconds(100))
        task.cancel()
        await #expect(throws: SkeinError.self) { try await task.value }
        let wrong = await #expect(throws: SkeinError.self) {
            try await db.copyIn(
                "COPY (SELECT * FROM generate_series(1, 100000)) TO STDOUT", AsyncStream<ByteBuffer> { $0.finish() })
        }
        #expect(wrong?.message.contains("other direction") == true, "\(wrong as Any)")
        let other = await #expect(throws: SkeinError.self) {
            for try await _ in db.copyOut("COPY copied FROM STDIN") {}
        }
        #expect(other?.message.contains("other direction") == true, "\(other as Any)")
        #expect(ContinuousClock.now - begun < .seconds(20))
        #expect(try await db.execute("SELECT count(*) FROM copied").one(Int.self) == 0)
        #expect(
            try await db.copyIn(
                "COPY copied FROM STDIN",
                AsyncStream<ByteBuffer> {
                    $0.yield(ByteBuffer(string: "7\n8\n"))
                    $0.finish()
                }) == 2)
        await skein.shutdown()
    }

    @Test("a refused password is not sent to the other hosts")
    func nextHost() async throws {
        let peer = try await PostgresPeer.shared.get()
        let lures = try await ScriptedServer.start { _ in [.close] }
        let skein = SkeinClient()
        let db = try skein.postgres(
            "postgres://scram:wrong@127.0.0.1:\(peer.port),127.0.0.1:\(lures.port)/postgres?sslmode=disable")
        #expect(await db.execute("SELECT 1").dispatch().statusCode == 706)
        #expect(lures.connectionCount == 0)
        await skein.shutdown()
        await lures.stop()
    }

    // MARK: SQLite

    @Test(
        "a statement that leaves a transaction open is undone, and the process goes on",
        arguments: [
            "/* x */ BEGIN", "SELECT 1; BEGIN", "SELECT 1; BEGIN; INSERT INTO kept VALUES (1)", ";;BEGIN",
            "\u{FEFF}BEGIN",
            "SELECT 1; SAVEPOINT a", "-- c\nSAVEPOINT a", "INSERT INTO kept VALUES (1); BEGIN EXCLUSIVE",
            "/* a /* b */ BEGIN",
        ])
    func sqliteBegin(text: String) async throws {
        for address in ["sqlite::memory:", TestFolder.path("own.db")] {
            let skein = SkeinClient()
            let db = try skein.sqlite(address)
            try await db.execute("CREATE TABLE IF NOT EXISTS kept (a int)").commit()
            #expect(await db.execute(SQL(unsafe: text)).dispatch().failure != nil)
            try await db.execute("INSERT INTO kept VALUES (2)").commit()
            #expect(try await db.execute("SELECT count(*) FROM kept WHERE a = 2").one(Int.self) == 1)
            await skein.shutdown()
        }
    }

    @Test("dangerous functions of SQLite are disabled, and statements end at their timeout")
    func sqliteTraps() async throws {
        let skein = SkeinClient()
        let db = try skein.sqlite("sqlite::memory:")
        for text: SQL in [
            "PRAGMA hard_heap_limit=1", "/* x */ pragma Hard_Heap_Limit = 1",
            "SELECT fts3_tokenizer('x', x'4141414141414141')",
            "SELECT fts3_tokenizer('simple')",
        ] {
            #expect(await db.execute(text).dispatch().statusCode >= 400, "\(text)")
        }
        let begun = ContinuousClock.now
        let endless: SQL = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
        #expect(await db.execute(endless, timeout: .milliseconds(200)).dispatch().failure?.code == .timeout)
        #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        #expect(ContinuousClock.now - begun < .seconds(10))
        // The columns change under a cached statement.
        try await db.execute("CREATE TABLE moving (a int)").commit()
        try await db.execute("INSERT INTO moving VALUES (1)").commit()
        _ = try? await db.transaction { transaction in
            try await transaction.execute("ALTER TABLE moving ADD COLUMN b").commit()
            #expect(try await transaction.execute("SELECT * FROM moving").fetch().columns == ["a", "b"])
            throw CancellationError()
        }
        for _ in 0..<3 { #expect(try await db.execute("SELECT * FROM moving").fetch().columns == ["a"]) }
        for text in [
            "2024-01-01 00:00:00+9999999999999999", "9999999999999999:0:0", "0:0:0.-99999", "2026-01-01T9999999999:00",
        ] {
            let response = await db.execute("SELECT \(text)").dispatch()
            #expect(throws: (any Error).self) { try response.decode(Date.self) }
        }
        #expect(throws: (any Error).self) {
            _ = try SQLValue.double(.infinity).description == "Infinity" ? { throw CancellationError() }() : 0
        }
        await skein.shutdown()
        #expect(await db.execute("SELECT 1").dispatch().failure != nil)
    }

    @Test(
        "five hundred hostile statements: a result or an error each, and the next one is answered",
        arguments: ["postgres", "sqlite"])
    func hostileStatements(database: String) async throws {
        let skein = SkeinClient(concurrency: 20)
        let db: any SQLExecutor =
            database == "sqlite"
            ? try skein.sqlite("sqlite::memory:")
            : try skein.postgres(try await PostgresPeer.shared.get().url(query: "pool_size=4"))
        let words = [
            "SELECT", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "/*", "*/", "--", ";", "(", ")", "'",
            "\"", "$1", "?1",
            "$$", "1", "NULL", "FROM", "x", ",", "\n", "PRAGMA journal_mode=DELETE", "ATTACH ':memory:' AS b",
            "DETACH b", "VACUUM",
            "EXPLAIN", "SET ROLE pg_monitor", "COPY x FROM STDIN", "COPY (SELECT 1) TO STDOUT", "LISTEN a",
            "PREPARE p AS SELECT 1",
            "EXECUTE p", "DEALLOCATE ALL", "DISCARD ALL", "DO $$ BEGIN NULL; END $$", "CREATE TEMP TABLE x (a int)",
            "DROP TABLE IF EXISTS x",
            "WITH a AS (SELECT 1)", "INSERT INTO x VALUES (1)", "UPDATE x SET a = 1", "\u{0}", "\u{FEFF}",
            "RETURNING *", "END", "ABORT",
        ]
        var random = SystemRandomNumberGenerator()
        var statements = (0..<430).map { _ in
            (0..<Int.random(in: 1...6, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }.joined(
                separator: " ")
        }
        statements += words + HostileStrings.others.prefix(30).map { "SELECT '\($0)'" }
        let all = statements
        try await withThrowingTaskGroup(of: Void.self) { group in
            for start in 0..<5 {
                group.addTask {
                    for text in all[(start * all.count / 5)..<((start + 1) * all.count / 5)] {
                        _ = await db.execute(
                            SQL(unsafe: text), timeout: .seconds(10), meta: RequestMetadata(), callback: nil
                        )
                        .dispatch()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(all.count >= 500)
        #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        await skein.shutdown()
    }

    // MARK: Redis

    @Test("a refused subscription is an error, and does not disturb others", arguments: ["3", "2"])
    func subscriptions(version: String) async throws {
        let peer = try await RedisPeer.shared.get()
        _ = try await peer.command("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "+@all", "resetchannels", "&open*")
        let skein = SkeinClient()
        let redis = try skein.redis(peer.url("/0?protocol=\(version)", user: "deaf:pw@"))
        let open = try await redis.subscribe("open")
        let begun = ContinuousClock.now
        let error = await #expect(throws: SkeinError.self) { _ = try await redis.subscribe("shut") }
        #expect(error?.message.contains("NOPERM") == true, "\(error as Any)")
        #expect(ContinuousClock.now - begun < .seconds(3))
        _ = try await peer.command("PUBLISH", "open", "heard")
        var iterator = open.makeAsyncIterator()
        #expect(try await iterator.next()?.payload.string == "heard")
        await skein.shutdown()
    }

    @Test("without the permission for MULTI, no command of a transaction is executed")
    func multi() async throws {
        let peer = try await RedisPeer.shared.get()
        _ = try await peer.command("ACL", "SETUSER", "single", "on", ">pw", "~*", "&*", "+@all", "-multi")
        let skein = SkeinClient()
        let redis = try skein.redis(peer.url("/5", user: "single:pw@"))
        _ = try await redis.del("multi a").fetch()
        let refused = await redis.multi {
            $0.set("multi a", 1)
            $0.incr("multi a")
        }.dispatch()
        #expect(refused.redisError?.kind == "NOPERM")
        #expect(try await redis.exists("multi a").fetch(Int.self) == 0)
        await skein.shutdown()
        let allowed = try SkeinClient().redis(peer.url("/5"))
        let answers = (0..<20).map { number in allowed.multi { $0.incr("multi b \(number % 2)") } }
        for answer in answers { #expect(try await answer.fetch()[0]?.int != nil) }
    }

    @Test(
        "a large status reply does not end the shared connection; a lease whose session was changed is not given back")
    func leasedRedis() async throws {
        let peer = try await RedisPeer.shared.get()
        let skein = SkeinClient()
        let redis = try skein.redis(peer.url("/6"))
        let size = try await redis.eval("return {ok = string.rep('a', 200000)}", 0).fetch(String.self).utf8.count
        #expect(size == 200_000 && skein.connectCount == 1)
        try await redis.watch("x") { lease, transaction in
            try await lease.send(RedisCommand("SELECT", [7])).commit()
            transaction.set("leased", 1)
        }
        #expect(try await redis.exists("leased").fetch(Int.self) == 0)
        try await redis.watch("x") { _, transaction in transaction.set("own", 1) }
        #expect(try await redis.exists("own").fetch(Int.self) == 1)
        await skein.shutdown()
    }
}
