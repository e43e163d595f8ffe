// The input of an operation: an object with the members that have values.

import SkeinCore

/// The members of a request.
struct AWSInput: Encodable, Sendable {
    private var members: [(name: String, value: any Encodable & Sendable)] = []

    init() {}

    /// Adds a member if there is a value for it.
    mutating func add(_ name: String, _ value: (some Encodable & Sendable)?) {
        if let value { members.append((name, value)) }
    }

    func adding(_ name: String, _ value: (some Encodable & Sendable)?) -> AWSInput {
        var input = self
        input.add(name, value)
        return input
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: TreeKey.self)
        for (name, value) in members { try container.encode(value, forKey: TreeKey(stringValue: name)) }
    }
}
