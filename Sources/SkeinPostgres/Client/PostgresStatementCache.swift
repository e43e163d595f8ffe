// The prepared statements of a connection, without I/O: the name of each text's statement, which statement is evicted for a new one,
// and whether a pooler gives the connection different sessions of the server.

import SkeinCore

/// The prepared statements of one connection.
struct PostgresStatementCache {
    /// How statements are named.
    private enum Naming {
        /// Each statement has a name and is prepared once.
        case named
        /// As `named`, and the caller has dropped all statements (DEALLOCATE, DISCARD): the next error about an unknown statement does
        /// not mean another session.
        case dropped
        /// Statements have no names and are prepared each time, since the next one may be executed by another session.
        case unnamed
    }

    private let limit: Int
    /// The prefix of names, unique to the connection: a pooler may give several clients one session of the server.
    private let prefix: String
    private var naming: Naming
    private var statements = ByteDictionary<PostgresStatement>()
    private var made = 0
    private var uses = 0

    /// - Parameters:
    ///   - limit: statements that are kept.
    ///   - isNamed: whether statements are prepared once and kept by the server.
    init(limit: Int, isNamed: Bool, prefix: String = "s" + Hex.random(3) + "_") {
        self.limit = max(1, limit)
        self.prefix = prefix
        naming = isNamed ? .named : .unnamed
    }

    var count: Int { statements.count }

    /// The statement of a text, if there is one.
    subscript(text: String) -> PostgresStatement? { statements[text] }

    /// Makes the statement of a text that has none.
    /// - Returns: the statement, to be prepared, and the least recently used one, if it was evicted.
    mutating func make(_ text: String) -> (made: PostgresStatement, evicted: PostgresStatement?) {
        var evicted: PostgresStatement?
        if statements.count >= limit,
            let oldest = statements.values.filter(\.isPrepared).min(by: { $0.lastUse < $1.lastUse })
        {
            statements[oldest.text] = nil
            evicted = oldest
        }
        made += 1
        let isUnnamed = if case .unnamed = naming { true } else { false }
        let statement = PostgresStatement(name: isUnnamed ? "" : "\(prefix)\(made)", text: text)
        statements[text] = statement
        return (statement, evicted)
    }

    /// A statement is executed.
    mutating func use(_ statement: PostgresStatement) {
        uses += 1
        statement.lastUse = uses
    }

    /// Removes a statement that is not valid any more.
    /// - Returns: whether it was in the cache.
    mutating func forget(_ statement: PostgresStatement) -> Bool {
        guard statements[statement.text] === statement else { return false }
        statements[statement.text] = nil
        return true
    }

    /// The caller has dropped all statements of the session.
    mutating func drop() {
        if case .named = naming { naming = .dropped }
        forgetPrepared()
    }

    /// The server does not know a prepared statement. Unless the statements were dropped, another session has executed it.
    mutating func noteUnknown() {
        naming = if case .dropped = naming { .named } else { .unnamed }
        forgetPrepared()
    }

    /// Removes all prepared statements.
    mutating func forgetPrepared() {
        for (text, statement) in statements where statement.isPrepared { statements[text] = nil }
    }
}
