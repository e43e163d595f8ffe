// The members of a JSON object: ordered, with lookup by bytes.

/// The members of a JSON object, in document order. Two objects are equal when their members are, in any order.
public struct JSONObject: Sendable, ExpressibleByDictionaryLiteral {
    private static let indexed = 8

    private var entries: [(name: String, value: JSONValue)] = []
    /// The index of each name, once there are many.
    private var places: ByteDictionary<Int>?

    /// No members.
    public init() {}

    /// Members in order; of several with one name, the last counts.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        for (name, value) in members { self[name] = value }
    }

    /// The members of a dictionary, by their names.
    public init(_ members: [String: JSONValue]) {
        self.init(members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }

    /// Members written as a literal.
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }

    /// The value of a member. Setting nil removes it.
    public subscript(name: String) -> JSONValue? {
        get { place(of: name).map { entries[$0].value } }
        set {
            switch (place(of: name), newValue) {
            case (let place?, let value?): entries[place].value = value
            case (nil, let value?): append(name, value)
            case (let place?, nil):
                entries.remove(at: place)
                places = nil
                index()
            case (nil, nil): break
            }
        }
    }

    /// The names, in order.
    public var names: [String] { entries.map(\.name) }

    /// The members with transformed values.
    public func mapValues<T>(_ transform: (JSONValue) throws -> T) rethrows -> [(String, T)] {
        try entries.map { ($0.name, try transform($0.value)) }
    }

    /// The members as a dictionary.
    /// - Throws: ``JSONError`` when two names differ only in their Unicode form: a dictionary treats them as one.
    package func dictionary<T>(_ transform: (JSONValue) throws -> T) throws -> [String: T] {
        var members: [String: T] = [:]
        for entry in entries { members[entry.name] = try transform(entry.value) }
        guard members.count == entries.count else {
            throw JSONError(message: "two names of an object differ only in their Unicode form", offset: 0)
        }
        return members
    }

    /// Adds a member with a new name.
    mutating func append(_ name: String, _ value: JSONValue) {
        entries.append((name, value))
        if places != nil { places?[name] = entries.count - 1 } else { index() }
    }

    private mutating func index() {
        guard entries.count > Self.indexed else { return }
        var places = ByteDictionary<Int>()
        for (place, entry) in entries.enumerated() { places[entry.name] = place }
        self.places = places
    }

    func place(of name: String) -> Int? {
        if let places { return places[name] }
        return entries.firstIndex { $0.name.equalsBytes(name) }
    }
}

extension JSONObject: RandomAccessCollection {
    /// 0.
    public var startIndex: Int { 0 }
    /// The number of members.
    public var endIndex: Int { entries.count }
    /// A member by its index.
    public subscript(position: Int) -> (name: String, value: JSONValue) { entries[position] }
}

extension JSONObject: Hashable {
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.entries.allSatisfy { right[$0.name] == $0.value }
    }

    public func hash(into hasher: inout Hasher) {
        // Independent of the order: a sum of the members' hashes.
        var sum = 0
        for entry in entries {
            var one = Hasher()
            one.combine(ByteKey(entry.name))
            one.combine(entry.value)
            sum &+= one.finalize()
        }
        hasher.combine(sum)
    }
}
