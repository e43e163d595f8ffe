import Foundation
import PeerSupport
import Skein
import SkeinPostgres
import Testing

/// PgBouncer in between: each transaction may run on another session of the server.
@Suite("PgBouncer", .serialized, .inTurn, .timeLimit(.minutes(2)))
struct PgBouncerTests {
    private static let bouncer = SharedPeer { () async throws -> Int in
        let server = try await PostgresPeer.shared.get()
        let port = try await Ports.free()
        let folder = TestFolder.path("bouncer")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "\"weaver\" \"\"\n".write(toFile: "\(folder)/users", atomically: true, encoding: .utf8)
        let file = try TestFolder.write(
            """
            [databases]
            postgres = host=127.0.0.1 port=\(server.port)
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
            auth_type = trust
            auth_file = \(folder)/users
            pool_mode = transaction
            default_pool_size = 3
            unix_socket_dir =
            """, as: "bouncer.ini")
        if getuid() == 0 {
            _ = try await runToEnd("chown", ["-R", "postgres", folder, file])
            _ = try PeerProcess(
                "setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", "/usr/sbin/pgbouncer", file],
                log: "\(folder).log")
        } else {
            _ = try PeerProcess("/usr/sbin/pgbouncer", [file], log: "\(folder).log")
        }
        try await Ports.untilOpen(port)
        return port
    }

    @Test("two clients in transaction mode, by default and by option", arguments: ["", "?prepared_statements=false"])
    func transactionMode(options: String) async throws {
        let port = try await Self.bouncer.get()
        let url = "postgres://weaver@127.0.0.1:\(port)/postgres\(options)"
        let clients = [SkeinClient(), SkeinClient()]
        let databases = try clients.map { try $0.postgres(url) }
        try await databases[0].execute("CREATE TABLE IF NOT EXISTS bounced (n int, s text)").commit()
        for round in 0..<20 {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, db) in databases.enumerated() {
                    for index in 0..<10 {
                        group.addTask {
                            #expect(
                                try await db.execute("SELECT \(index)::int + \(round)").one(Int.self) == index + round)
                            try await db.execute("INSERT INTO bounced VALUES (\(number), \("a\(index)"))").commit()
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        #expect(try await databases[1].execute("SELECT count(*) FROM bounced").one(Int.self) == 400)
        let sum = try await databases[0].transaction { transaction in
            try await transaction.execute("UPDATE bounced SET n = n + 1").commit()
            return try await transaction.execute("SELECT sum(n) FROM bounced").one(Int.self)
        }
        #expect(sum == 600)
        var count = 0
        for try await row in databases[1].stream("SELECT s FROM bounced WHERE n = \(2)", piece: 50) {
            #expect(row["s"]?.string?.hasPrefix("a") == true)
            count += 1
        }
        #expect(count == 200)
        try await databases[0].execute("DROP TABLE bounced").commit()
        for client in clients { await client.shutdown() }
    }

    @Test("statements prepared for each execution notice changed tables, and keep their bound types")
    func changedBehindAPooler() async throws {
        let peer = try await PostgresPeer.shared.get()
        let skein = SkeinClient()
        let db = try skein.postgres(peer.url(query: "pool_size=1&prepared_statements=false"))
        _ = try await peer.query(
            "DROP TABLE IF EXISTS bound; CREATE TABLE bound (a int, b int); INSERT INTO bound VALUES (1, 2)")
        func read() async throws -> [String] {
            try await db.execute("SELECT * FROM bound LIMIT 1").fetch()[0].values.map(\.description)
        }
        func streamed() async throws -> [String] {
            for try await row in db.stream("SELECT b FROM bound LIMIT 1") { return row.values.map(\.description) }
            return []
        }
        func write() async throws { try await db.execute("INSERT INTO bound (b) VALUES (\(7))").commit() }
        #expect(try await read() == ["1", "2"])
        #expect(try await streamed() == ["2"])
        try await write()
        _ = try await peer.query("ALTER TABLE bound ADD COLUMN c text DEFAULT 'new'")
        #expect(try await read() == ["1", "2", "new"])
        _ = try await peer.query("ALTER TABLE bound ALTER COLUMN b TYPE float4")
        // One query may fail or have the old columns; after that the columns are right.
        _ = try? await read()
        #expect(try await read() == ["1", "2", "new"])
        _ = try? await streamed()
        #expect(try await streamed() == ["2"])
        try await write()
        #expect(try await peer.query("SELECT string_agg(b::text, ',' ORDER BY b) FROM bound") == "2,7,7")
        // Other users of the connection do not notice anything.
        _ = try await peer.query(
            "ALTER TABLE bound DROP COLUMN c; ALTER TABLE bound DROP COLUMN a; ALTER TABLE bound ADD d int")
        let calls = (0..<20).map { number in
            number % 2 == 0 ? db.execute("SELECT \(number)::int") : db.execute("SELECT * FROM bound LIMIT 1")
        }
        for (number, call) in calls.enumerated() where number % 2 == 0 {
            #expect(try await call.one(Int.self) == number)
        }
        _ = try await peer.query("DROP TABLE bound")
        await skein.shutdown()
    }

    @Test("a statement recovers from a changed table, alone, in a transaction and in a stream")
    func changedTables() async throws {
        let peer = try await PostgresPeer.shared.get()
        let skein = SkeinClient()
        let db = try skein.postgres(peer.url(query: "pool_size=1"))
        _ = try await peer.query(
            "DROP TABLE IF EXISTS healing; CREATE TABLE healing (a int); INSERT INTO healing VALUES (1)")
        func alone() async throws -> [String] { try await db.execute("SELECT * FROM healing").fetch().columns }
        func within() async throws -> [String] {
            try await db.transaction { try await $0.execute("SELECT * FROM healing").fetch().columns }
        }
        func streamed() async throws -> [String] {
            for try await row in db.stream("SELECT * FROM healing") { return row.columns }
            return []
        }
        for _ in 0..<2 {
            #expect(try await alone() == ["a"])
            #expect(try await within() == ["a"])
            #expect(try await streamed() == ["a"])
        }
        for number in 0..<3 {
            _ = try await peer.query("ALTER TABLE healing ADD COLUMN b\(number) int")
            let columns = ["a"] + (0...number).map { "b\($0)" }
            #expect(try await streamed() == columns)
            _ = try await peer.query(
                "ALTER TABLE healing ALTER COLUMN a TYPE \(number % 2 == 0 ? "text" : "int USING a::int")")
            #expect(try await alone() == columns)
            _ = try await peer.query(
                "ALTER TABLE healing ALTER COLUMN b0 TYPE \(number % 2 == 0 ? "text" : "int USING b0::int")")
            // Inside a transaction it fails once, with a message that says what to do, and then no more.
            let first = await #expect(throws: SkeinError.self) { try await within() }
            #expect(first?.sql?.hint?.contains("again") == true)
            #expect(try await within() == columns)
        }
        // The statement that was prepared unnecessarily is closed.
        #expect(
            try await db.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%healing%'").one(
                Int.self) <= 3)
        await skein.shutdown()
    }
}
