// Decodes Codable types from rows. One decoder serves all rows of a result; a type reads the columns of each row in the
// same order, so that the next column is usually the one after the last.

import SkeinCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A decoder for the rows of a result.
final class RowDecoder: Decoder {
    let cells: any RowSet
    @exclusivity(unchecked) fileprivate(set) var row = 0
    @exclusivity(unchecked) private var next = 0
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]

    init(_ cells: any RowSet) { self.cells = cells }

    func decodeAll<T: Decodable>(_ type: T.Type) throws -> [T] {
        var values: [T] = []
        values.reserveCapacity(cells.count)
        let scalar = type as? any SQLConvertible.Type
        for row in 0..<cells.count { values.append(try decode(type, scalar, row: row)) }
        return values
    }

    func decode<T: Decodable>(_ type: T.Type, row: Int) throws -> T {
        try decode(type, type as? any SQLConvertible.Type, row: row)
    }

    private func decode<T: Decodable>(_ type: T.Type, _ scalar: (any SQLConvertible.Type)?, row: Int) throws -> T {
        self.row = row
        next = 0
        do {
            if let scalar { return try cell(0, as: scalar, type) }
            return try T(from: self)
        } catch let error as DecodingError {
            throw SkeinError(
                .invalidContent, because: "row \(row) is not a \(type): \(Self.explain(error))", cause: error)
        }
    }

    /// The column of a key: by its name, or by its snake-case name (`created_at` for `createdAt`).
    fileprivate func column(_ name: String) -> Int? {
        let names = cells.columns.names
        if next < names.count, names[next].equalsBytes(name) {
            next += 1
            return next - 1
        }
        let found = cells.columns.index(of: name) ?? cells.columns.index(of: Self.snake(name))
        if let found { next = found + 1 }
        return found
    }

    private static func snake(_ name: String) -> String {
        var result = ""
        for character in name {
            if character.isUppercase, !result.isEmpty { result.append("_") }
            result += character.lowercased()
        }
        return result
    }

    fileprivate func cell<T>(_ column: Int, as scalar: any SQLConvertible.Type, _ type: T.Type) throws -> T {
        guard column < cells.columns.names.count else {
            throw SkeinError(.invalidContent, because: "the answer has no columns; does the statement return rows?")
        }
        let value = try cells.value(row, column)
        guard let result = scalar.init(sqlValue: value) as? T else { throw mismatch(value, type, column) }
        return result
    }

    fileprivate func mismatch(_ value: SQLValue, _ type: Any.Type, _ column: Int) -> SkeinError {
        Self.mismatch(value, type, column: cells.columns.names[column], row: row)
    }

    static func mismatch(_ value: SQLValue, _ type: Any.Type, column: String, row: Int) -> SkeinError {
        let shown = value.isNull ? "NULL" : "\"\(value.description.prefix(40))\""
        let hint = value.isNull ? "; make it optional" : ""
        return SkeinError(
            .invalidContent,
            because: "\(shown) in column \(column.debugDescription) of row \(row) is not a \(type)\(hint)"
        )
    }

    private static func explain(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "there is no column \(key.stringValue.debugDescription)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.debugDescription
        @unknown default: "\(error)"
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(RowContainer<Key>(decoder: self))
    }

    func unkeyedContainer() -> any UnkeyedDecodingContainer { CellsContainer(decoder: self) }

    func singleValueContainer() -> any SingleValueDecodingContainer { CellContainer(decoder: self, column: 0) }
}

extension RowDecoder {
    /// A cell as a value of any Decodable type: one with an SQL representation, one made from a single value, or one
    /// made from JSON.
    fileprivate func decode<T: Decodable>(_ type: T.Type, column: Int) throws -> T {
        if let scalar = type as? any SQLConvertible.Type { return try cell(column, as: scalar, type) }
        let value = try cells.value(row, column)
        if case .json(let text) = value { return try JSON.decode(type, from: text.utf8) }
        if case .text(let text) = value, text.hasBytePrefix("{") || text.hasBytePrefix("[") {
            return try JSON.decode(type, from: text.utf8)
        }
        do {
            return try T(from: CellDecoder(decoder: self, column: column))
        } catch is DecodingError {
            throw mismatch(value, type, column)
        }
    }

