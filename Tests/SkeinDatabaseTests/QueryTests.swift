import SkeinCore
import SkeinSQL
import SkeinAncestors
import Testing

@Suite("Statements and queries")
struct QueryTests {
    private func rendered(_ query: some SQLQuery, _ dialect: SQLDialect = .postgres) -> String {
        let sql = query.sql(for: dialect)
        return "\(sql.text) -- \(sql.parameters.map(\.description).joined(separator: "|"))"
    }

    @Test("interpolated values become numbered placeholders")
    func interpolation() {
        let (id, name, list) = (7, "x'; --", [1, 2, 3])
        let sql: SQL =
            "SELECT * FROM t WHERE id = \(id) AND name = \(name) AND k IN (\(list: list)) ORDER BY \(identifier: "a\"b")"
        #expect(sql.text == "SELECT * FROM t WHERE id = $1 AND name = $2 AND k IN ($3, $4, $5) ORDER BY \"a\"\"b\"")
        #expect(sql.parameters == [7, "x'; --", 1, 2, 3])
        let part: SQL = "a = \(1)"
        let whole: SQL = "WHERE \(part) OR b = \(Int?.none)"
        #expect(whole.text == "WHERE a = $1 OR b = $2" && whole.parameters == [1, .null])
        let none: SQL = "IN (\(list: [Int]()))"
        #expect(none.text == "IN (NULL)")
    }

    @Test("reading: columns, conditions, order, slices, groups, joins")
    func select() {
        let stem = Query.select("blogpost a").filter("title", .contains, "50%_\\").exclude(
            Q("share", .eq, "test") | Q("share", .null, true))
        #expect(
            rendered(stem.branch().get("count(*) as total"))
                == "SELECT count(*) as total FROM blogpost a WHERE title LIKE $1 ESCAPE '\\' AND NOT (share = $2 OR share IS NULL) -- %50\\%\\_\\\\%|test"
        )
        #expect(
            rendered(stem.order("-posted_at", "id")[20..<30])
                == "SELECT * FROM blogpost a WHERE title LIKE $1 ESCAPE '\\' AND NOT (share = $2 OR share IS NULL) ORDER BY posted_at DESC, id LIMIT $3 OFFSET $4 -- %50\\%\\_\\\\%|test|10|20"
        )
        let joined = Query.select("user a").join("profile b", .left, on: "a.id = b.user_id").get(
            "a.id", "max(b.age) AS age"
        )
        .filter(ifPresent: Int?.none) { Q("a.id", .eq, $0) }.filter(Q("b__name__startswith", "x")).group("a.id").having(
            Q("count(*)", .gt, 1)
        ).distinct()
        #expect(
            rendered(joined)
                == "SELECT DISTINCT a.id, max(b.age) AS age FROM user a LEFT JOIN profile b ON a.id = b.user_id WHERE b.name LIKE $1 ESCAPE '\\' GROUP BY a.id HAVING count(*) > $2 -- x%|1"
        )
        #expect(rendered(Query.select("t").offset(5), .sqlite) == "SELECT * FROM t LIMIT -1 OFFSET $1 -- 5")
    }

    @Test(
        "each operator",
        arguments: [
            (Q("a", .eq, 1), "a = $1"), (Q("a", .eq, Int?.none), "a IS NULL"), (Q("a__neq", 1), "a <> $1"),
            (Q("a", .neq, Int?.none), "a IS NOT NULL"), (Q("a__lt", 1), "a < $1"), (Q("a__lte", 1), "a <= $1"),
            (Q("a__gt", 1), "a > $1"), (Q("a__gte", 1), "a >= $1"), (Q("a__between", [1, 2]), "a BETWEEN $1 AND $2"),
            (SQLCondition("a", between: 1, and: 2), "a BETWEEN $1 AND $2"), (Q("a__in", [1, 2]), "a IN ($1, $2)"),
            (Q("a__in", [Int]()), "1 = 0"), (Q("a__endswith", "x"), "a LIKE $1 ESCAPE '\\'"),
            (Q("a__in", [1, nil, 2]), "(a IN ($1, $2) OR a IS NULL)"), (Q("a__in", [Int?.none]), "a IS NULL"),
            (Q("a__null", true), "a IS NULL"), (Q("a__null", false), "a IS NOT NULL"),
            (!(Q("a", .eq, 1) & Q("b", .eq, 2)), "NOT (a = $1 AND b = $2)"),
            (Q("a", .eq, 1) & (Q("b", .eq, 2) | Q("c", .eq, 3)), "a = $1 AND (b = $2 OR c = $3)"),
            (Q("length(a) > 3"), "length(a) > 3"),
        ])
    func operators(condition: SQLCondition, text: String) {
        #expect(Query.select("t").filter(condition).sql(for: .postgres).text == "SELECT * FROM t WHERE \(text)")
    }

    private struct Post: Encodable {
        var id: Int
        var title: String?
        var tags: [String: Int]
    }

    @Test("changing: insert, upsert, update, delete, returning")
    func changes() throws {
        #expect(
            rendered(Query.insert("t").data(["b": 2, "a": "x"]).data(["a": "y"]).returning("id"))
                == "INSERT INTO t (\"a\", \"b\") VALUES ($1, $2), ($3, DEFAULT) RETURNING id -- x|2|y")
        #expect(
            rendered(Query.insert("t").data(["id": 1, "a": "x"]).upsert(on: "id"), .sqlite)
                == "INSERT INTO t (\"a\", \"id\") VALUES ($1, $2) ON CONFLICT (\"id\") DO UPDATE SET \"a\" = excluded.\"a\" -- x|1"
        )
        let encoded = rendered(try Query.insert("t").data(encoding: Post(id: 1, title: nil, tags: ["x": 1])))
        #expect(encoded == "INSERT INTO t (\"id\", \"tags\", \"title\") VALUES ($1, $2, $3) -- 1|{\"x\":1}|NULL")
        #expect(
            rendered(Query.update("t").data(["a\"; --": 1]).set("hits", to: "hits + \(2)").filter("id", .eq, 3))
                == "UPDATE t SET \"a\"\"; --\" = $1, hits = hits + $2 WHERE id = $3 -- 1|2|3")
        #expect(
            rendered(Query.delete("t").filter("id", .in, [1, 2]).returning("*"))
                == "DELETE FROM t WHERE id IN ($1, $2) RETURNING * -- 1|2")
        #expect(rendered(Query.delete("t").all()) == "DELETE FROM t -- ")
    }
}
