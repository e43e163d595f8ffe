// Several items in few requests. Unprocessed ones are sent again.

import SkeinCore

/// One of several writes.
public enum DynamoWrite: Sendable {
    /// Puts an item.
    case put(DynamoItem)
    /// Deletes the item with a key.
    case delete(key: DynamoItem)

    fileprivate var input: [String: [String: DynamoItem]] {
        switch self {
        case .put(let item): ["PutRequest": ["Item": item]]
        case .delete(let key): ["DeleteRequest": ["Key": key]]
        }
    }
}

extension DynamoTable {
    /// Writes any number of items, in batches of 25, several requests concurrently. They are not ordered, and keys must
    /// be distinct.
    /// - Throws: the service's error; code 702 when some are unprocessed after the timeout. Some may have been written
    ///   then.
    public func writeAll(_ writes: [DynamoWrite]) async throws {
        _ = try await inParts(writes, of: 25) { part in
            var waiting = part.map(\.input)
            try await repeatedly {
                struct Answer: Decodable { let UnprocessedItems: [String: [[String: [String: DynamoItem]]]]? }
                let input = AWSInput().adding("RequestItems", [name: waiting])
                waiting =
                    try await db.client.call("BatchWriteItem", input).fetch(Answer.self).UnprocessedItems?[name] ?? []
                return waiting.count
            }
            return [Void]()
        }
    }

    /// The items with keys, any number, in batches of 100, several requests concurrently; missing items are left out,
    /// and the results are not ordered.
    /// - Throws: the service's error; code 702 when some are unprocessed after the timeout.
    public func getAll(
        _ keys: [DynamoItem], attributes: [String]? = nil, isConsistent: Bool = false
    ) async throws -> [DynamoItem] {
        try await inParts(keys, of: 100) { part in
            var waiting = part
            var found: [DynamoItem] = []
            try await repeatedly {
                struct Answer: Decodable {
                    struct Rest: Decodable { let Keys: [DynamoItem] }
                    let Responses: [String: [DynamoItem]]?
                    let UnprocessedKeys: [String: Rest]?
                }
                var request = DynamoRequest()
                request.input.add("Keys", waiting)
                request.add("ProjectionExpression", attributes.map(DynamoExpression.names))
                request.input.add("ConsistentRead", isConsistent ? true : nil)
                let input = AWSInput().adding("RequestItems", [name: request.finished()])
                let answer = try await db.client.call("BatchGetItem", input).fetch(Answer.self)
                found += answer.Responses?[name] ?? []
                waiting = answer.UnprocessedKeys?[name]?.Keys ?? []
                return waiting.count
            }
            return found
        }
    }

    /// The items with keys, decoded as a type.
    public func getAll<T: Decodable>(_ keys: [DynamoItem], as type: T.Type) async throws -> [T] {
        try await getAll(keys).map { try $0.decode(type) }
    }

    /// Processes parts of a list, eight concurrently.
    private func inParts<Element: Sendable, Found: Sendable>(
        _ list: [Element], of size: Int, _ work: @escaping @Sendable ([Element]) async throws -> [Found]
    ) async throws -> [Found] {
        try await withThrowingTaskGroup(of: [Found].self) { group in
            var found: [Found] = []
            for (number, start) in stride(from: 0, to: list.count, by: size).enumerated() {
                if number >= 8 { found += try await group.next() ?? [] }
                let part = Array(list[start..<min(start + size, list.count)])
                group.addTask { try await work(part) }
            }
            for try await more in group { found += more }
            return found
        }
    }

    /// Repeats a step until nothing is left, with growing pauses while progress is slow.
    /// - Parameter step: returns the number of remaining elements.
    private func repeatedly(_ step: () async throws -> Int) async throws {
        let backoff = Backoff(first: db.configuration.firstWait, longest: db.configuration.longestWait)
        for attempt in 1...20 {
            let rest = try await step()
            if rest == 0 { return }
            guard try await backoff.wait(after: attempt) else { break }
        }
        throw SkeinError(
            .timeout,
            because:
                "DynamoDB left some items of a batch on \(name) unprocessed; the table may have too little capacity")
    }
}