    fileprivate func integer<T: FixedWidthInteger & SQLConvertible>(_ type: T.Type, _ column: Int) throws -> T {
        if let value = cells.integer(row, column), let result = T(exactly: value) { return result }
        return try cell(column, as: type, type)
    }

    fileprivate func double(_ column: Int) throws -> Double {
        if let value = cells.double(row, column) { return value }
        return try cell(column, as: Double.self, Double.self)
    }

    fileprivate func text(_ column: Int) throws -> String {
        if let value = cells.text(row, column) { return value }
        return try cell(column, as: String.self, String.self)
    }
}

/// A row by the names of its columns.
private struct RowContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: RowDecoder
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { decoder.cells.columns.names.compactMap { Key(stringValue: $0) } }

    private func column(_ key: Key) throws -> Int {
        guard let column = decoder.column(key.stringValue) else {
            throw DecodingError.keyNotFound(
                key, DecodingError.Context(codingPath: [], debugDescription: "there is no such column"))
        }
        return column
    }

    func contains(_ key: Key) -> Bool { decoder.column(key.stringValue) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { decoder.cells.isNull(decoder.row, try column(key)) }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool {
        let column = try column(key)
        return try decoder.cells.bool(decoder.row, column) ?? decoder.cell(column, as: type, type)
    }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try decoder.text(try column(key)) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try decoder.double(try column(key)) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float {
        try decoder.cell(try column(key), as: type, type)
    }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try decoder.integer(type, try column(key)) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try decoder.integer(type, try column(key)) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try decoder.integer(type, try column(key)) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try decoder.integer(type, try column(key)) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try decoder.integer(type, try column(key)) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try decoder.integer(type, try column(key)) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try decoder.integer(type, try column(key)) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try decoder.integer(type, try column(key)) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try decoder.integer(type, try column(key)) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try decoder.integer(type, try column(key)) }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try decoder.decode(type, column: try column(key))
    }

    // One lookup of the column, where the library's implementation needs three.
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? {
        try ifPresent(key) { try decoder.text($0) }
    }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? {
        try ifPresent(key) { try decoder.integer(type, $0) }
    }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? {
        try ifPresent(key) { try decoder.double($0) }
    }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
        try ifPresent(key) { try decoder.decode(type, column: $0) }
    }

    private func ifPresent<T>(_ key: Key, _ decode: (Int) throws -> T) throws -> T? {
        guard let column = decoder.column(key.stringValue), !decoder.cells.isNull(decoder.row, column) else {
            return nil
        }
        return try decode(column)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { throw flat(key.stringValue) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw flat(key.stringValue) }
    func superDecoder() throws -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { decoder }
}

private func flat(_ name: String) -> DecodingError {
    .dataCorrupted(
        DecodingError.Context(
            codingPath: [], debugDescription: "a cell is a single value; \(name) cannot be decoded from it"))
}

/// A row by the indices of its columns: for tuples made from arrays.
private struct CellsContainer: UnkeyedDecodingContainer {
    let decoder: RowDecoder
    var codingPath: [any CodingKey] { [] }
    var count: Int? { decoder.cells.columns.names.count }
    var isAtEnd: Bool { currentIndex >= decoder.cells.columns.names.count }
    private(set) var currentIndex = 0

    init(decoder: RowDecoder) { self.decoder = decoder }

    mutating func decodeNil() -> Bool {
        guard !isAtEnd, decoder.cells.isNull(decoder.row, currentIndex) else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        guard !isAtEnd else { throw flat("one more value") }
        defer { currentIndex += 1 }
        return try decoder.decode(type, column: currentIndex)
    }

    func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        throw flat("\(type)")
    }
    func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { throw flat("an array") }
    func superDecoder() throws -> any Decoder { decoder }
}

/// One cell, for types made from a single value: enumerations of text or number, wrappers.
private struct CellDecoder: Decoder {
    let decoder: RowDecoder
    let column: Int
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        throw flat("\(type)")
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw flat("an array") }
    func singleValueContainer() -> any SingleValueDecodingContainer { CellContainer(decoder: decoder, column: column) }
}

private struct CellContainer: SingleValueDecodingContainer {
    let decoder: RowDecoder
    let column: Int
    var codingPath: [any CodingKey] { [] }

    func decodeNil() -> Bool { decoder.cells.isNull(decoder.row, column) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.decode(type, column: column) }
}
