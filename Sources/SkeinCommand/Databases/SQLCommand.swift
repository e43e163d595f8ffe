// skein sql: a statement, its rows as a table, as JSON or as CSV.

import ArgumentParser
import Skein
import SkeinPostgres
import SkeinSQL
import SkeinSQLite

struct SQLCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql", abstract: "Execute a statement on PostgreSQL or SQLite.",
        discussion: """
            The values of -p are those of $1, $2 and so on. The database parses a value by the type of its context, like a \
            quoted literal; null is NULL, and quotation marks around a text are removed. A PostgreSQL array may be written \
            {1,3} or [1,3]. Several statements, separated by semicolons, are executed as one script, and the result of each is printed. \
            COPY … TO STDOUT and COPY … FROM STDIN use standard output and input. PGPASSWORD may hold the password of PostgreSQL. \
            The exit code is 1 when the database returns an error or does not respond.

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

    @Flag(help: "Print cells without formatting, separated by tabs; a single cell as its bytes.")
    var raw = false

    @Option(help: ArgumentHelp("Seconds for the statement.", valueName: "seconds"))
    var timeout: Double = 30

    @Flag(help: "Execute the statement on every member of an alias, and print their results in order.")
    var all = false

    @OptionGroup(title: "Aliases")
    var aliases: AliasOptions

    func validate() throws {
        guard !all || aliases.names(url) else { throw ValidationError("--all takes the name of an alias, as in @db.") }
        guard [json, csv, raw].count(where: { $0 }) <= 1 else {
            throw ValidationError("--json, --csv and --raw exclude each other.")
        }
        guard timeout > 0, timeout < 1e9 else { throw ValidationError("--timeout must be more than 0.") }
        if aliases.names(url) { return }
        do { _ = try DatabaseAddress(url) } catch { throw ValidationError("\(error.message).") }
    }

    func run() async throws {
        let text = try InputFile.utf8(statement)
        try await CommandSession.run(aliases) { skein in
            do {
                try await execute(text, by: skein)
            } catch let error as SkeinError {
                guard let place = error.sql?.position.flatMap({ Self.place($0, in: text) }) else { throw error }
                throw SkeinError(
                    error.code, peer: error.peer, because: "\(error.message)\n\(place)", cause: error.cause)
            }
        }
    }

    /// The line of a statement that contains an error, with the position marked below it, as psql shows it.
    private static func place(_ position: Int, in text: String) -> String? {
        let scalars = Array(text.unicodeScalars)
        guard (1...scalars.count + 1).contains(position) else { return nil }
        func isLineEnd(_ scalar: Unicode.Scalar) -> Bool { scalar.value == 0x0A || scalar.value == 0x0D }
        let before = scalars[..<(position - 1)]
        let start = before.lastIndex(where: isLineEnd).map { $0 + 1 } ?? 0
        let line = scalars[start...].prefix { !isLineEnd($0) }
        let head = "LINE \(before.count { $0.value == 0x0A } + 1): "
        return head + String(String.UnicodeScalarView(line)) + "\n"
            + String(repeating: " ", count: head.utf8.count + position - 1 - start) + "^"
    }

    private func database(of skein: SkeinClient) throws(SkeinError) -> any SQLExecutor {
        guard aliases.names(url) else { return try DatabaseAddress(url).executor(skein) }
        return try skein.alias(url)?.scheme == .sqlite ? skein.sqlite(url) : skein.postgres(url)
    }

    private func execute(_ text: String, by skein: SkeinClient) async throws {
        if all {
            return try await executeOnAll(SQL(unsafe: text, parameters: parameters.map(Self.parameter)), by: skein)
        }
        let database = try database(of: skein)
        if let postgres = database as? PostgresClient, parameters.isEmpty, try await copy(text, by: postgres) { return }
        let sql = SQL(unsafe: text, parameters: parameters.map(Self.parameter))
        let response = await start(sql, on: database).dispatch()
        try response.raiseForStatus()
        for notice in response.notices { Terminal.complain("\(notice.severity): \(notice.message)") }
        for result in response.results { say(result) }
    }

    /// The results of all members, in order. Those of the others are printed when one has failed.
    private func executeOnAll(_ sql: SQL, by skein: SkeinClient) async throws {
        let every = try skein.all(url)
        let group: CorequestGroup<SQLResponse> =
            if skein.alias(url)?.scheme == .sqlite {
                try every.sqlite { start(sql, on: $0) }
            } else {
                try every.postgres { start(sql, on: $0) }
            }
        let responses = await group.dispatch()
        for response in responses { for result in response.results { say(result) } }
        for response in responses { try response.raiseForStatus() }
    }

    /// Copies between a table and a standard stream, if the statement is a COPY.
    private func copy(_ text: String, by postgres: PostgresClient) async throws -> Bool {
        guard SQLKeyword.first(of: text) == "COPY" else { return false }
        let sql = SQL(unsafe: text)
        if SQLKeyword.mentions(["stdout"], asWords: true, in: text) {
            for try await piece in postgres.copyOut(sql) { piece.withUnsafeReadableBytes { Terminal.emit($0) } }
        } else if SQLKeyword.mentions(["stdin"], asWords: true, in: text) {
            let rows = try await postgres.copyIn(sql, StandardInput.pieces, timeout: .seconds(timeout))
            if !raw, !csv, !json { Terminal.say("COPY \(rows)") }
        } else {
            return false
        }
        return true
    }

    private static func parameter(_ word: String) -> SQLValue {
        switch try? JSONValue(json: word) {
        case .null?: .null
        case .string(let text)?: .literal(text)
        default: .literal(word)
        }
    }

    /// PostgreSQL takes several statements only where they are meant.
    private func start(_ sql: SQL, on database: any SQLExecutor) -> Corequest<SQLResponse> {
        if parameters.isEmpty, SQLKeyword.isScript(sql.text), let postgres = database as? PostgresClient {
            return postgres.script(sql, timeout: .seconds(timeout))
        }
        return database.execute(sql, timeout: .seconds(timeout), meta: RequestMetadata(), callback: nil)
    }

    private func say(_ result: SQLResult) {
        let rows = result.rows
        if rows.columns.isEmpty, result.command.isEmpty { return }  // an empty statement
        if json {
            Terminal.say(RowsText.json(rows))
        } else if raw {
            Terminal.say(bytes: RowsText.raw(rows))
        } else if csv {
            if !rows.columns.isEmpty { Terminal.say(RowsText.csv(rows)) }
        } else if rows.columns.isEmpty {
            Terminal.say("\(result.command) \(result.affected)")
        } else {
            Terminal.say(RowsText.table(rows))
        }
    }
}

/// The kind of a database, from the scheme of its address.
enum DatabaseAddress {
    case postgres(String)
    case sqlite(String)

    init(_ url: String) throws(SkeinError) {
        switch url.splitBytes(separator: ":").first?.lowercased() {
        case "postgres", "postgresql":
            _ = try PostgresConfiguration(url)
            self = .postgres(url)
        case "sqlite", "sqlite3": self = .sqlite(url)
        default:
            throw SkeinError(
                .exception, because: "\(url.debugDescription) begins neither with postgres:// nor with sqlite:")
        }
    }

    func executor(_ skein: SkeinClient) throws(SkeinError) -> any SQLExecutor {
        switch self {
        case .postgres(let url): try skein.postgres(url)
        case .sqlite(let address): try skein.sqlite(address)
        }
    }
}
