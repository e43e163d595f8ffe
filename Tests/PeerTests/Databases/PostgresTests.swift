import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinCore
import SkeinPostgres
import SkeinSQL
import Testing

/// PostgreSQL 15 and its own client.
@Suite("PostgreSQL", .timeLimit(.minutes(3)))
struct PostgresTests {
    private func database(_ user: String = "weaver", password: String? = nil, query: String = "") async throws -> (
        SkeinClient, PostgresClient
    ) {
        let skein = SkeinClient(concurrency: 1000)
        return (
            skein, try skein.postgres(try await PostgresPeer.shared.get().url(user, password: password, query: query))
        )
    }

    // MARK: Sessions

    @Test(
        "each way of authentication",
        arguments: [("weaver", nil), ("scram", "s3cret"), ("hashed", "s3cret"), ("plain", "s3cret")]
            as [(String, String?)],
        ["disable", "prefer", "require"])
    func authentication(user: (String, String?), mode: String) async throws {
        let (skein, db) = try await database(user.0, password: user.1, query: "sslmode=\(mode)")
        let row = try await db.execute(
            "SELECT current_user::text AS name, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls"
        ).one()
        #expect(row.name?.string == user.0)
        #expect(row.tls?.bool == (mode != "disable"))
        await skein.shutdown()
    }

    @Test("the user of the process, over the unix socket")
    func peer() async throws {
        let peer = try await PostgresPeer.shared.get()
        let skein = SkeinClient()
        let db = try skein.postgres("host=\(peer.folder) port=\(peer.port) user=\(NSUserName()) dbname=postgres")
        #expect(try await db.execute("SELECT current_user::text").one(String.self) == NSUserName())
        await skein.shutdown()
    }

    @Test("a wrong password and a server with the wrong name are clear errors")
    func refusals() async throws {
        let (skein, db) = try await database("scram", password: "wrong", query: "sslmode=disable")
        let response = await db.execute("SELECT 1").dispatch()
        #expect(response.statusCode == 706)
        #expect(response.failure?.sql?.sqlState == "28P01")
        let (_, strict) = try await database(query: "sslmode=verify-full")
        #expect(await strict.execute("SELECT 1").dispatch().failure?.code == .tlsHandshakeFailed)
        let certificates = try await Certificates.shared.folder()
        let (_, trusting) = try await database(query: "sslmode=verify-full&sslrootcert=\(certificates)/ca.pem")
        #expect(try await trusting.execute("SELECT 1").one(Int.self) == 1)
        let (_, bound) = try await database(
            "scram", password: "s3cret", query: "sslmode=require&channel_binding=require")
        #expect(try await bound.execute("SELECT 1").one(Int.self) == 1)
        let (_, unbound) = try await database(
            "hashed", password: "s3cret", query: "sslmode=disable&channel_binding=require")
        #expect(await unbound.execute("SELECT 1").dispatch().statusCode == 706)
        await skein.shutdown()
    }

    @Test("of several hosts, the first with the required properties")
    func hosts() async throws {
        let peer = try await PostgresPeer.shared.get()
        let gone = try await Ports.free()
        let skein = SkeinClient()
        let list = "127.0.0.1:\(gone),127.0.0.1:\(peer.port)"
        let db = try skein.postgres("postgres://weaver@\(list)/postgres?target_session_attrs=read-write")
        #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        let standby = try skein.postgres("postgres://weaver@\(list)/postgres?target_session_attrs=standby")
        #expect(await standby.execute("SELECT 1").dispatch().failure?.message.contains("not a standby") == true)
        let either = try skein.postgres("postgres://weaver@\(list)/postgres?target_session_attrs=prefer-standby")
        #expect(try await either.execute("SELECT 1").one(Int.self) == 1)
        await skein.shutdown()
    }

    // MARK: Statements

    private struct Weather: Codable, Equatable {
        var city: String
        var tempLo: Int
        var prcp: Double?
    }

