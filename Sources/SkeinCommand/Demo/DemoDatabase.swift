// The part of the demo that has a database: SQLite in memory, with the same five methods.

import Skein
import SkeinSQL
import SkeinSQLite

enum DemoDatabase {
    private struct Thread: Codable, Equatable {
        let colour: String
        let metres: Int
    }

    /// Creates a table, fills it, queries it, and runs a statement that fails. Returns whether all results were as
    /// expected.
    static func show() async -> Bool {
        let skein = SkeinClient()
        do {
            let db = try skein.sqlite("sqlite::memory:")
            try await db.execute("CREATE TABLE thread (colour TEXT PRIMARY KEY, metres INT)").commit()
            let threads = [Thread(colour: "red", metres: 120), Thread(colour: "it's blue; --", metres: 80)]
            try await db.transaction { transaction in
                for thread in threads { transaction.execute(try Query.insert("thread").data(encoding: thread)) }
            }
            let long = Query.select("thread").filter("metres", .gte, 100).order("-metres")
            let rows = try await db.execute(long).fetch([Thread].self)
            let again = await db.execute("INSERT INTO thread VALUES (\(threads[0].colour), 1)").dispatch()
            Terminal.say(
                "\("SQLite: threads".padded(to: 20))  200 \(rows.map { "\($0.colour), \($0.metres) m" }.joined(separator: "; "))"
            )
            Terminal.say("\("  one that is there".padded(to: 20))  \(again.statusCode) \(again.reason)\n")
            await skein.shutdown()
            return rows == [threads[0]] && again.statusCode == 409
        } catch {
            Terminal.complain("\(error)")
            return false
        }
    }
}
