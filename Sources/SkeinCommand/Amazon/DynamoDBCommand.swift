// skein dynamodb: reads and writes items as plain JSON.

import ArgumentParser
import Foundation
import Skein
import SkeinAWS
import SkeinCore

struct DynamoDBCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dynamodb", abstract: "Read and write items of Amazon's DynamoDB.",
        discussion: AmazonOptions.discussion + """


            Items and keys are plain JSON: {"id": "x", "year": 1931}; bytes are {"$base64": "gA=="}. Items are printed as they arrive, one per line.

              skein dynamodb create posts author:S number:N
              skein dynamodb put posts '{"author": "Ada", "number": 1, "title": "On looms"}'
              skein dynamodb get posts '{"author": "Ada", "number": 1}'
              skein dynamodb query posts author '"Ada"'
              skein dynamodb scan posts --json
            """,
        subcommands: [
            Get.self, Put.self, Delete.self, Query.self, Scan.self, List.self, Describe.self, Create.self, Drop.self,
        ])

    fileprivate static func item(_ word: String) throws -> DynamoItem {
        do {
            guard let members = try JSONValue(json: try InputFile.bytes(word) ?? []).members else {
                throw ValidationError("\(word.prefix(60)) is not a JSON object.")
            }
            return try members.dictionary { try AttributeValue(json: $0) }
        } catch let error as JSONError {
            throw ValidationError("\(word.prefix(60)) is not JSON: \(error).")
        }
    }

    fileprivate static func say(_ items: DynamoItems, limit: Int?, asList: Bool) async throws {
        var all: [JSONValue] = []
        var count = 0
        for try await item in items {
            if asList { all.append(item.json) } else { Terminal.say(RowsText.text(item.json)) }
            count += 1
            if count == limit { break }
        }
        if asList { Terminal.say(RowsText.text(.array(all))) }
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the item of a key; the exit code is 1 if there is none.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The table.")
        var table: String
        @Argument(help: "The key, as JSON.")
        var key: String

        func run() async throws {
            let key = try DynamoDBCommand.item(key)
            try await CommandSession.run { skein in
                let response = await skein.dynamodb(amazon.options)[table].get(key).dispatch()
                try response.raiseForStatus()
                guard let item = response.item else {
                    throw SkeinError.status(410, peer: response.peer, because: "the item does not exist")
                }
                Terminal.say(RowsText.text(item.json))
            }
        }
    }

    struct Put: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put items; each replaces an item with the same key.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The table.")
        var table: String
        @Argument(help: "Items: JSON, @FILE, or - for standard input.")
        var items: [String]

        func run() async throws {
            let writes = try items.map { DynamoWrite.put(try DynamoDBCommand.item($0)) }
            try await CommandSession.run { try await $0.dynamodb(amazon.options)[table].writeAll(writes) }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete the item of a key.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The table.")
        var table: String
        @Argument(help: "The key, as JSON.")
        var key: String

        func run() async throws {
            let key = try DynamoDBCommand.item(key)
            try await CommandSession.run { try await $0.dynamodb(amazon.options)[table].delete(key).commit() }
        }
    }

    struct Query: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the items of a partition.")

        @OptionGroup var amazon: AmazonOptions
        @Option(help: ArgumentHelp("The index to read.", valueName: "name"))
        var index: String?
        @Option(help: ArgumentHelp("Maximum number of items.", valueName: "count"))
        var limit: Int?
        @Flag(help: "Reverse the order.")
        var descending = false
        @Argument(help: "The table.")
        var table: String
        @Argument(help: "The name of the partition key.")
        var name: String
        @Argument(help: "Its value, as JSON; invalid JSON is taken as text.")
        var value: String

        func run() async throws {
            let value = try AttributeValue(json: RPCCommand.value(value))
            var query = DynamoQuery(key: "\(name: name) = \(value)")
            query.index = index
            query.isAscending = !descending
            query.pageSize = limit
            try await CommandSession.run { skein in
                try await DynamoDBCommand.say(
                    skein.dynamodb(amazon.options)[table].items(query), limit: limit, asList: amazon.json)
            }
        }
    }

    struct Scan: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print all items.")

        @OptionGroup var amazon: AmazonOptions
        @Option(help: ArgumentHelp("Maximum number of items.", valueName: "count"))
        var limit: Int?
        @Argument(help: "The table.")
        var table: String

        func run() async throws {
            var query = DynamoQuery()
            query.pageSize = limit
            try await CommandSession.run { skein in
                try await DynamoDBCommand.say(
                    skein.dynamodb(amazon.options)[table].items(query), limit: limit, asList: amazon.json)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the names of the tables.")

        @OptionGroup var amazon: AmazonOptions

        func run() async throws {
            try await CommandSession.run { skein in
                let names = try await skein.dynamodb(amazon.options).tableNames()
                if amazon.json { return Terminal.say(RowsText.text(.array(names.map { .string($0) }))) }
                for name in names { Terminal.say(name) }
            }
        }
    }

    struct Describe: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the description of a table, as JSON.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The table.")
        var table: String

        func run() async throws {
            try await CommandSession.run { skein in
                let answer = try await skein.dynamodb(amazon.options)[table].describe().fetch()
                Terminal.say(RowsText.text(answer["Table"] ?? answer))
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create a table, and wait until it is active.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The table.")
        var table: String
        @Argument(help: "The partition key and the sort key, each NAME:TYPE with S, N or B.")
        var keys: [String]

        func validate() throws {
            guard (1...2).contains(keys.count), keys.allSatisfy({ Self.key($0) != nil }) else {
                throw ValidationError("Name one or two keys, such as id:S.")
            }
        }

        private static func key(_ word: String) -> (name: String, type: DynamoKeyType)? {
            guard let colon = word.lastByte(":"),
                let type = DynamoKeyType(rawValue: String(word[word.index(after: colon)...]))
            else { return nil }
            return (String(word[..<colon]), type)
        }

        func run() async throws {
            let keys = keys.compactMap(Self.key)
            try await CommandSession.run { skein in
                let table = skein.dynamodb(amazon.options)[table]
                try await table.create(partition: keys[0], sort: keys.count > 1 ? keys[1] : nil).commit()
                try await table.untilActive()
            }
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete a table and its items.")

        @OptionGroup var amazon: AmazonOptions
        @Argument(help: "The table.")
        var table: String

        func run() async throws {
            try await CommandSession.run { try await $0.dynamodb(amazon.options)[table].drop().commit() }
        }
    }
}

extension DynamoItem {
    fileprivate var json: JSONValue { .object(JSONObject(mapValues(\.json))) }
}

extension AttributeValue {
    /// The value of plain JSON; numbers keep all digits.
    fileprivate init(json: JSONValue) throws {
        switch json {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .number(let number): self = .number(number.text)
        case .string(let text): self = .string(text)
        case .array(let elements): self = .list(try elements.map { try AttributeValue(json: $0) })
        case .object(let members):
            self = try json.base64.map { .binary($0) } ?? .map(members.dictionary { try AttributeValue(json: $0) })
        }
    }

    /// The value as plain JSON; bytes are `{"$base64": "…"}`.
    fileprivate var json: JSONValue {
        switch self {
        case .string(let text): .string(text)
        case .number(let digits): JSONNumber(digits).map { .number($0) } ?? .string(digits)
        case .binary(let data): .base64(data)
        case .bool(let value): .bool(value)
        case .null: .null
        case .list(let values): .array(values.map(\.json))
        case .map(let members): .object(JSONObject(members.mapValues(\.json)))
        case .stringSet(let values): .array(values.sorted().map { .string($0) })
        case .numberSet(let values): .array(values.sorted().map { AttributeValue.number($0).json })
        case .binarySet(let values):
            .array(values.sorted { $0.lexicographicallyPrecedes($1) }.map { .base64($0) })
        }
    }
}
