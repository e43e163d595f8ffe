import Foundation
import PeerSupport
import Skein
import SkeinPostgres
import SkeinSQL
import SkeinSQLite
import Testing

/// Generated values through PostgreSQL and SQLite, written and read by the library and by the program, compared with
/// psql and Python's sqlite3.
@Suite("Exactness: SQL", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ExactSQLTests {
    /// A type, and the text of a value as PostgreSQL reads it.
    private struct Value {
        let type: String
        let text: String
    }

    private static func clock(_ random: inout SeededGenerator) -> String {
        let parts = [23, 59, 59].map { limit in
            let number = random.number(0...limit)
            return number < 10 ? "0\(number)" : "\(number)"
        }
        return parts.joined(separator: ":")
            + (random.number(0...1) == 0 ? "" : "." + random.digits(random.number(1...6)))
    }

    private static func date(_ random: inout SeededGenerator) -> String {
        let year = random.pick([1, 44, 1582, 1900, 1969, 1970, 1999, 2000, 2026, 9999, 10_000, 200_000])
        return String(format: "%04d-%02d-%02d", year, random.number(1...12), random.number(1...28))
    }

    /// A decimal number with a maximum number of digits on each side of the point.
    private static func decimal(_ random: inout SeededGenerator, _ whole: Int, _ fraction: Int) -> String {
        let sign = random.pick(["", "-"])
        let behind = (0..<random.number(0...fraction)).map { _ in "\(random.number(0...9))" }.joined()
        return sign + random.digits(random.number(1...whole)) + (behind.isEmpty ? "" : ".\(behind)")
    }

    private static func double(_ random: inout SeededGenerator) -> String {
        let value = Double(bitPattern: random.next())
        return value.isFinite
            ? "\(value)" : random.pick(["0.1", "1e15", "123456789012345", "1234567890123456", "-0", "NaN", "Infinity"])
    }

    /// A value of PostgreSQL.
    private static func value(_ random: inout SeededGenerator) -> Value {
        func quoted(_ text: String) -> String {
            "\"" + text.replacingBytes("\\", with: "\\\\").replacingBytes("\"", with: "\\\"") + "\""
        }
        let type = random.pick([
            "int2", "int4", "int8", "numeric", "float4", "float8", "text", "bytea", "bool", "date", "timestamp",
            "timestamptz",
            "time", "timetz", "interval", "uuid", "json", "jsonb", "inet", "cidr", "macaddr", "\"char\"", "varchar",
            "bit varying",
            "int4[]", "text[]", "numeric[]", "timestamp[]", "bool[]", "float4[]", "inet[]", "int4range", "numrange",
            "tsrange",
            "daterange", "int8multirange", "point", "oid", "name", "money", "mood", "mood[]", "posint", "posint[]",
            "pair", "pair[]",
            "pg_lsn", "regtype", "xml", "tsvector", "int2vector", "box", "interval[]",
        ])
        let text: String
        switch type {
        case "int2": text = "\(random.number(-32768...32767))"
        case "int4": text = "\(random.number(-2_147_483_648...2_147_483_647))"
        case "int8": text = "\(Int64(bitPattern: random.next()))"
        case "oid": text = "\(random.number(0...4_294_967_295))"
        case "numeric": text = decimal(&random, 40, 30)
        case "float8": text = double(&random)
        case "float4":
            text = "\(Float(random.number(-9_999_999...9_999_999)) / Float(random.pick([1, 10, 1000, 100_000])))"
        case "text", "varchar": text = random.text(random.number(0...12))
        case "name": text = "n\(random.number(0...9999))"
        case "bytea": text = "\\x" + random.bytes(random.number(0...12)).map { String(format: "%02x", $0) }.joined()
        case "bool": text = random.pick(["t", "f"])
        case "date":
            text = random.number(0...9) == 0 ? random.pick(["infinity", "-infinity", "0044-03-15 BC"]) : date(&random)
        case "timestamp", "timestamptz":
            text =
                random.number(0...9) == 0
                ? random.pick([
                    "infinity", "-infinity", "294276-12-31 23:59:59.999999", "0044-03-15 01:02:03 BC",
                    "4713-01-01 00:00:00 BC",
                ])
                : "\(date(&random)) \(clock(&random))"
        case "time": text = random.number(0...9) == 0 ? "24:00:00" : clock(&random)
        case "timetz": text = clock(&random) + random.pick(["+00", "-03:30", "+05:45", "+14"])
        case "interval", "interval[]":
            let parts = ["year", "mon", "day"].filter { _ in random.number(0...1) == 0 }.map {
                "\(random.number(-99...99)) \($0)s"
            }
            let one = (parts + [random.pick(["", "-"]) + clock(&random)]).joined(separator: " ")
            text = type == "interval" ? one : "{\"\(one)\"}"
        case "uuid":
            text = UUID(uuid: random.bytes(16).withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) }).uuidString
                .lowercased()
        case "json": text = "{\"v\": \(decimal(&random, 20, 20)), \"v\" : [1.10, \(JSONValue.string(random.text(4)))]}"
        case "jsonb": text = "{\"v\": \(decimal(&random, 20, 20)), \"w\": \(JSONValue.string(random.text(4)))}"
        case "inet", "inet[]":
            let one = random.pick([
                "10.1.2.3/8", "192.168.1.1", "::1", "2001:db8::1/64", "::ffff:1.2.3.4", "::/0", "fe80::1", "1::8",
                "::1.2.3.4",
            ])
            text = type == "inet" ? one : "{\(one),NULL}"
        case "cidr": text = random.pick(["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "::/0"])
        case "macaddr": text = "08:00:2b:01:02:0\(random.number(0...9))"
        case "\"char\"": text = random.pick(["x", "", "\"", "\\", ",", " "])
        case "bit varying": text = (0..<random.number(0...9)).map { _ in "\(random.number(0...1))" }.joined()
        case "int4[]":
            text = random.pick([
                "{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[2:4]={1,2,3}", "[0:1][-1:0]={{1,2},{3,4}}",
                "{\(random.number(0...99))}",
            ])
        case "text[]":
            text =
                "{"
                + (0..<random.number(0...4)).map { _ in quoted(random.text(random.number(0...6))) }.joined(
                    separator: ",") + "}"
        case "numeric[]": text = "{\(decimal(&random, 20, 20)),NULL}"
        case "float4[]": text = "{0.1,\(Float(random.number(-99_999...99_999)) / 1000),1e-10,3.4e38}"
        case "timestamp[]": text = "{\"\(date(&random)) \(clock(&random))\",NULL}"
        case "bool[]": text = "{t,f,NULL}"
        case "int4range": text = random.pick(["empty", "[1,5)", "(,7)", "[3,)", "(,)"])
        case "numrange": text = random.pick(["(1.10,2.5]", "[0.1,)", "empty"])
        case "tsrange": text = "[\"2026-01-01 00:00:00\",\"2026-01-02 \(clock(&random))\")"
        case "daterange": text = "[2026-01-01,infinity)"
        case "int8multirange": text = random.pick(["{}", "{[1,3),[5,7)}", "{(,1)}"])
        case "point": text = "(\(random.number(-9...9)).5,1e+20)"
        case "box": text = "(1,2),(0,0)"
        case "money": text = random.pick(["$1,234.50", "-$0.01", "$0.00"])
        case "mood": text = random.pick(["happy", "so, so", "a\"b"])
        case "mood[]": text = "{happy,\"so, so\",NULL}"
        case "posint": text = "\(random.number(1...999))"
        case "posint[]": text = "{\(random.number(1...999)),NULL}"
        case "pair": text = random.pick(["(1,\"a b\")", "(,)", "(7,\"\")", "(7,\"x\"\"y\\\\\\\\z\")", "(0,\"(1,2)\")"])
        case "pair[]": text = "{\"(1,\\\"a b\\\")\",\"(,)\",NULL}"
        case "pg_lsn": text = "16/B374D8\(random.number(10...99))"
        case "regtype": text = random.pick(["integer", "text", "timestamp with time zone"])
        case "xml": text = "<a b=\"\(random.number(0...9))\">ü</a>"
        case "tsvector": text = "'a':1 'fat':2,4B 'x y':3"
        default: text = "1 2 3"  // int2vector, whose bounds begin at 0
        }
        return Value(type: type, text: text)
    }

    private static let prepared = SharedPeer { () async throws -> PostgresPeer in
        let peer = try await PostgresPeer.shared.get()
        _ = try await peer.query(
            """
            CREATE SCHEMA exact; CREATE TYPE exact.mood AS ENUM ('happy', 'so, so', 'a"b');
            CREATE DOMAIN exact.posint AS int CHECK (VALUE > 0); CREATE TYPE exact.pair AS (a int, b text);
            """)
        return peer
    }

    private func postgres(_ more: String = "") async throws -> (SkeinClient, PostgresClient) {
        let skein = SkeinClient()
        let options = "options=-c%20TimeZone%3DUTC%20-c%20search_path%3Dexact%2Cpublic\(more)"
        return (skein, try skein.postgres(try await Self.prepared.get().url(query: options)))
    }

    @Test(
        "2000 values of PostgreSQL, read and written, are what psql shows",
        arguments: ["postgres", "sql_standard", "iso_8601", "postgres_verbose"])
    func values(style: String) async throws {
        let (skein, db) = try await postgres("%20-c%20IntervalStyle%3D\(style)")
        var random = SeededGenerator(seed: style.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
        var differences = 0
        for _ in 0..<500 {
            let value = Self.value(&random)
            // The server's own output, in its default style: as psql shows it.
            let text = SQL(
                unsafe: "SELECT $1::\(value.type), format('%s', $1::\(value.type)), ROW($1::\(value.type), 'x')",
                parameters: [SQLValue.text(value.text)])
            let response = await db.execute(text).dispatch()
            guard let row = response.content.first else {
                Issue.record("\(value.type) \(value.text): \(response.reason)")
                continue
            }
            guard let shown = row[1].string else { continue }
            let isInterval = value.type.hasPrefix("interval")
            // Real numbers beyond six digits are written without an exponent; the server uses one.
            let isSame =
                row[0].description.equalsBytes(shown) || value.type == "bool" || style != "postgres" && isInterval
                || value.type.hasPrefix("float4") && Self.floats(row[0].description) == Self.floats(shown)
            if !isSame {
                differences += 1
                Issue.record(
                    "\(value.type) \(value.text.debugDescription): read as \(row[0].description.debugDescription), psql shows \(shown.debugDescription)"
                )
            }
            // Back, as a parameter whose type the server determines, and alone.
            let back = await db.execute(
                SQL(
                    unsafe: "SELECT format('%s', $1::\(value.type)), format('%s', (ARRAY[$1::\(value.type)])[1])",
                    parameters: [row[0]])
            ).dispatch()
            if value.type == "int2vector" { continue }  // the server has no arrays of it
            let written = back.content.first?[0].string
            if written.map({ $0.equalsBytes(shown) }) != true {
                differences += 1
                Issue.record(
                    "\(value.type) \(value.text.debugDescription): written as \(written ?? back.reason), was \(shown)")
            }
            // In a record, whose fields may be of any type.
            if case .record(let fields) = row[2] {
                #expect(
                    fields.count == 2 && fields[0].string?.equalsBytes(shown) == true,
                    "\(value.type) \(fields), \(shown)")
            } else {
                Issue.record("\(value.type): no record")
            }
            if differences > 20 { break }
        }
        await skein.shutdown()
    }

    private static func floats(_ text: String) -> [Float?] {
        text.split { "{},".contains($0) }.map { Float($0) }
    }

    @Test("300 rows of a table as CSV and as JSON are what psql prints and what the server makes of them")
    func program() async throws {
        let peer = try await Self.prepared.get()
        var random = SeededGenerator(seed: 3)
        var lines: [String] = []
        for number in 0..<300 {
            let cells = [
                Self.decimal(&random, 30, 20), "\(Int64(bitPattern: random.next()))",
                random.text(random.number(0...10)),
                "\\x" + random.bytes(random.number(0...6)).map { String(format: "%02x", $0) }.joined(),
                "{\"v\":\(Self.decimal(&random, 20, 10))}", "\(Self.date(&random)) \(Self.clock(&random))",
            ]
            let quoted = cells.map { "'" + $0.replacingBytes("'", with: "''") + "'" }.joined(separator: ", ")
            lines.append("INSERT INTO exact.t VALUES (\(number), \(quoted), \(number % 7 == 0 ? "NULL" : "'x'"));")
        }
        let script = try TestFolder.write(
            "CREATE TABLE exact.t (id int, n numeric, i int8, s text, b bytea, j jsonb, at timestamp, e text);\n"
                + lines.joined(separator: "\n"), as: "exact.sql")
        let made = try await runToEnd(CommandTests.skein, ["sql", peer.url(), "@\(script)"])
        #expect(made.code == 0, "\(made.errors)")
        let query = "SELECT * FROM exact.t ORDER BY id"
        let theirs = try await runToEnd("psql", ["-X", "--csv", "-c", query, peer.url()], environment: ["PGTZ": "UTC"])
        let ours = try await runToEnd(CommandTests.skein, ["sql", "--csv", peer.url(), query])
        let (left, right) = (Self.records(ours.output), Self.records(theirs.output))
        #expect(left.count == 301 && left.count == right.count)
        for (one, other) in zip(left, right) { #expect(one == other) }
        let json = try await runToEnd(CommandTests.skein, ["sql", "--json", peer.url(), query])
        let rows = try JSONValue(json: json.output).elements ?? []
        #expect(rows.count == 300)
        for (row, record) in zip(rows, right.dropFirst()) {
            #expect(row["n"].flatMap { if case .number(let number) = $0 { number.text } else { nil } } == record[1])
            #expect(row["i"].flatMap { if case .number(let number) = $0 { number.text } else { nil } } == record[2])
            #expect(row["s"]?.string?.equalsBytes(record[3]) == true)
            #expect(
                row["b"]?["$base64"]?.string.flatMap { Data(base64Encoded: $0) }.map {
                    "\\x" + $0.map { String(format: "%02x", $0) }.joined()
                } == record[4])
            #expect(row["j"]?["v"] == (try JSONValue(json: record[5]))["v"])
            #expect(row["e"] == (record[0].hasSuffix("x") ? nil : record[7].isEmpty ? .null : "x"))
        }
        let one = try await runToEnd(
            CommandTests.skein, ["sql", "--raw", peer.url(), "SELECT s FROM exact.t WHERE id = 5"])
        #expect(one.output.equalsBytes(right[6][3]))
    }

    /// The cells of CSV.
    private static func records(_ csv: String) -> [[String]] {
        var records: [[String]] = [[]]
        var cell: [UInt8] = []
        var isQuoted = false
        var rest = Array(csv.utf8)[...]
        func end() { records[records.count - 1].append(String(decoding: cell, as: UTF8.self)) }
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\"") where isQuoted && rest.first == byte: cell.append(rest.removeFirst())
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: ",") where !isQuoted:
                end()
                cell = []
            case UInt8(ascii: "\r") where !isQuoted: break
            case UInt8(ascii: "\n") where !isQuoted:
                end()
                cell = []
                records.append([])
            default: cell.append(byte)
            }
        }
        records.removeLast()
        return records
    }

    @Test(
        "what is typed behind -p arrives as it is typed, as psql takes a literal",
        arguments: [
            ("numeric", "12345678901234567.89"), ("text", "1.10"), ("json", "{\"v\":1.10}"),
            ("numeric", "123456789012345678901234567890"),
            ("text", "1e3"), ("bytea", "\\xdead"), ("int4[]", "{1,3}"), ("text", "yarn"), ("text", "007"),
            ("int8", "9223372036854775807"),
            ("text", "-5"), ("interval", "-1 days +01:00:00"), ("date", "infinity"), ("float4", "0.1"),
            ("text", "true"), ("text", "{1,3}"),
            ("text", " x "), ("jsonb", "[1, 2.50]"),
        ])
    func typed(type: String, word: String) async throws {
        let url = try await Self.prepared.get().url()
        let ours = try await runToEnd(
            CommandTests.skein, ["sql", "--raw", url, "SELECT ($1::\(type))::text", "-p", word])
        let theirs = try await runToEnd(
            "psql", ["-X", "-A", "-t", "-v", "word=\(word)", url], input: "SELECT (:'word'::\(type))::text")
        #expect(ours.code == 0 && ours.output + "\n" == theirs.output, "\(ours.errors)")
        let sqlite = try await runToEnd(
            CommandTests.skein, ["sql", "--raw", "sqlite::memory:", "SELECT CAST($1 AS TEXT)", "-p", word])
        #expect(sqlite.output == word)
    }

    @Test("arrays as JSON, null and text in quotation marks")
    func typedOtherwise() async throws {
        let url = try await Self.prepared.get().url()
        for (type, word, expected) in [
            ("int4[]", "[1,3]", "{1,3}"), ("text[]", "[\"a,b\", null, 1.10]", "{\"a,b\",NULL,1.10}"),
            ("int4[]", "[[1],[2]]", "{{1},{2}}"),
            ("text", "\"null\"", "null"), ("text", "null", "none"), ("text", "[1,3]", "[1,3]"),
        ] {
            let run = try await runToEnd(
                CommandTests.skein, ["sql", "--raw", url, "SELECT coalesce(($1::\(type))::text, 'none')", "-p", word])
            #expect(run.output == expected, "\(word): \(run.errors)")
        }
    }

    @Test("values that cannot be represented exactly are clear errors")
    func refused() async throws {
        let (skein, db) = try await postgres()
        #expect(await db.execute("SELECT \(1e300 as Double)::float4").dispatch().sqlError?.sqlState == "22003")
        #expect(await db.execute("SELECT \(1e-300)::float4").dispatch().sqlError?.sqlState == "22003")
        let nul = await db.execute("SELECT \("a\0b")::text").dispatch()
        #expect(nul.sqlError?.message.contains("0x00") == true)
        let error = await #expect(throws: SkeinError.self) {
            try await db.execute("SELECT 'infinity'::timestamptz").one(Date.self)
        }
        #expect(error?.message.contains("infinity") == true)
        await #expect(throws: SkeinError.self) { try await db.execute("SELECT '[2:3]={1,2}'::int[]").one([Int].self) }
        await #expect(throws: SkeinError.self) {
            try await db.execute("SELECT 1234567890123456789012345678901234567890.5::numeric").one(Decimal.self)
        }
        #expect(try await db.execute("SELECT '12.50'::numeric").one(Decimal.self) == Decimal(string: "12.5"))
        let day = SQLTimestamp(microseconds: .min + 1)
        #expect(await db.execute("SELECT \(day)::timestamptz").dispatch().refusal != nil)
        #expect(try await db.execute("SELECT \(1e15)::int8").one(Int.self) == 1_000_000_000_000_000)
        #expect(try await db.execute("SELECT ROW(NULL)").one()[0] == .record([.null]))
        let lite = try skein.sqlite("sqlite::memory:")
        #expect(await lite.execute("SELECT \(Double.nan)").dispatch().failure?.message.contains("NaN") == true)
        await skein.shutdown()
    }

    // MARK: SQLite

    @Test("2000 values of SQLite, written here and read by Python, and the other way round")
    func sqlite() async throws {
        let path = TestFolder.path("exact.db")
        let skein = SkeinClient()
        let db = try skein.sqlite("sqlite:\(path)")
        try await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").commit()
        let transaction = try await db.begin()
        var random = SeededGenerator(seed: 11)
        var expected: [String] = []
        for number in 0..<2000 {
            let value: SQLValue =
                switch random.number(0...3) {
                case 0: .integer(Int64(bitPattern: random.next()))
                case 1:
                    .double(
                        Double(Self.double(&random).replacing("NaN", with: "0.5").replacing("Infinity", with: "1e300"))
                            ?? 0)
                case 2: .text(random.text(random.number(0...9), from: "a\0'\"\\ü😀\u{301}\n\r"))
                default: .bytes(random.bytes(random.number(0...9)))
                }
            transaction.execute("INSERT INTO t VALUES (\(number), \(value))")
            switch value {
            case .integer(let number): expected.append("i\(number)")
            case .double(let number): expected.append("f" + String(number.bitPattern, radix: 16))
            case .text(let text): expected.append("t" + text.utf8.map { String(format: "%02x", $0) }.joined())
            case .bytes(let bytes): expected.append("b" + bytes.map { String(format: "%02x", $0) }.joined())
            default: break
            }
        }
        try await transaction.commit()
        let script = """
            import sqlite3, struct, sys
            db = sqlite3.connect(sys.argv[1])
            for (v,) in db.execute("SELECT v FROM t ORDER BY id").fetchall():
                print("i%d" % v if isinstance(v, int) else "f%x" % struct.unpack(">Q", struct.pack(">d", v)) if isinstance(v, float)
                    else "t" + v.encode().hex() if isinstance(v, str) else "b" + v.hex())
            db.execute("CREATE TABLE u AS SELECT * FROM t"); db.commit()
            """
        let python = try await runToEnd(Peers.python(), ["-c", script, path])
        let read = python.output.split(separator: "\n").map(String.init)
        #expect(read.count == 2000, "\(python.errors)")
        for (one, other) in zip(expected, read) { #expect(one == other) }
        let back = try await db.execute("SELECT u.v = t.v AND typeof(u.v) = typeof(t.v) FROM u JOIN t USING (id)").rows(
            Bool.self)
        #expect(back.count == 2000 && back.allSatisfy { $0 })
        let rows = try await db.execute("SELECT v FROM u ORDER BY id").fetch()
        for (row, text) in zip(rows, expected) {
            if case .text(let found) = row[0] {
                #expect("t" + found.utf8.map { String(format: "%02x", $0) }.joined() == text)
            }
        }
        #expect(try await db.execute("SELECT 'a'||char(0)||'b'").one(String.self).utf8.count == 3)
        #expect(try await db.execute("SELECT length(CAST(\("a\0b") AS BLOB))").one(Int.self) == 3)
        // A number of a parameter names its value, wherever it stands.
        let turned = try await db.execute(SQL(unsafe: "SELECT $2, $1, $2", parameters: ["a", "b"])).one()
        #expect(turned.values == ["b", "a", "b"])
        await skein.shutdown()
    }

    @Test("a file is not changed by reading, and one without write permission can be read")
    func readOnly() async throws {
        let path = TestFolder.path("kept.db")
        let script =
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript('CREATE TABLE t (a); INSERT INTO t VALUES (7)')"
        _ = try await runToEnd(Peers.python(), ["-c", script, path])
        let before = try Data(contentsOf: URL(filePath: path))
        for query in [
            "SELECT * FROM t", "SELECT * FROM nothing", "SELECT 1; SELECT a FROM t", "PRAGMA table_info(t)",
            "EXPLAIN SELECT * FROM t",
        ] {
            _ = try await runToEnd(CommandTests.skein, ["sql", "sqlite:\(path)", query])
            #expect(try Data(contentsOf: URL(filePath: path)) == before, "\(query)")
        }
        let files = try FileManager.default.contentsOfDirectory(
            atPath: URL(filePath: path).deletingLastPathComponent().path)
        #expect(!files.contains("kept.db-wal") && !files.contains("kept.db-journal"))
        chmod(path, 0o444)
        let skein = SkeinClient()
        let db = try skein.sqlite("sqlite:\(path)")
        #expect(try await db.execute("SELECT a FROM t").one(Int.self) == 7)
        if getuid() != 0 {
            #expect(
                await db.execute("INSERT INTO t VALUES (8)").dispatch().sqlError?.message.contains("readonly") == true)
        }
        chmod(path, 0o644)
        try await db.execute("INSERT INTO t VALUES (8)").commit()
        #expect(try await db.execute("SELECT count(*) FROM t").one(Int.self) == 2)
        await skein.shutdown()
    }

    @Test(
        "what a program that crashed has left behind is undone, settings are for the writer, and the first writes keep their order"
    )
    func firstWrites() async throws {
        let path = TestFolder.path("crashed.db")
        let script = """
            import os, sqlite3, sys
            db = sqlite3.connect(sys.argv[1], isolation_level=None)
            db.execute("PRAGMA cache_size = 1"); db.execute("CREATE TABLE t (a)"); db.execute("INSERT INTO t VALUES (1)")
            db.execute("BEGIN"); db.execute("INSERT INTO t SELECT randomblob(1000) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT i FROM n)")
            os._exit(1)
            """
        _ = try await runToEnd(Peers.python(), ["-c", script, path])
        let skein = SkeinClient()
        #expect(FileManager.default.fileExists(atPath: path + "-journal"))
        #expect(try await (try skein.sqlite("sqlite:\(path)")).execute("SELECT count(*) FROM t").one(Int.self) == 1)
        let other = TestFolder.path("order.db")
        _ = try await runToEnd(
            Peers.python(),
            ["-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE seed (a)')", other])
        let db = try skein.sqlite("sqlite:\(other)")
        let calls = [db.execute("CREATE TABLE t (a)")] + (0..<50).map { db.execute("INSERT INTO t VALUES (\($0))") }
        for call in calls { try await call.commit() }
        #expect(
            try await db.execute("SELECT group_concat(a) FROM t").one(String.self)
                == (0..<50).map(String.init).joined(separator: ","))
        let settings = TestFolder.path("settings.db")
        _ = try await runToEnd(
            Peers.python(),
            [
                "-c",
                "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript('CREATE TABLE p (a PRIMARY KEY); CREATE TABLE c (a REFERENCES p)')",
                settings,
            ])
        let third = try skein.sqlite("sqlite:\(settings)")
        #expect(try await third.execute("PRAGMA foreign_keys").one(Int.self) == 1)
        try await third.execute("PRAGMA foreign_keys(0)").commit()
        try await third.execute("INSERT INTO c VALUES (7)").commit()
        #expect(try await third.execute("PRAGMA foreign_keys").one(Int.self) == 0)
        await skein.shutdown()
    }

    @Test("a transaction that SQLite has undone does nothing more")
    func undone() async throws {
        let skein = SkeinClient()
        let db = try skein.sqlite("sqlite:\(TestFolder.path("undone.db"))")
        try await db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)").commit()
        let transaction = try await db.begin()
        try await transaction.execute("INSERT INTO t VALUES (1)").commit()
        #expect(await transaction.execute("INSERT INTO t VALUES (1)").dispatch().refusal != nil)
        #expect(
            await transaction.execute("INSERT INTO t VALUES (2)").dispatch().failure?.message.contains("rolled back")
                == true)
        await #expect(throws: SkeinError.self) { try await transaction.commit() }
        #expect(try await db.execute("SELECT count(*) FROM t").one(Int.self) == 0)
        await skein.shutdown()
    }

    // MARK: The builder

    @Test("rows of defaults, rows with different columns, empty conditions")
    func builder() async throws {
        let (skein, db) = try await postgres("&pool_size=1")
        try await db.withConnection { lease in
            try await lease.execute("CREATE TEMP TABLE d (id serial, n int DEFAULT 7, s text DEFAULT 'x')").commit()
            try await lease.execute(Query.insert("d").data([[:], [:], [:]])).commit()
            try await lease.execute(Query.insert("d").data([["n": 1], ["s": "y"]])).commit()
            #expect(try await lease.execute("SELECT count(*) FROM d").one(Int.self) == 5)
            #expect(try await lease.execute("SELECT sum(n) FROM d").one(Int.self) == 29)
            #expect(
                await lease.execute(Query.insert("d").data([])).dispatch().failure?.message.contains("without rows")
                    == true)
            #expect(
                try await lease.execute(Query.select("d").exclude("id", .in, [Int]()).get("count(*)")).one(Int.self)
                    == 5
            )
            #expect(
                try await lease.execute(Query.select("d").filter("id", .in, [Int]()).get("count(*)")).one(Int.self) == 0
            )
            #expect(
                await lease.execute(Query.select("d").filter("s", .contains, String?.none)).dispatch().failure != nil)
            #expect(await lease.execute(Query.select("d").filter("n", .between, [1, 2, 3])).dispatch().failure != nil)
            #expect(await lease.execute("SELECT 1 WHERE 1 NOT IN (\(list: [Int]()))").dispatch().failure != nil)
        }
        let lite = try skein.sqlite("sqlite::memory:")
        try await lite.execute("CREATE TABLE d (id INTEGER PRIMARY KEY, n int DEFAULT 7)").commit()
        try await lite.execute(Query.insert("d").data([:])).commit()
        #expect(try await lite.execute("SELECT n FROM d").one(Int.self) == 7)
        #expect(await lite.execute(Query.insert("d").data([["id": 2], ["n": 1]])).dispatch().failure != nil)
        await skein.shutdown()
    }
}
