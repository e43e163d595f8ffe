// skein sql: a statement, its rows as a table, as JSON or as CSV.

import ArgumentParser
import Skein

struct SQLCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql", abstract: "Execute a statement on PostgreSQL or SQLite.",
        discussion: """
            Values of -p stand for $1, $2 and so on; they are JSON where they are that, else text: 3 is a number, yarn is text. \
            Several statements, with semicolons between, are executed as one, and answer with the rows of the last. The \
            password of PostgreSQL may stand in PGPASSWORD. Ends with 1 when the database refuses, or does not answer.

              skein sql postgres://weaver@localhost/blog 'SELECT * FROM post WHERE id = $1' -p 7
              skein sql sqlite:blog.db 'SELECT title FROM post' --json
              skein sql sqlite::memory: 'SELECT sqlite_version()' --csv
            """)

    @Argument(help: "postgres://…, sqlite:FILE or sqlite::memory:.")
    var url: String

    @Argument(help: "The statement: TEXT, @FILE, or - for standard input.")
    var statement: String

    @Option(
        name: [.customShort("p"), .customLong("parameter")], parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A value for the next $n; may be repeated.", valueName: "value"))
    var parameters: [String] = []

    @Flag(help: "Print the rows as a JSON array of objects.")
    var json = false

    @Flag(help: "Print the rows as CSV, with the names of the columns first (RFC 4180).")
    var csv = false

    @Option(help: ArgumentHelp("Seconds for the statement.", valueName: "seconds"))
    var timeout: Double = 30

    func validate() throws {
        guard !(json && csv) else { throw ValidationError("--json and --csv exclude each other.") }
        guard timeout > 0, timeout < 1e9 else { throw ValidationError("--timeout must be more than 0.") }
        do { _ = try DatabaseAddress(url) } catch { throw ValidationError("\(error.message).") }
    }

    func run() async throws {
        let text = String(decoding: try InputFile.bytes(statement) ?? [], as: UTF8.self)
        try await CommandSession.run { try await execute(text, by: $0) }
    }

    private func execute(_ text: String, by skein: Skein) async throws {
        let database: any SQLExecutor = try DatabaseAddress(url).executor(skein)
        let sql = SQL(unsafe: text, parameters: parameters.map { RPCCommand.value($0).sqlParameter })
        let response = await start(sql, on: database).dispatch()
        try response.raiseForStatus()
        for notice in response.notices { Terminal.complain("\(notice.severity): \(notice.message)") }
        say(response)
    }

    /// PostgreSQL takes several statements only where they are meant.
    private func start(_ sql: SQL, on database: any SQLExecutor) -> Corequest<SQLResponse> {
        let isScript =
            parameters.isEmpty && sql.text.splitBytes(separator: ";").count { !$0.splitAtBlanks().isEmpty } > 1
        if isScript, let postgres = database as? PostgresClient {
            return postgres.script(sql, timeout: .seconds(timeout))
        }
        return database.execute(sql, timeout: .seconds(timeout), meta: Meta(), callback: nil)
    }

    private func say(_ response: SQLResponse) {
        let rows = response.content
        if json {
            Terminal.say(RowsText.json(rows))
        } else if csv {
            if !rows.columns.isEmpty { Terminal.say(RowsText.csv(rows)) }
        } else if rows.columns.isEmpty {
            Terminal.say("\(response.command) \(response.affected)")
        } else {
            Terminal.say(RowsText.table(rows))
        }
    }
}

/// A database's address, as far as its scheme tells which it is.
enum DatabaseAddress {
    case postgres(String)
    case sqlite(String)

    init(_ url: String) throws(SkeinError) {
        switch url.splitBytes(separator: ":").first?.lowercased() {
        case "postgres", "postgresql":
            _ = try PostgresOptions(url)
            self = .postgres(url)
        case "sqlite", "sqlite3": self = .sqlite(url)
        default:
            throw SkeinError(
                .exception, because: "\(url.debugDescription) begins neither with postgres:// nor with sqlite:")
        }
    }

    func executor(_ skein: Skein) throws(SkeinError) -> any SQLExecutor {
        switch self {
        case .postgres(let url): try skein.postgres(url)
        case .sqlite(let address): try skein.sqlite(address)
        }
    }
}

extension JSONValue {
    /// The value as a parameter; what has parts is JSON.
    fileprivate var sqlParameter: SQLValue {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(Int64(value))
        case .number(let value): .double(value)
        case .string(let text): .text(text)
        case .array, .object: (try? .json(encoding: self)) ?? .null
        }
    }
}
