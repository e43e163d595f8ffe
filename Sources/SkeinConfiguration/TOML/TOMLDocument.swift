// A document in TOML 1.0; each value has its position, so that error messages can name it.

import SkeinCore

/// A position in a text: line and column from 1; columns are counted in Unicode scalars, as editors do.
package struct TextPosition: Sendable, Hashable, Comparable {
    package var line: Int
    package var column: Int

    package static func < (left: TextPosition, right: TextPosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// An error in a document, and its position.
package struct DocumentProblem: Error, Sendable, Hashable {
    package let position: TextPosition
    /// The dotted path of the key; empty for the whole document.
    package let key: String
    package let message: String

    package init(_ position: TextPosition, key: String = "", _ message: String) {
        self.position = position
        self.key = key
        self.message = message
    }
}

/// A value and its position.
package struct TOMLNode: Sendable {
    package indirect enum Value: Sendable {
        case string(String)
        case integer(Int)
        case float(Double)
        case boolean(Bool)
        case array([TOMLNode])
        case table(TOMLTable)
    }

    package var value: Value
    package let position: TextPosition

    /// The type's name in messages.
    package var typeName: String {
        switch value {
        case .string: "a string"
        case .integer: "an integer"
        case .float: "a float"
        case .boolean: "a boolean"
        case .array: "an array"
        case .table: "a table"
        }
    }
}

/// Keys with their values, in the order of the text.
package struct TOMLTable: Sendable {
    /// How a table was created, which determines what may be added to it (TOML 1.0, "Table").
    enum Origin {
        /// By a header of a table below it.
        case implicit
        /// By its own header.
        case header
        /// By a dotted key.
        case dotted
        /// Written within braces: complete.
        case inline
    }

    package struct Entry: Sendable {
        package let key: String
        package let position: TextPosition
        package var node: TOMLNode
    }

    package internal(set) var entries: [Entry] = []
    private var places = ByteDictionary<Int>()
    var origin: Origin

    init(_ origin: Origin) { self.origin = origin }

    package subscript(key: String) -> TOMLNode? { places[key].map { entries[$0].node } }

    func index(_ key: String) -> Int? { places[key] }

    mutating func append(_ key: String, _ position: TextPosition, _ node: TOMLNode) -> Int {
        places[key] = entries.count
        entries.append(Entry(key: key, position: position, node: node))
        return entries.count - 1
    }
}
