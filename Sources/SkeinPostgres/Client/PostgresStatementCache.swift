// The statements that a connection has prepared, without I/O: which text has which name, which one is forgotten for a new one, and
// what is known about the session that may be another one behind a pooler.

import SkeinCore

/// The prepared statements of one connection.
struct PostgresStatementCache {
    /// How statements are named.
    private enum Naming {
        /// Each has a name, and is prepared once.
        case named
        /// Somebody has dropped all of them: that the server does not know one says nothing about the session.
        case dropped
        /// None has one, and each is prepared each time: what follows may be carried out by another session.
        case unnamed
    }

    private let limit: Int
    /// What names begin with: a pooler may give several clients one session of the server.
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
    /// - Returns: the statement, to be prepared, and the one that has to go for it.
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

    /// A statement is not valid any more.
    /// - Returns: whether it was the one of its text.
    mutating func forget(_ statement: PostgresStatement) -> Bool {
        guard statements[statement.text] === statement else { return false }
        statements[statement.text] = nil
        return true
    }

    /// The server was told to forget all statements.
    mutating func drop() {
        if case .named = naming { naming = .dropped }
        forgetPrepared()
    }

    /// The server does not know a statement that was prepared: unless it was told to forget, another session has been asked.
    mutating func noteUnknown() {
        naming = if case .dropped = naming { .named } else { .unnamed }
        forgetPrepared()
    }

    /// The session is a new one.
    mutating func forgetPrepared() {
        for (text, statement) in statements where statement.isPrepared { statements[text] = nil }
    }
}