    @Test("rows by name, by index, as a type; one is 410 without exactly one, 409 for a duplicate")
    func rows() async throws {
        let (skein, db) = try await database()
        try await db.execute("CREATE TABLE weather (city text PRIMARY KEY, temp_lo int, prcp float8)").commit()
        let inserted = await db.execute(
            "INSERT INTO weather VALUES (\("Hayward"), \(37), \(Double?.none)), (\("San  Francisco"), \(46), \(0.25))"
        ).dispatch()
        #expect(inserted.affected == 2 && inserted.command == "INSERT")
        let rows = try await db.execute("SELECT city, temp_lo, prcp FROM weather ORDER BY city").fetch()
        #expect(rows.columns == ["city", "temp_lo", "prcp"])
        #expect(rows[0].city?.string == "Hayward" && rows[0]["temp_lo"]?.int == 37 && rows[0][2].isNull)
        #expect(rows[1].prcp?.double == 0.25 && rows[1].nothing == nil)
        #expect(
            try rows.decode(Weather.self) == [
                Weather(city: "Hayward", tempLo: 37, prcp: nil),
                Weather(city: "San  Francisco", tempLo: 46, prcp: 0.25),
            ])
        let city = "Hayward"
        #expect(try await db.execute("SELECT * FROM weather WHERE city = \(city)").one(Weather.self).tempLo == 37)
        let many = await #expect(throws: SkeinError.self) {
            try await db.execute("SELECT * FROM weather").one(Weather.self)
        }
        #expect(many?.code.rawValue == 410)
        let again = await #expect(throws: SkeinError.self) {
            try await db.execute("INSERT INTO weather VALUES (\(city), 1, 2) RETURNING city").one(String.self)
        }
        #expect(again?.code.rawValue == 409)
        #expect(again?.sql?.sqlState == "23505" && again?.sql?.constraint == "weather_pkey")
        await skein.shutdown()
    }

    @Test("interpolated values are bound, whatever they contain")
    func injection() async throws {
        let (skein, db) = try await database()
        let words = [
            "'; DROP TABLE pg_class; --", "\\'; SELECT 1", "$1", "$$", "\"", "ü\u{1F9F6}", "", "%", "a\nb", "NULL",
            "{1,2}", "\u{202E}",
        ]
        for word in words {
            #expect(try await db.execute("SELECT \(word)::text").one(String.self) == word)
            let list = try await db.execute("SELECT \([word, "b"])::text[]").one([String].self)
            #expect(list == [word, "b"])
        }
        let nul = await db.execute("SELECT \("a\0b")::text").dispatch()
        #expect(nul.statusCode == 500 && nul.sqlError?.sqlState == "22021")
        #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        await skein.shutdown()
    }

    @Test("a failing statement does not affect hundreds of others on its connection")
    func isolation() async throws {
        let (skein, db) = try await database(query: "pool_size=1")
        func start(_ number: Int) -> Corequest<SQLResponse> {
            switch number % 5 {
            case 3: return db.execute("SELECT 1 / \(0) AS number, \(number)::int AS other")
            case 4: return db.execute("SELECT nonsense \(number)")
            default: return db.execute("SELECT \(number)::int AS number")
            }
        }
        let calls = (0..<500).map(start)
        for (number, call) in calls.enumerated() {
            let response = await call.dispatch()
            switch number % 5 {
            case 3: #expect(response.sqlError?.sqlState == "22012")
            case 4: #expect(response.statusCode == 500)
            default: #expect(response.content.first?.number?.int == number)
            }
        }
        #expect(skein.connectCount == 1)
        await skein.shutdown()
    }

    @Test("several statements at once; those that change the session are refused with advice")
    func scripts() async throws {
        let (skein, db) = try await database()
        try await db.script(
            "drop table if exists people; create table people (name text, age int); insert into people values ('Cho', 42);"
        )
        .commit()
        #expect(try await db.execute("SELECT age FROM people").one(Int.self) == 42)
        let rows = try await db.script("SELECT 1 AS a; SELECT 2 AS b").fetch()
        #expect(rows.columns == ["b"] && rows[0][0].int == 2)
        #expect(await db.execute("SELEC 1; SELECT 2").dispatch().sqlError?.sqlState == "42601")
        // Several statements are never executed by mistake: a value that was inserted into the text cannot add one.
        let stacked = await db.execute("SELECT 1; DROP TABLE people").dispatch()
        #expect(
            stacked.sqlError?.sqlState == "42601" && "\(stacked.failure as Any)\(stacked.reason)".contains("script"))
        #expect(try await db.execute("SELECT age FROM people").one(Int.self) == 42)
        for text: SQL in ["BEGIN", "  set search_path = x", "LISTEN a", "COPY people FROM STDIN", "commit"] {
            #expect(await db.execute(text).dispatch().failure?.code == .exception)
        }
        await skein.shutdown()
    }

    @Test("a table that changes under prepared statements does not disturb them")
    func stale() async throws {
        let (skein, db) = try await database(query: "pool_size=1")
        try await db.script("DROP TABLE IF EXISTS moving; CREATE TABLE moving (a int); INSERT INTO moving VALUES (1)")
            .commit()
        #expect(try await db.execute("SELECT * FROM moving").fetch().columns == ["a"])
        try await db.execute("ALTER TABLE moving ADD b text DEFAULT 'x'").commit()
        #expect(try await db.execute("SELECT * FROM moving").fetch().columns == ["a", "b"])
        try await db.withConnection { try await $0.execute("DEALLOCATE ALL").commit() }
        #expect(try await db.execute("SELECT * FROM moving").fetch().count == 1)
        await skein.shutdown()
    }
}

