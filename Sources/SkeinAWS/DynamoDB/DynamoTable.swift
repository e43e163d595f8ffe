// A table, and the calls for it and its items.

import SkeinCore
import SkeinHTTP

/// The attributes that a write returns.
public enum DynamoReturn: String, Sendable {
    case none = "NONE"
    /// The item before the change.
    case allOld = "ALL_OLD"
    /// The changed attributes before the change.
    case updatedOld = "UPDATED_OLD"
    /// The item after the change.
    case allNew = "ALL_NEW"
    /// The changed attributes after the change.
    case updatedNew = "UPDATED_NEW"
}

/// A table. Every call starts at once and returns a corequest.
public struct DynamoTable: Sendable {
    /// The service of the table.
    public let db: DynamoDB
    /// Its name.
    public let name: String

    func call(
        _ operation: String, _ input: AWSInput, form: AWSResponse.Form = .json
    ) -> Corequest<AWSResponse> { db.client.call(operation, input.adding("TableName", name), form: form) }

    // MARK: Items

    /// The item with a key: `users.get(["id": "x"]).one(User.self)`.
    /// - Parameters:
    ///   - key: the partition key, and the sort key where there is one.
    ///   - attributes: the requested attributes. Default: all.
    ///   - isConsistent: whether the read is strongly consistent, at twice the cost. Default: false.
    @discardableResult
    public func get(
        _ key: DynamoItem, attributes: [String]? = nil, isConsistent: Bool = false
    ) -> Corequest<AWSResponse> {
        var request = DynamoRequest()
        request.input.add("Key", key)
        request.add("ProjectionExpression", attributes.map(DynamoExpression.names))
        request.input.add("ConsistentRead", isConsistent ? true : nil)
        return call("GetItem", request.finished(), form: .item("Item"))
    }

    /// Puts an item, replacing one with the same key.
    /// - Parameters:
    ///   - item: its attributes.
    ///   - condition: a condition on the existing item, else 409: `"attribute_not_exists(\(name: "id"))"`.
    ///   - returning: the attributes to return: none, or all old ones.
    @discardableResult
    public func put(
        _ item: DynamoItem, if condition: DynamoExpression? = nil, returning: DynamoReturn = .none
    ) -> Corequest<AWSResponse> {
        change("PutItem", returning) { request in
            request.input.add("Item", item)
            request.add("ConditionExpression", condition)
        }
    }

    /// Puts an encoded value.
    /// - Throws: `EncodingError`.
    @discardableResult
    public func put(
        encoding value: some Encodable, if condition: DynamoExpression? = nil
    ) throws -> Corequest<AWSResponse> { put(try DynamoItem(encoding: value), if: condition) }

    /// Updates the item with a key, or creates it:
    /// `users.update(["id": "x"], "SET \(name: "hits") = \(name: "hits") + \(1)")`.
    @discardableResult
    public func update(
        _ key: DynamoItem, _ update: DynamoExpression, if condition: DynamoExpression? = nil,
        returning: DynamoReturn = .none
    ) -> Corequest<AWSResponse> {
        change("UpdateItem", returning) { request in
            request.input.add("Key", key)
            request.add("UpdateExpression", update)
            request.add("ConditionExpression", condition)
        }
    }

    /// Deletes the item with a key.
    @discardableResult
    public func delete(
        _ key: DynamoItem, if condition: DynamoExpression? = nil, returning: DynamoReturn = .none
    ) -> Corequest<AWSResponse> {
        change("DeleteItem", returning) { request in
            request.input.add("Key", key)
            request.add("ConditionExpression", condition)
        }
    }

    private func change(
        _ operation: String, _ returning: DynamoReturn, _ fill: (inout DynamoRequest) -> Void
    ) -> Corequest<AWSResponse> {
        var request = DynamoRequest()
        fill(&request)
        request.input.add("ReturnValues", returning == .none ? nil : returning.rawValue)
        return call(operation, request.finished(), form: .item("Attributes"))
    }

    // MARK: Management

    /// Creates the table, with on-demand billing.
    /// - Parameters:
    ///   - partition: the name and type of the partition key.
    ///   - sort: the name and type of the sort key. Default: none.
    ///   - others: further input members of the service: `["GlobalSecondaryIndexes": …]`.
    @discardableResult
    public func create(
        partition: (name: String, type: DynamoKeyType), sort: (name: String, type: DynamoKeyType)? = nil,
        others: [String: JSONValue] = [:]
    ) -> Corequest<AWSResponse> {
        let keys = [(partition, "HASH"), sort.map { ($0, "RANGE") }].compactMap { $0 }
        var input = AWSInput()
        input.add("KeySchema", keys.map { ["AttributeName": $0.0.name, "KeyType": $0.1] })
        if others["AttributeDefinitions"] == nil {
            input.add(
                "AttributeDefinitions", keys.map { ["AttributeName": $0.0.name, "AttributeType": $0.0.type.rawValue] })
        }
        if others["BillingMode"] == nil { input.add("BillingMode", "PAY_PER_REQUEST") }
        for (name, value) in others { input.add(name, value) }
        return call("CreateTable", input)
    }

    /// The description of the table.
    @discardableResult
    public func describe() -> Corequest<AWSResponse> { call("DescribeTable", AWSInput()) }

    /// Updates the table: `["BillingMode": "PROVISIONED", …]`.
    @discardableResult
    public func change(_ settings: [String: JSONValue]) -> Corequest<AWSResponse> {
        var input = AWSInput()
        for (name, value) in settings { input.add(name, value) }
        return call("UpdateTable", input)
    }

    /// Deletes the table with its items.
    @discardableResult
    public func drop() -> Corequest<AWSResponse> { call("DeleteTable", AWSInput()) }

    /// Waits until the table is active.
    /// - Throws: the service's error; code 702 after the timeout.
    public func untilActive(within limit: Duration = .seconds(120)) async throws {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if try await describe().fetch()["Table"]?["TableStatus"]?.string == "ACTIVE" { return }
            guard try await Backoff.wait(.milliseconds(200)) else { break }
        }
        throw SkeinError(.timeout, because: "the table \(name) was not active within \(limit)")
    }
}

/// A request with expressions.
struct DynamoRequest {
    var input = AWSInput()
    var attributes = ExpressionAttributes()

    mutating func add(_ name: String, _ expression: DynamoExpression?) {
        if let expression { input.add(name, attributes.text(expression)) }
    }

    /// The input with the names and values of all its expressions.
    func finished() -> AWSInput {
        input.adding("ExpressionAttributeNames", attributes.allNames)
            .adding("ExpressionAttributeValues", attributes.allValues)
    }
}
