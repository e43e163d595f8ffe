import Foundation
import PeerSupport
import Skein
import Testing

/// PostgreSQL 15 and its own client.
@Suite("PostgreSQL", .timeLimit(.minutes(3)))
struct PostgresTests {
    private func database(_ user: String = "weaver", password: String? = nil, query: String = "") async throws -> (
        Skein, PostgresClient
    ) {
        let skein = Skein(concurrency: 1000)
        return (skein, try skein.postgres(try await PostgresPeer.shared.get().url(user, password: password, query: query)))
    }

    // MARK: Sessions

    @Test(
        "each way of authentication",
        arguments: [("weaver", nil), ("scram", "s3cret"), ("hashed", "s3cret"), ("plain", "s3cret")] as [(String, String?)],
        ["disable", "prefer", "require"])
    func authentication(user: (String, String?), mode: String) async throws {
        let (skein, db) = try await database(user.0, password: user.1, query: "sslmode=\(mode)")
        let row = try await db.execute(
            "SELECT current_user::text AS name, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls").one()
        #expect(row.name?.string == user.0)
        #expect(row.tls?.bool == (mode != "disable"))
        await skein.shutdown()
    }

    @Test("the user of the process, over the unix socket")
    func peer() async throws {
        let peer = try await PostgresPeer.shared.get()
        let skein = Skein()
        let db = try skein.postgres("host=\(peer.folder) port=\(peer.port) user=\(NSUserName()) dbname=postgres")
        #expect(try await db.execute("SELECT current_user::text").one(String.self) == NSUserName())
        await skein.shutdown()
    }

    @Test("a wrong password and a server with the wrong name are refused in one sentence")
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
        let (_, bound) = try await database("scram", password: "s3cret", query: "sslmode=require&channel_binding=require")
        #expect(try await bound.execute("SELECT 1").one(Int.self) == 1)
        let (_, unbound) = try await database("hashed", password: "s3cret", query: "sslmode=disable&channel_binding=require")
        #expect(await unbound.execute("SELECT 1").dispatch().statusCode == 706)
        await skein.shutdown()
    }

    @Test("of several hosts, the one that answers and is what is wanted")
    func hosts() async throws {
        let peer = try await PostgresPeer.shared.get()
        let gone = try await Ports.free()
        let skein = Skein()
        let list = "127.0.0.1:\(gone),127.0.0.1:\(peer.port)"
        let db = try skein.postgres("postgres://weaver@\(list)/postgres?target_session_attrs=read-write")
        #expect(try await db.execute("SELECT 1").one(Int.self) == 1)
        let standby = try skein.postgres("postgres://weaver@\(list)/postgres?target_session_attrs=standby")
        #expect(await standby.execute("SELECT 1").dispatch().failure?.message.contains("no standby") == true)
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

    @Test("rows by name, by place, as a type; one is 410 unless there is one, 409 when it is there already")
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
                Weather(city: "Hayward", tempLo: 37, prcp: nil), Weather(city: "San  Francisco", tempLo: 46, prcp: 0.25),
            ])
        let city = "Hayward"
        #expect(try await db.execute("SELECT * FROM weather WHERE city = \(city)").one(Weather.self).tempLo == 37)
        let many = await #expect(throws: SkeinError.self) { try await db.execute("SELECT * FROM weather").one(Weather.self) }
        #expect(many?.code.rawValue == 410)
        let again = await #expect(throws: SkeinError.self) {
            try await db.execute("INSERT INTO weather VALUES (\(city), 1, 2) RETURNING city").one(String.self)
        }
        #expect(again?.code.rawValue == 409)
        #expect(again?.sql?.sqlState == "23505" && again?.sql?.constraint == "weather_pkey")
        await skein.shutdown()
    }

    @Test("what is interpolated is bound, whatever it says")
    func injection() async throws {
        let (skein, db) = try await database()
        let words = [
            "'; DROP TABLE pg_class; --", "\\'; SELECT 1", "$1", "$$", "\"", "ü\u{1F9F6}", "", "%", "a\nb", "NULL", "{1,2}", "\u{202E}",
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

    @Test("a statement that fails does so alone, among hundreds on one connection")
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

    @Test("several statements at once; those that concern a session are refused with advice")
    func scripts() async throws {
        let (skein, db) = try await database()
        try await db.execute("drop table if exists people; create table people (name text, age int); insert into people values ('Cho', 42);")
            .commit()
        #expect(try await db.execute("SELECT age FROM people").one(Int.self) == 42)
        let rows = try await db.script("SELECT 1 AS a; SELECT 2 AS b").fetch()
        #expect(rows.columns == ["b"] && rows[0][0].int == 2)
        #expect(await db.execute("SELEC 1; SELECT 2").dispatch().sqlError?.sqlState == "42601")
        for text: SQL in ["BEGIN", "  set search_path = x", "LISTEN a", "COPY people FROM STDIN", "commit"] {
            #expect(await db.execute(text).dispatch().failure?.code == .exception)
        }
        await skein.shutdown()
    }

    @Test("a table that changes under prepared statements does not disturb them")
    func stale() async throws {
        let (skein, db) = try await database(query: "pool_size=1")
        try await db.script("DROP TABLE IF EXISTS moving; CREATE TABLE moving (a int); INSERT INTO moving VALUES (1)").commit()
        #expect(try await db.execute("SELECT * FROM moving").fetch().columns == ["a"])
        try await db.execute("ALTER TABLE moving ADD b text DEFAULT 'x'").commit()
        #expect(try await db.execute("SELECT * FROM moving").fetch().columns == ["a", "b"])
        try await db.withConnection { try await $0.execute("DEALLOCATE ALL").commit() }
        #expect(try await db.execute("SELECT * FROM moving").fetch().count == 1)
        await skein.shutdown()
    }
}