/// Tests that need more than one statement.
@Suite("PostgreSQL: transactions, streams, notifications, failures", .timeLimit(.minutes(3)))
struct PostgresSessionTests {
    private func database(_ query: String = "") async throws -> (SkeinClient, PostgresClient) {
        let skein = SkeinClient(concurrency: 1000)
        return (skein, try skein.postgres(try await PostgresPeer.shared.get().url(query: query)))
    }

    @Test("transactions: atomic, by closure and manually")
    func transactions() async throws {
        let (skein, db) = try await database()
        try await db.execute("CREATE TABLE accounts (id int PRIMARY KEY, sum int CHECK (sum >= 0))").commit()
        let count = try await db.transaction { (tx) async throws in
            tx.execute("INSERT INTO accounts VALUES (1, 10), (2, 10)")
            #expect(try await db.execute("SELECT count(*) FROM accounts").one(Int.self) == 0)
            return try await tx.execute("SELECT count(*) FROM accounts").one(Int.self)
        }
        #expect(count == 2)
        let error = await #expect(throws: SkeinError.self) {
            try await db.transaction { tx in
                tx.execute("UPDATE accounts SET sum = sum + 100 WHERE id = 1")
                try await tx.execute("UPDATE accounts SET sum = sum - 100 WHERE id = 2").commit()
            }
        }
        #expect(error?.sql?.sqlState == "23514" && error?.sql?.isConstraintViolation == true)
        // One that fails and whose result is not read: the commit reports that nothing was done.
        let silent = await #expect(throws: SkeinError.self) {
            try await db.transaction { tx in
                tx.execute("UPDATE accounts SET sum = 0")
                tx.execute("SELECT 1 / 0")
            }
        }
        #expect(silent?.message.contains("rolled back") == true)
        let tx = try await db.begin()
        tx.execute("DELETE FROM accounts")
        try await tx.savepoint {
            try await tx.execute("INSERT INTO accounts VALUES (9, 9)").commit()
        }
        await #expect(throws: SkeinError.self) {
            try await tx.savepoint { try await tx.execute("INSERT INTO accounts VALUES (9, 9)").commit() }
        }
        #expect(try await tx.execute("SELECT id FROM accounts").fetch([Int].self) == [9])
        try await tx.rollback()
        let late = await tx.execute("SELECT 1").dispatch()
        #expect(late.failure?.code == .exception)
        #expect(try await db.execute("SELECT sum FROM accounts ORDER BY id").fetch([Int].self) == [10, 10])
        let dropped = try await db.begin()
        dropped.execute("DELETE FROM accounts")
        await dropped.end()
        #expect(try await db.execute("SELECT count(*) FROM accounts").one(Int.self) == 2)
        await skein.shutdown()
    }

    @Test("conflicting transactions are retried, if enabled")
    func serialization() async throws {
        var settings = try PostgresConfiguration(try await PostgresPeer.shared.get().url(query: "pool_size=6"))
        settings.pool.leaseTimeout = .seconds(60)  // a machine with much else to do takes its time
        let skein = SkeinClient(concurrency: 1000)
        let db = skein.postgres(settings)
        try await db.script("CREATE TABLE counted (n int); INSERT INTO counted VALUES (0)").commit()
        let options = SQLTransactionOptions(isolation: .serializable, retries: 100)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    try await db.transaction(options) { tx in
                        let n = try await tx.execute("SELECT n FROM counted").one(Int.self)
                        try await tx.execute("UPDATE counted SET n = \(n + 1)").commit()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await db.execute("SELECT n FROM counted").one(Int.self) == 20)
        await skein.shutdown()
    }

    @Test("session settings of an exclusive connection are reset on return")
    func settings() async throws {
        let (skein, db) = try await database("pool_size=2")
        let before = try await db.execute("SHOW search_path").one(String.self)
        try await db.withConnection { (own) async throws in
            try await own.execute("SET search_path = elsewhere").commit()
            #expect(try await own.execute("SHOW search_path").one(String.self) == "elsewhere")
            own.execute("BEGIN")
            own.execute("CREATE TABLE never (a int)")
        }
        for _ in 0..<10 { #expect(try await db.execute("SHOW search_path").one(String.self) == before) }
        #expect(try await db.execute("SELECT to_regclass('never')::text").one(String?.self) == nil)
        await skein.shutdown()
    }

    @Test("a million rows in little memory; an abandoned iteration releases the connection")
    func streams() async throws {
        let (skein, db) = try await database("pool_size=2")
        var sum = 0
        let before = ProcessMemory.resident ?? 0
        for try await row in db.stream("SELECT i, repeat('x', 2000) AS text FROM generate_series(1, \(100_000)) AS i") {
            sum += row[0].int ?? 0
        }
        #expect(sum == 100_000 * 100_001 / 2)
        #expect((ProcessMemory.resident ?? 0) - before < 64 << 20)
        for _ in 0..<5 {
            for try await row in db.stream("SELECT generate_series(1, 100000000) AS i", piece: 10) {
                if row[0].int == 25 { break }
            }
        }
        await #expect(throws: SkeinError.self) {
            for try await _ in db.stream("SELECT 1 / (3 - i) FROM generate_series(1, 10) AS i", piece: 1) {}
        }
        #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        #expect(await db.connectionCount <= 2)
        await skein.shutdown()
    }

    @Test("rows in bulk, in and out; psql sees the same")
    func copying() async throws {
        let (skein, db) = try await database()
        try await db.execute("CREATE TABLE bulk (id int, word text)").commit()
        let lines = AsyncStream<ByteBuffer> { continuation in
            for number in 0..<100_000 { continuation.yield(ByteBuffer(string: "\(number),\"word, \(number)\"\n")) }
            continuation.finish()
        }
        #expect(try await db.copyIn("COPY bulk FROM STDIN (FORMAT csv)", lines) == 100_000)
        #expect(
            try await PostgresPeer.shared.get().query("SELECT count(*), sum(id), max(word) FROM bulk")
                == "100000|4999950000|word, 99999")
        var bytes = 0
        for try await piece in db.copyOut("COPY bulk TO STDOUT (FORMAT csv)") { bytes += piece.readableBytes }
        #expect(bytes > 1_900_000)
        let wrong = AsyncStream<ByteBuffer> { continuation in
            continuation.yield(ByteBuffer(string: "no number,x\n"))
            continuation.finish()
        }
        let error = await #expect(throws: SkeinError.self) {
            _ = try await db.copyIn("COPY bulk FROM STDIN (FORMAT csv)", wrong)
        }
        #expect(error?.sql?.sqlState == "22P02")
        await #expect(throws: SkeinError.self) { _ = try await db.copyIn("SELECT 1", wrong) }
        #expect(try await db.execute("SELECT count(*) FROM bulk").one(Int.self) == 100_000)
        await skein.shutdown()
    }

    @Test("notifications between sessions")
    func notifications() async throws {
        let (skein, db) = try await database()
        let words = try await db.listen("jobs", "Odd Name")
        var walk = words.makeAsyncIterator()
        _ = try await PostgresPeer.shared.get().query("NOTIFY jobs, 'weave'")
        let first = try await walk.next()
        #expect(first?.channel == "jobs" && first?.payload == "weave")
        try await db.notify("Odd Name", "ü").commit()
        #expect(try await walk.next()?.payload == "ü")
        await words.stop()
        #expect(try await walk.next() == nil)
        await skein.shutdown()
    }

    @Test("a cancelled statement stops on the server; its neighbours are not affected")
    func cancelling() async throws {
        let (skein, db) = try await database("pool_size=2")
        let slow = db.execute("SELECT pg_sleep(60) /* given up */")
        let late = db.execute("SELECT pg_sleep(60) /* given up */", timeout: .milliseconds(300))
        try await PostgresPeer.shared.get().untilActive("SELECT pg_sleep(60)%given up%")
        let neighbours = (0..<50).map { db.execute("SELECT \($0)::int") }
        slow.cancel()
        #expect(await slow.dispatch().failure?.code == .cancelled)
        #expect(await late.dispatch().failure?.code == .timeout)
        for (number, call) in neighbours.enumerated() { #expect(try await call.one(Int.self) == number) }
        let peer = try await PostgresPeer.shared.get()
        for attempt in 0... {
            let left = try await peer.query(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%given up%' AND state = 'active'"
            )
            if left == "0" { break }
            guard attempt < 100 else { throw PeerError("the server goes on") }
            try await Task.sleep(for: .milliseconds(20))
        }
        await skein.shutdown()
    }

    @Test("a slow statement delays the others only briefly")
    func growing() async throws {
        let (skein, db) = try await database("pool_size=3")
        _ = try await db.execute("SELECT 1").one(Int.self)
        let slow = db.execute("SELECT pg_sleep(100)", timeout: .seconds(100))
        // Statements sent at the same moment are behind it; this takes longer.
        try await PostgresPeer.shared.get().untilActive("SELECT pg_sleep(100)")
        for number in 0..<50 { #expect(try await db.execute("SELECT \(number)::int").one(Int.self) == number) }
        #expect(!slow.isOver, "\(slow.result?.reason ?? "")")
        #expect(await db.connectionCount == 2)
        slow.cancel()
        await skein.shutdown()
    }

    @Test(
        "a server that dies under load: an answer or an error for each, no answer for another; then all is well again")
    func crash() async throws {
        let peer = try await PostgresPeer()
        let skein = SkeinClient(concurrency: 1000)
        let db = try skein.postgres(peer.url(query: "sslmode=disable&timeout=10"))
        let load = Task {
            await withTaskGroup(of: (Int, Int).self) { group in
                for caller in 0..<32 {
                    group.addTask {
                        var good = 0
                        var bad = 0
                        for turn in 0..<300 {
                            let tag = "\(caller) \(turn)"
                            let response = await db.execute("SELECT \(tag)::text").dispatch()
                            if response.statusCode == 200 {
                                #expect(response.content.first?[0].string == tag)
                                good += 1
                            } else {
                                bad += 1
                                try? await Task.sleep(for: .milliseconds(10))
                            }
                        }
                        return (good, bad)
                    }
                }
                return await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
            }
        }
        try await Task.sleep(for: .milliseconds(100))
        await peer.crash()
        try await peer.restart()
        let (good, bad) = await load.value
        #expect(good + bad == 32 * 300)
        #expect(try await db.execute("SELECT 'well'").one(String.self) == "well")
        // Terminated while idle: the next statement finds another connection.
        await peer.stop()
        try await peer.restart()
        #expect(try await db.execute("SELECT 'again'").one(String.self) == "again")
        await peer.stop()
        #expect(await db.execute("SELECT 1").dispatch().outcome == .networkError)
        await skein.shutdown()
    }

    @Test("a lease that timed out does not block the others")
    func inVain() async throws {
        let skein = SkeinClient()
        var options = try PostgresConfiguration(try await PostgresPeer.shared.get().url(query: "pool_size=1"))
        options.pool.leaseTimeout = .milliseconds(200)
        let db = skein.postgres(options)
        let slow = db.execute("SELECT pg_sleep(1)")
        let error = await #expect(throws: SkeinError.self) { try await db.begin() }
        #expect(error?.code == .timeout)
        #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        #expect(await slow.dispatch().statusCode == 200)
        let tx = try await db.begin()
        let behind = db.execute("SELECT 2")
        #expect(try await tx.execute("SELECT 3").one(Int.self) == 3)
        await tx.end()
        #expect(try await behind.one(Int.self) == 2)
        await skein.shutdown()
    }

    @Test("unread bulk data and notifications do not return with their connection")
    func untaken() async throws {
        let (skein, db) = try await database("pool_size=2")
        for _ in 0..<4 {
            for try await piece in db.copyOut(
                "COPY (SELECT repeat('x', 10000) FROM generate_series(1, 2000)) TO STDOUT")
            {
                if piece.readableBytes > 0 { break }
            }
            let words = try await db.listen("flood")
            _ = try await PostgresPeer.shared.get().query(
                "SELECT pg_notify('flood', i::text) FROM generate_series(1, 12000) i")
            var walk = words.makeAsyncIterator()
            #expect(try await walk.next()?.payload == "1")
            await words.stop()
            #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        }
        await skein.shutdown()
    }

    @Test("sessions ended by the administrator: statements in flight are repeated elsewhere")
    func terminated() async throws {
        let (skein, db) = try await database("pool_size=2&application_name=ended")
        let holder = try await db.begin()
        try await holder.execute("SELECT pg_advisory_xact_lock(77)").commit()
        let slow = db.execute("SELECT pg_advisory_xact_lock_shared(77)::text, pg_backend_pid() AS process")
        let peer = try await PostgresPeer.shared.get()
        let process = try await peer.untilActive("SELECT pg_advisory_xact_lock_shared(77)%")
        _ = try await peer.query("SELECT pg_terminate_backend(\(process))")
        try await holder.commit()
        let done = try await slow.one().process?.int
        #expect(done != nil && done != process)
        await skein.shutdown()
    }
}
