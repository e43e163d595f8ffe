// Codable values as trees: the common encoder of formats with their own value types.

/// A value of such a format: a leaf, a list, or members with names.
package protocol EncodedTree {
    static var null: Self { get }
    /// The leaf for a Swift value; nil when the value has to be encoded by its parts.
    static func leaf(_ value: any Encodable, path: [any CodingKey]) throws -> Self?
    static func tree(_ elements: [Self]) -> Self
    static func tree(_ members: [(String, Self)], path: [any CodingKey]) throws -> Self
}

/// Encodes one value as a tree.
package final class TreeEncoder<Tree: EncodedTree>: Encoder {
    private enum Content {
        case none
        case leaf(Tree)
        case members([(String, Part)])
        case elements([Part])
    }

    /// A finished part, or one that is still being written.
    private enum Part {
        case value(Tree)
        case open(TreeEncoder)

        func finished() throws -> Tree {
            switch self {
            case .value(let tree): tree
            case .open(let encoder): try encoder.finished()
            }
        }
    }

    package let codingPath: [any CodingKey]
    package let userInfo: [CodingUserInfoKey: Any] = [:]
    private var content = Content.none

    private init(_ path: [any CodingKey]) { codingPath = path }

    /// The tree of a value.
    /// - Throws: `EncodingError`.
    package static func value<T: Encodable>(of value: T, path: [any CodingKey]) throws -> Tree {
        if let leaf = try Tree.leaf(value, path: path) { return leaf }
        let encoder = TreeEncoder(path)
        try value.encode(to: encoder)
        return try encoder.finished()
    }

    private func finished() throws -> Tree {
        switch content {
        case .none: try Tree.tree([], path: codingPath)
        case .leaf(let tree): tree
        case .members(let members): try Tree.tree(members.map { ($0.0, try $0.1.finished()) }, path: codingPath)
        case .elements(let elements): Tree.tree(try elements.map { try $0.finished() })
        }
    }

    package func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .none = content { content = .members([]) }
        return KeyedEncodingContainer(Keyed(encoder: self, codingPath: codingPath))
    }

    package func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .none = content { content = .elements([]) }
        return Unkeyed(encoder: self, codingPath: codingPath)
    }

    package func singleValueContainer() -> any SingleValueEncodingContainer {
        Single(encoder: self, codingPath: codingPath)
    }

    private func append(_ part: Part, _ key: any CodingKey) {
        guard case .members(var members) = content else { return }
        content = .none  // so that the list is changed in place and not copied
        members.append((key.stringValue, part))
        content = .members(members)
    }

    private func append(_ part: Part) {
        guard case .elements(var elements) = content else { return }
        content = .none
        elements.append(part)
        content = .elements(elements)
    }

    private var count: Int { if case .elements(let elements) = content { elements.count } else { 0 } }

    private struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let encoder: TreeEncoder
        let codingPath: [any CodingKey]

        func encodeNil(forKey key: Key) { encoder.append(.value(.null), key) }
        func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
            encoder.append(.value(try TreeEncoder.value(of: value, path: codingPath + [key])), key)
        }
        private func nested(_ key: any CodingKey) -> TreeEncoder {
            let nested = TreeEncoder(codingPath + [key])
            encoder.append(.open(nested), key)
            return nested
        }
        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) -> KeyedEncodingContainer<Nested> { nested(key).container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { nested(key).unkeyedContainer() }
        func superEncoder() -> any Encoder { nested(TreeKey.super) }
        func superEncoder(forKey key: Key) -> any Encoder { nested(key) }
    }

    private struct Unkeyed: UnkeyedEncodingContainer {
        let encoder: TreeEncoder
        let codingPath: [any CodingKey]
        var count: Int { encoder.count }

        func encodeNil() { encoder.append(.value(.null)) }
        func encode<T: Encodable>(_ value: T) throws {
            encoder.append(.value(try TreeEncoder.value(of: value, path: codingPath + [TreeKey(index: count)])))
        }
        private func nested() -> TreeEncoder {
            let nested = TreeEncoder(codingPath + [TreeKey(index: count)])
            encoder.append(.open(nested))
            return nested
        }
        func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
            nested().container(keyedBy: type)
        }
        func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { nested().unkeyedContainer() }
        func superEncoder() -> any Encoder { nested() }
    }

    private struct Single: SingleValueEncodingContainer {
        let encoder: TreeEncoder
        let codingPath: [any CodingKey]

        func encodeNil() { encoder.content = .leaf(.null) }
        func encode<T: Encodable>(_ value: T) throws {
            encoder.content = .leaf(try TreeEncoder.value(of: value, path: codingPath))
        }
    }
}

/// The key of an unnamed part, or of one that was read.
package struct TreeKey: CodingKey {
    package let stringValue: String
    package let intValue: Int?

    package static let `super` = TreeKey(stringValue: "super")

    package init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    package init(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }

    /// The index in a list.
    package init(index: Int) { self.init(intValue: index) }
}
