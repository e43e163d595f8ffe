// Transactions of up to a hundred items
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html).

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A collection of writes: `db.transact { $0.put("users", user); $0.check("users", key, "…") }`.
public struct DynamoTransaction: Sendable {
    fileprivate var parts: [AWSInput] = []

    /// Puts an item.
    public mutating func put(_ table: String, _ item: DynamoItem, if condition: DynamoExpression? = nil) {
        add("Put", table, condition) { $0.input.add("Item", item) }
    }

    /// Updates the item with a key.
    public mutating func update(
        _ table: String, _ key: DynamoItem, _ update: DynamoExpression, if condition: DynamoExpression? = nil
    ) {
        add("Update", table, condition) { request in
            request.input.add("Key", key)
            request.add("UpdateExpression", update)
        }
    }

    /// Deletes the item with a key.
    public mutating func delete(_ table: String, _ key: DynamoItem, if condition: DynamoExpression? = nil) {
        add("Delete", table, condition) { $0.input.add("Key", key) }
    }

    /// Checks a condition on the item with a key, without which the transaction fails.
    public mutating func check(_ table: String, _ key: DynamoItem, _ condition: DynamoExpression) {
        add("ConditionCheck", table, condition) { $0.input.add("Key", key) }
    }

    private mutating func add(
        _ kind: String, _ table: String, _ condition: DynamoExpression?, _ fill: (inout DynamoRequest) -> Void
    ) {
        var request = DynamoRequest()
        request.input.add("TableName", table)
        fill(&request)
        request.add("ConditionExpression", condition)
        parts.append(AWSInput().adding(kind, request.finished()))
    }
}

extension DynamoDB {
    /// Performs writes as a transaction. It is idempotent, so that retries are safe.
    /// - Returns: the corequest; 409 when a condition failed, with the reasons in the error.
    @discardableResult
    public func transact(_ work: (inout DynamoTransaction) -> Void) -> Corequest<AWSResponse> {
        var transaction = DynamoTransaction()
        work(&transaction)
        let input = AWSInput().adding("TransactItems", transaction.parts)
            .adding("ClientRequestToken", UUID().uuidString)
        return client.call("TransactWriteItems", input)
    }

    /// The items with keys in tables, read as a consistent snapshot, in the order of the keys; nil for missing items.
    public func transactGet(_ keys: [(table: String, key: DynamoItem)]) async throws -> [DynamoItem?] {
        struct Answer: Decodable {
            struct Found: Decodable { let Item: DynamoItem? }
            let Responses: [Found]
        }
        let parts = keys.map {
            AWSInput().adding("Get", AWSInput().adding("TableName", $0.table).adding("Key", $0.key))
        }
        return try await client.call("TransactGetItems", AWSInput().adding("TransactItems", parts)).fetch(Answer.self)
            .Responses.map(\.Item)
    }
}
