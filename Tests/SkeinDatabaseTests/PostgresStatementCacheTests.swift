import Testing

@testable import SkeinPostgres

/// The names of PostgreSQL statements, and which one is evicted for another.
@Suite("PostgreSQL: prepared statements")
struct PostgresStatementCacheTests {
    private func cache(limit: Int = 2, isNamed: Bool = true) -> PostgresStatementCache {
        PostgresStatementCache(limit: limit, isNamed: isNamed, prefix: "s_")
    }

    private func prepared(_ text: String, _ cache: inout PostgresStatementCache) -> PostgresStatement {
        let statement = cache.make(text).made
        statement.isPrepared = true
        cache.use(statement)
        return statement
    }

    @Test("a text has one statement, found by its bytes")
    func known() {
        var cache = cache()
        let statement = prepared("SELECT 'é'", &cache)
        #expect(statement.name == "s_1" && cache["SELECT 'é'"] === statement)
        #expect(cache["SELECT 'e\u{301}'"] == nil)
        #expect(cache.make("SELECT 2").made.name == "s_2")
    }

    @Test("the most recently used statement stays; one that is being prepared is not evicted")
    func evicted() {
        var cache = cache()
        let first = prepared("1", &cache)
        let second = prepared("2", &cache)
        cache.use(first)
        let (third, gone) = cache.make("3")
        #expect(gone === second && cache["2"] == nil && cache["1"] === first)
        let (_, next) = cache.make("4")
        #expect(next === first, "the third is not prepared yet")
        #expect(cache["3"] === third && cache.count == 2)
        #expect(cache.make("5").evicted == nil, "none is prepared")
    }

    @Test("a statement is forgotten once, and another one with its text is not")
    func forgotten() {
        var cache = cache()
        let old = prepared("1", &cache)
        #expect(cache.forget(old) == true)
        #expect(cache.forget(old) == false)
        let new = prepared("1", &cache)
        #expect(cache.forget(old) == false)
        #expect(cache["1"] === new)
    }

    @Test("an unknown statement: dropped by SQL, or executed by another session")
    func unknown() {
        var cache = cache()
        _ = prepared("1", &cache)
        cache.drop()
        #expect(cache["1"] == nil)
        cache.noteUnknown()
        #expect(cache.make("1").made.name == "s_2", "it was dropped, and is prepared again")
        cache.noteUnknown()
        #expect(cache.make("2").made.name == "", "a pooler is between")
        cache.drop()
        cache.noteUnknown()
        #expect(cache.make("3").made.name == "")
        var unnamed = self.cache(isNamed: false)
        #expect(unnamed.make("1").made.name == "")
    }
}
