import SkeinSQL
import Testing

@Suite("Words of SQL")
struct SQLKeywordTests {
    @Test(
        "the first word, behind what may stand before it",
        arguments: [
            ("select 1", "SELECT"), ("  \t\n(Select 1)", "SELECT"), ("-- a\nUPDATE x", "UPDATE"), ("", ""),
            ("-- only", ""),
            ("/* a /* b */ c */ INSERT", "INSERT"), (";;DELETE", "DELETE"), ("\u{FEFF}with x", "WITH"), ("/* open", ""),
            ("COPY(SELECT 1) TO STDOUT", "COPY"), ("set_x", "SET_X"), ("1", ""),
        ])
    func first(text: String, word: String) { #expect(SQLKeyword.first(of: text) == word) }

    @Test("comments of SQLite are not nested")
    func plainComments() {
        #expect(SQLKeyword.first(of: "/* a /* b */ BEGIN */", nestsComments: false) == "BEGIN")
        #expect(SQLKeyword.first(of: "/* a /* b */ BEGIN */") == "")
    }

    @Test(
        "a script is more than one statement, whatever quotes and comments hold",
        arguments: [
            ("SELECT 1", false), ("SELECT 1;", false), ("SELECT 1; -- done; really", false), ("SELECT 1; ;\n", false),
            ("SELECT 1; SELECT 2", true), ("SELECT 'a;b'", false), ("SELECT 'it''s; so'", false),
            ("SELECT \"a;b\"", false),
            ("SELECT 'a\\'; SELECT 2", true), ("SELECT E'a\\'; b'", false), ("DO $$ BEGIN; END; $$", false),
            ("DO $body$ a; $$ b; $body$; SELECT 1", true), ("SELECT $1; SELECT $2", true),
            ("/* a; b */ SELECT 1", false),
            ("SELECT 1 /* ; */ ; /* x */", false), ("SELECT 'open; ", false), ("SELECT $x$ open; ", false),
            ("SELECT 1 WHERE a LIKE'\\'; SELECT 2", true), ("SELECT E'a''b\\'; c'", false),
            ("SELECT a$b$c; SELECT 2", true), ("SELECT '", false), ("SELECT E'\\", false), ("-", false), ("/", false),
            ("$", false), ("$a$", false),
            (";", false),
        ])
    func scripts(text: String, isScript: Bool) { #expect(SQLKeyword.isScript(text) == isScript) }

    @Test("words are found anywhere, as words or as parts of words")
    func mentions() {
        #expect(SQLKeyword.mentions(["temp"], asWords: true, in: "CREATE TEMP TABLE x"))
        #expect(!SQLKeyword.mentions(["temp"], asWords: true, in: "SELECT temperature, a_temp"))
        #expect(SQLKeyword.mentions(["set_config"], in: "SELECT pg_catalog.SET_CONFIG('a', 'b', false)"))
    }
}
