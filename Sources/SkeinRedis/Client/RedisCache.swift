// Answers that are kept until the server says that their key has changed (client-side caching with invalidation messages).

import NIOCore
import SkeinCore

/// The kept answers of one shard; those that were asked for longest ago make room.
///
/// Unchecked: touched on its shard's loop only.
final class RedisCache: @unchecked Sendable {
    private let limit: Int
    private var answers: [RedisArgument: [Question: RedisValue]] = [:]
    private var order: [RedisArgument] = []
    /// Keys of commands under way that the server has said to have changed: their answers may be older than that.
    private var count = 0

    private struct Question: Hashable {
        let name: String
        let arguments: [RedisArgument]
    }

    init(limit: Int) { self.limit = limit }

    private static func question(_ request: RedisRequest) -> (key: RedisArgument, Question)? {
        guard case .one(let command) = request, command.kind.contains(.cacheable), let key = command.arguments.first
        else {
            return nil
        }
        return (key, Question(name: command.name, arguments: command.arguments))
    }

    /// The kept answer to a command.
    subscript(request: RedisRequest) -> RedisValue? {
        guard let (key, question) = Self.question(request) else { return nil }
        return answers[key]?[question]
    }

    /// Keeps an answer. The server tells of a change after the answers that were before it, on the same connection.
    func keep(_ value: RedisValue, for request: RedisRequest) {
        guard let (key, question) = Self.question(request) else { return }
        if answers[key] == nil { order.append(key) }
        if answers[key, default: [:]].updateValue(value, forKey: question) == nil { count += 1 }
        while count > limit, let oldest = order.first {
            order.removeFirst()
            forget(oldest)
        }
    }

    private func forget(_ key: RedisArgument) { count -= answers.removeValue(forKey: key)?.count ?? 0 }

    /// The connection over which the server tells of changes was lost.
    func forgetAll() {
        answers = [:]
        order = []
        count = 0
    }

    /// Takes what the server sends without being asked.
    func hear(_ message: [RedisValue]) {
        guard message.first?.string == "invalidate", message.count > 1 else { return }
        guard let keys = message[1].elements else { return forgetAll() }
        let changed = Set(keys.compactMap { $0.string.map { RedisArgument.text($0) } } + keys.map(\.redisArgument))
        for key in changed { forget(key) }
        order.removeAll { changed.contains($0) }
    }
}
