// Rows of PostgreSQL decoded into structs.

import Skein
import SkeinPostgres

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

/// The same, taken from the row by itself.
private struct WideByPlace: RowDecodable {
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

    init(row: Row) throws {
        id = try row.get(0)
        small = try row.get(1)
        large = try row.get(2)
        ratio = try row.get(3)
        flag = try row.get(4)
        word = try row.get(5)
        text = try row.get(6)
        other = try row.get(7)
        score = try row.get(8)
        count = try row.get(9)
    }
}

enum RowsProbe {
    /// Asks for the rows, again and again, and prints how many are decoded in a second.
    static func run(_ url: String, count: Int, rounds: Int) async throws {
        let skein = SkeinClient()
        let db = try skein.postgres(url)
        let query: SQL = """
            SELECT i AS id, (i % 100)::int2 AS small, i::int8 * 1000000 AS large, i / 3.0::float8 AS ratio, i % 2 = 0 AS flag,
                'word ' || i AS word, repeat('x', 40) AS text, 'ü' || i AS other, i::float8 AS score, (i * 7)::int4 AS count
            FROM generate_series(1, \(count)) AS i
            """
        var best = (decoded: 0.0, taken: 0.0)
        for _ in 0..<rounds {
            let start = ContinuousClock.now
            let decoded = try await db.execute(query).fetch().decode(Wide.self)
            let middle = ContinuousClock.now
            let taken = try await db.execute(query).rows(WideByPlace.self)
            let end = ContinuousClock.now
            guard decoded.count == count, decoded[count - 1].word == "word \(count)", taken.count == count,
                taken[count - 1].other == "ü\(count)"
            else { fatalError("wrong rows") }
            best.decoded = max(best.decoded, Double(count) / ((middle - start) / .seconds(1)))
            best.taken = max(best.taken, Double(count) / ((end - middle) / .seconds(1)))
        }
        print("{\"rows_per_second\": \(best.taken), \"rows_per_second_codable\": \(best.decoded)}")
        await skein.shutdown()
    }
}
