// A load on a database: its address includes the statement.

import Skein
import SkeinMongo
import SkeinRedis
import SkeinSQL
import SkeinTransport

/// A database's address with the statement: `postgres://host/db?query=SELECT%201`, `redis://host?command=GET%20k`,
/// `mongodb://host/db?command={"find": "posts"}`.
struct LoadDatabase {
    /// The address without the statement.
    let url: String
    let kind: LoadKind

    /// Nil for an address that is not a database's.
    init?(_ text: String) {
        guard let scheme = text.splitBytes(separator: ":").first?.lowercased() else { return nil }
        var statement: String?
        let parts = text.splitBytes(separator: "?", maxSplits: 1)
        let rest = (parts.count == 2 ? parts[1] : "").splitBytes(separator: "&").filter { pair in
            guard pair.hasBytePrefix("query=") || pair.hasBytePrefix("command=") else { return true }
            statement = pair.splitBytes(separator: "=", maxSplits: 1).last?.withoutPercents
            return false
        }
        url = String(parts.first ?? "") + (rest.isEmpty ? "" : "?" + rest.joined(separator: "&"))
        switch scheme {
        case "postgres", "postgresql", "sqlite", "sqlite3": kind = .sql(SQL(unsafe: statement ?? "SELECT 1"))
        case "redis", "rediss", "redis+unix", "redis+cluster", "redis+sentinel", "rediss+cluster", "rediss+sentinel":
            let words = (statement ?? "PING").splitBytes(separator: " ").map(String.init)
            kind = .redis(RedisCommand(words.first ?? "PING", Array(words.dropFirst())))
        case "mongodb":
            kind = .mongo((try? Document(extendedJSON: statement ?? #"{"ping": 1}"#)) ?? [:])
        default: return nil
        }
    }

    /// - Throws: an error that describes the problem with the address.
    func check() throws(SkeinError) {
        switch kind {
        case .redis: _ = try RedisConfiguration(url)
        case .mongo(let command):
            _ = try MongoConfiguration(url)
            guard !command.isEmpty else {
                throw SkeinError(
                    .exception, because: "command= is not a document such as {\"find\": \"posts\", \"limit\": 1}")
            }
        default: _ = try DatabaseAddress(url)
        }
    }
}
