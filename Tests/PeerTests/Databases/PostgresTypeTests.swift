import Foundation
import PeerSupport
import Skein
import SkeinPostgres
import SkeinSQL
import Testing

/// The same data for Skein, psycopg and asyncpg.
@Suite("PostgreSQL: types", .timeLimit(.minutes(2)))
struct PostgresTypeTests {
    /// Each type: a literal of the server, and its value here.
    static let cells: [(type: String, literal: String, value: SQLValue)] = [
        ("bool", "'t'", true), ("int2", "'-32768'", -32768), ("int4", "'2147483647'", 2_147_483_647),
        ("int8", "'-9223372036854775808'", .integer(.min)), ("oid", "'4294967295'", 4_294_967_295),
        ("float4", "'1.5'", 1.5), ("float8", "'-2.5e-300'", -2.5e-300), ("float8", "'infinity'", .double(.infinity)),
        ("numeric", "'0'", .numeric("0")), ("numeric", "'-0.000012345'", .numeric("-0.000012345")),
        ("numeric", "'12345678901234567890123456789.00100'", .numeric("12345678901234567890123456789.00100")),
        ("numeric", "'1e10'", .numeric("10000000000")), ("numeric", "'NaN'", .numeric("NaN")),
        ("numeric", "'-Infinity'", .numeric("-Infinity")), ("numeric", "'10000.0001'", .numeric("10000.0001")),
        ("text", "E'a \"b\" \\\\ ü \\U0001F9F6'", "a \"b\" \\ ü \u{1F9F6}"), ("varchar(5)", "'abc'", "abc"),
        ("char(4)", "'ab'", "ab  "), ("name", "'pg'", "pg"), ("\"char\"", "'x'", "x"),
        ("bytea", "'\\x00ff5c'", .bytes([0, 255, 0x5C])), ("uuid", "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'", uuid),
        ("timestamp", "'2026-03-01 12:00:00.000001'", stamp("2026-03-01 12:00:00.000001", zoned: false)),
        ("timestamptz", "'2026-03-01 12:00:00+02'", stamp("2026-03-01 10:00:00+00", zoned: true)),
        ("timestamptz", "'infinity'", .timestamp(SQLTimestamp(microseconds: .max))),
        (
            "timestamp", "'0044-03-15 00:00:00 BC'",
            .timestamp(
                SQLTimestamp(
                    microseconds: Int64(SQLDate(year: -43, month: 3, day: 15).days) * 86_400_000_000, isZoned: false))
        ),
        ("date", "'1969-12-31'", .date(SQLDate(days: -1))),
        ("date", "'2400-02-29'", .date(SQLDate(year: 2400, month: 2, day: 29))),
        ("time", "'23:59:59.5'", .time(SQLTime(microseconds: 86_399_500_000))),
        ("timetz", "'12:00:00-03:30'", .time(SQLTime(microseconds: 43_200_000_000, offset: -12600))),
        (
            "interval", "'1 year 2 mons 3 days -04:05:06.5'",
            .interval(SQLInterval(months: 14, days: 3, microseconds: -14_706_500_000))
        ),
        ("json", "'{\"a\": 1}'", .json("{\"a\": 1}")), ("jsonb", "'[1, null]'", .json("[1, null]")),
        ("inet", "'10.1.2.3/8'", "10.1.2.3/8"), ("inet", "'::1'", "::1"),
        ("cidr", "'192.168.0.0/16'", "192.168.0.0/16"),
        ("int4[]", "'{1,NULL,3}'", [1, .null, 3]),
        ("text[]", "'{\"a,b\",\"NULL\",\"\",\"\\\"\"}'", ["a,b", "NULL", "", "\""]),
        ("int8[]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]), ("uuid[]", "'{}'", []),
        ("numeric[]", "'{1.5}'", [.numeric("1.5")]),
        ("timestamptz[]", "'{2026-03-01 10:00:00+00}'", [stamp("2026-03-01 10:00:00+00", zoned: true)]),
        ("int4range", "'[1,5)'", .range(SQLRange(1, 5))),
        ("int8range", "'empty'", .range(SQLRange(nil, nil, isEmpty: true))),
        ("daterange", "'[2026-01-01,)'", .range(SQLRange(.date(SQLDate(year: 2026, month: 1, day: 1)), nil))),
        ("numrange", "'(,1.5]'", .range(SQLRange(nil, .numeric("1.5"), includesLower: false, includesUpper: true))),
        ("int4multirange", "'{[1,3),[5,7)}'", .ranges([SQLRange(1, 3), SQLRange(5, 7)])),
        ("mood", "'happy'", "happy"), ("pair", "'(1,\"a b\")'", "(1,\"a b\")"),
        ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
        ("point", "'(1,2)'", "(1,2)"), ("money", "'12.50'", "$12.50"), ("xml", "'<a/>'", "<a/>"),
        ("bit(3)", "'101'", "101"),
    ]

    private static let uuid = SQLValue.uuid(UUID(uuidString: "6ba7b810-9dad-11d1-80b4-00c04fd430c8") ?? UUID())

    private static func stamp(_ text: String, zoned: Bool) -> SQLValue {
        .timestamp(SQLTimestamp(microseconds: SQLTimestamp(text)?.microseconds ?? 0, isZoned: zoned))
    }

    private static let prepared = SharedPeer { () async throws -> PostgresPeer in
        let peer = try await PostgresPeer.shared.get()
        _ = try await peer.query("CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE TYPE pair AS (a int, b text)")
        return peer
    }

    @Test("every type is decoded, sent back, and equal for the server")
    func roundTrips() async throws {
        let peer = try await Self.prepared.get()
        let skein = SkeinClient()
        let db = try skein.postgres(peer.url())
        for (type, literal, value) in Self.cells {
            let row = try await db.execute(
                SQL(
                    unsafe:
                        "SELECT \(literal)::\(type) AS cell, NULL::\(type) AS none, ARRAY[\(literal)::\(type)] AS list")
            ).one()
            let cell = row[0]
            if type != "money" { #expect(cell == value, "\(type)") }
            #expect(row[1].isNull)
            let text = try await db.execute(SQL(unsafe: "SELECT (\(literal)::\(type))::text")).one(String.self)
            if !["bool", "float8", "char(4)", "interval", "json", "jsonb", "inet"].contains(type), !type.hasSuffix("[]")
            {
                #expect(cell.description == text, "\(type)")
            }
            // Back: as a parameter whose type the server determines.
            if type != "json", type != "xml", type != "point" {
                let equal = try await db.execute(
                    SQL(
                        unsafe: "SELECT $1::\(type) = \(literal)::\(type), $2::\(type) IS NULL",
                        parameters: [cell, SQLValue.null])
                ).one()
                #expect(equal[0] == true && equal[1] == true, "\(type)")
            }
        }
        let record = try await db.execute("SELECT ROW(1, 'a', NULL::int, ARRAY[1.5])").one()
        // Its fields may be of any type, whose text form only the server knows.
        #expect(record[0] == .record(["1", "a", .null, "{1.5}"]))
        await skein.shutdown()
    }

    @Test("values out of range are refused by the server, with typed errors")
    func range() async throws {
        let skein = SkeinClient()
        let db = try skein.postgres(try await PostgresPeer.shared.get().url())
        #expect(await db.execute("SELECT \(40_000)::int2").dispatch().sqlError?.sqlState == "22003")
        #expect(await db.execute("SELECT \(UInt64.max)::int8").dispatch().sqlError?.sqlState == "22003")
        #expect(await db.execute("SELECT \("x")::int4").dispatch().sqlError?.sqlState == "22P02")
        #expect(try await db.execute("SELECT \(UInt64.max)::numeric").one(UInt64.self) == .max)
        #expect(try await db.execute("SELECT \("17")::int4").one(Int.self) == 17)
        #expect(try await db.execute("SELECT \(17)::text").one(String.self) == "17")
        let small = await #expect(throws: SkeinError.self) { try await db.execute("SELECT 300").one(Int8.self) }
        #expect(small?.code == .invalidContent && small?.message.contains("300") == true)
        let none = await #expect(throws: SkeinError.self) { try await db.execute("SELECT NULL::int").one(Int.self) }
        #expect(none?.message.contains("optional") == true)
        let count = await db.execute(SQL(unsafe: "SELECT $1::int", parameters: [])).dispatch()
        #expect(count.failure?.message.contains("1 parameters") == true)
        await skein.shutdown()
    }

    private struct Mixed: Codable, Equatable {
        enum Mood: String, Codable { case happy, sad }
        struct Note: Codable, Equatable { var tags: [String] }
        var id: Int
        var name: String?
        var price: Decimal
        var at: Date
        var key: UUID
        var bytes: Data
        var tags: [String]
        var note: Note
        var mood: Mood
        var day: SQLDate?

        enum CodingKeys: String, CodingKey { case id, name, price, at, key, bytes, tags, note, mood }
    }

    @Test("values of psycopg are read, and asyncpg reads ours")
    func python() async throws {
        let peer = try await Self.prepared.get()
        let skein = SkeinClient()
        let db = try skein.postgres(peer.url())
        try await db.execute(
            "CREATE TABLE mixed (id int PRIMARY KEY, name text, price numeric, at timestamptz, key uuid, bytes bytea, tags text[], note jsonb, mood mood)"
        ).commit()
        let script = """
            import asyncio, datetime, decimal, json, sys, uuid, asyncpg, psycopg
            url = sys.argv[1]
            key = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
            if sys.argv[2] == "write":
                with psycopg.connect(url) as db:
                    at = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)
                    db.execute("INSERT INTO mixed VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                        (1, "ü", decimal.Decimal("12.50"), at, key, b"\\x00\\xff", ["a", "b,c"], json.dumps({"tags": ["x"]}), "sad"))
            else:
                async def main():
                    db = await asyncpg.connect(url)
                    row = dict(await db.fetchrow("SELECT * FROM mixed WHERE id = 2"))
                    print(row["name"], row["price"], row["at"].isoformat(), row["key"] == key, row["bytes"], row["tags"], row["note"], row["mood"])
                asyncio.run(main())
            """
        let wrote = try await runToEnd(Peers.python(), ["-c", script, peer.url(), "write"])
        #expect(wrote.code == 0, "\(wrote.errors)")
        var mixed = try await db.execute("SELECT * FROM mixed").one(Mixed.self)
        let expected = Mixed(
            id: 1, name: "ü", price: 12.5, at: Date(timeIntervalSince1970: 1_772_366_400),
            key: try #require(Self.uuid.string.flatMap { UUID(uuidString: $0) }),
            bytes: Data([0, 255]), tags: ["a", "b,c"], note: Mixed.Note(tags: ["x"]), mood: .sad)
        #expect(mixed == expected)
        mixed.id = 2
        mixed.name = nil
        try await db.execute(try Query.insert("mixed").data(encoding: mixed)).commit()
        let read = try await runToEnd(Peers.python(), ["-c", script, peer.url(), "read"])
        #expect(
            read.output
                == "None 12.5 2026-03-01T12:00:00+00:00 True b'\\x00\\xff' ['a', 'b,c'] {\"tags\": [\"x\"]} sad\n",
            "\(read.errors)")
        await skein.shutdown()
    }
}
