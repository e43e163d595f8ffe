// DynamoDB (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/).

import SkeinCore
import SkeinHTTP

/// Tables of items. Every call starts at once and returns a corequest.
public final class DynamoDB: Sendable {
    let client: AWSClient

    /// The settings of the client.
    public var configuration: AWSConfiguration { client.configuration }

    package init(_ configuration: AWSConfiguration, session: Session, http: HTTPClient) {
        client = AWSClient(
            configuration, service: "dynamodb", target: "DynamoDB_20120810", session: session, http: http)
    }

    /// A table by its name.
    public subscript(name: String) -> DynamoTable { DynamoTable(db: self, name: name) }

    /// The names of all tables.
    public func tableNames() async throws -> [String] {
        struct Page: Decodable {
            let TableNames: [String]
            let LastEvaluatedTableName: String?
        }
        var names: [String] = []
        var last: String?
        repeat {
            let page = try await client.call("ListTables", AWSInput().adding("ExclusiveStartTableName", last)).fetch(
                Page.self)
            names += page.TableNames
            last = page.LastEvaluatedTableName
        } while last != nil
        return names
    }

    /// Starts any call: `call("DescribeLimits", [:])`.
    @discardableResult
    public func call(_ operation: String, _ input: [String: JSONValue]) -> Corequest<AWSResponse> {
        client.call(operation, input)
    }

    // MARK: Calls with the names of aquests

    /// The item with a key, with all of its attributes or some of them.
    @discardableResult
    public func getItem(
        _ table: String, _ key: DynamoItem, attributes: [String]? = nil, isConsistent: Bool = false
    ) -> Corequest<AWSResponse> { self[table].get(key, attributes: attributes, isConsistent: isConsistent) }

    /// Puts an item into a table, replacing one with the same key.
    @discardableResult
    public func putItem(_ table: String, _ item: DynamoItem, if condition: DynamoExpression? = nil) -> Corequest<
        AWSResponse
    > {
        self[table].put(item, if: condition)
    }

    /// Updates the item with a key.
    @discardableResult
    public func updateItem(
        _ table: String, _ key: DynamoItem, _ update: DynamoExpression, if condition: DynamoExpression? = nil
    ) -> Corequest<AWSResponse> { self[table].update(key, update, if: condition) }

    /// Deletes the item with a key.
    @discardableResult
    public func deleteItem(_ table: String, _ key: DynamoItem, if condition: DynamoExpression? = nil) -> Corequest<
        AWSResponse
    > {
        self[table].delete(key, if: condition)
    }
}

/// The type of a key attribute.
public enum DynamoKeyType: String, Sendable {
    case string = "S"
    case number = "N"
    case binary = "B"
}
