// Rows of PostgreSQL decoded into structs.

import Skein

/// Ten columns, as the query of the benchmark has them.
private struct Wide: Decodable {
    let id: Int
    let small: Int
    let large: Int
    let ratio: Double
    let flag: Bool
    let word: String
    let text: String
    let other: String
    let score: Double
    let count: Int
}

enum RowsProbe {
    /// Asks for the rows, again and again, and prints how many are decoded in a second.
    static func run(_ url: String, count: Int, rounds: Int) async throws {
        let skein = Skein()
        let db = try skein.postgres(url)
        let query: SQL = """
            SELECT i AS id, (i % 100)::int2 AS small, i::int8 * 1000000 AS large, i / 3.0::float8 AS ratio, i % 2 = 0 AS flag,
                'word ' || i AS word, repeat('x', 40) AS text, 'ü' || i AS other, i::float8 AS score, (i * 7)::int4 AS count
            FROM generate_series(1, \(count)) AS i
            """
        var best = 0.0
        for _ in 0..<rounds {
            let start = ContinuousClock.now
            let rows = try await db.execute(query).fetch().decode(Wide.self)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            guard rows.count == count, rows[count - 1].word == "word \(count)" else { fatalError("wrong rows") }
            best = max(best, Double(count) / seconds)
        }
        print("{\"rows_per_second\": \(best)}")
        await skein.shutdown()
    }
}
