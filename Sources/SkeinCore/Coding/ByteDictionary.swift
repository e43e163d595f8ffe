// A dictionary whose keys are compared by bytes, for names from a peer or a user.

/// Values by texts that are equal when their UTF-8 bytes are; `[String: Value]` would treat two spellings of é as one.
package struct ByteDictionary<Value>: Sequence, ExpressibleByDictionaryLiteral {
    private var storage: [ByteKey: Value] = [:]

    package init() {}

    package init(dictionaryLiteral elements: (String, Value)...) {
        for (key, value) in elements { storage[ByteKey(key)] = value }
    }

    package var count: Int { storage.count }
    package var isEmpty: Bool { storage.isEmpty }
    package var keys: [String] { storage.keys.map(\.text) }
    package var values: Dictionary<ByteKey, Value>.Values { storage.values }

    package subscript(key: String) -> Value? {
        get { storage[ByteKey(key)] }
        set { storage[ByteKey(key)] = newValue }
        _modify { yield &storage[ByteKey(key)] }
    }

    package subscript(key: String, default standard: @autoclosure () -> Value) -> Value {
        get { storage[ByteKey(key)] ?? standard() }
        _modify { yield &storage[ByteKey(key), default: standard()] }
    }

    @discardableResult
    package mutating func updateValue(_ value: Value, forKey key: String) -> Value? {
        storage.updateValue(value, forKey: ByteKey(key))
    }

    @discardableResult
    package mutating func removeValue(forKey key: String) -> Value? { storage.removeValue(forKey: ByteKey(key)) }

    package func makeIterator() -> AnyIterator<(key: String, value: Value)> {
        var base = storage.makeIterator()
        return AnyIterator { base.next().map { ($0.key.text, $0.value) } }
    }
}

extension ByteDictionary: Sendable where Value: Sendable {}
