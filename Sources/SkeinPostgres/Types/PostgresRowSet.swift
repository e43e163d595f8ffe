// The rows of a result: the cells as received, with their offsets.

import NIOCore
import SkeinCore
import SkeinSQL

/// The structure of a statement's rows.
final class PostgresLayout: Sendable {
    let columns: RowColumns
    let types: [UInt32]
    /// The binary format of each column; nil for text.
    let formats: [PostgresFormat?]

    /// - Parameter isBinary: whether columns are in binary format where that is supported.
    init(_ columns: [PostgresColumn], isBinary: Bool) {
        self.columns = RowColumns(columns.map(\.name))
        types = columns.map(\.type)
        formats = columns.map { isBinary ? PostgresType.format($0.type) : nil }
    }

    static let none = PostgresLayout([], isBinary: true)
}

/// Rows that are being received, or complete rows.
final class PostgresRowSet: RowSet, @unchecked Sendable {
    private let layout: PostgresLayout
    var columns: RowColumns { layout.columns }
    @exclusivity(unchecked) private var bytes = ByteBuffer()
    /// The offset of each cell's length.
    @exclusivity(unchecked) private var places: [UInt32] = []
    @exclusivity(unchecked) private var rows = 0

    init(_ layout: PostgresLayout) {
        self.layout = layout
    }

    /// The memory of the cells.
    var size: Int { bytes.readableBytes }

    /// Adds a row.
    /// - Throws: when it does not match the columns.
    func append(_ row: ByteBuffer) throws(PostgresProtocolError) {
        let base = bytes.writerIndex
        try checkRoom(row.readableBytes)
        let isWhole = row.withUnsafeReadableBytes { note($0, from: 0, to: $0.count, base: base) }
        guard isWhole else { throw .malformed(message: UInt8(ascii: "D")) }
        if rows == 0 {
            bytes = row.slice()  // most results have one row: it is not copied
        } else {
            bytes.writeImmutableBuffer(row)
        }
        rows += 1
    }

    /// Adds the rows at the beginning of a buffer, with their headers, in one pass.
    /// - Returns: the number of bytes consumed.
    func appendAll(from buffer: ByteBuffer, limit: Int) throws(PostgresProtocolError) -> Int {
        let base = bytes.writerIndex
        var isWhole = true
        let end = buffer.withUnsafeReadableBytes { raw -> Int in
            var place = 0
            while place &+ 5 <= raw.count, raw[place] == UInt8(ascii: "D") {
                let length = Int(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: place &+ 1, as: UInt32.self)))
                // An incomplete or invalid message is handled elsewhere.
                guard length >= 4, length <= limit, place &+ 1 &+ length <= raw.count else { break }
                let end = place &+ 1 &+ length
                guard note(raw, from: place &+ 5, to: end, base: base) else {
                    isWhole = false
                    break
                }
                rows += 1
                place = end
            }
            return place
        }
        guard isWhole else { throw .malformed(message: UInt8(ascii: "D")) }
        guard end > 0 else { return 0 }
        try checkRoom(end)
        if let run = buffer.getSlice(at: buffer.readerIndex, length: end) { bytes.writeImmutableBuffer(run) }
        return end
    }

    private func checkRoom(_ count: Int) throws(PostgresProtocolError) {
        guard bytes.writerIndex + count <= Int(UInt32.max) else {
            throw .unexpected("the answer is larger than 4 GiB; read it with stream(…)")
        }
    }

    /// Records the offsets of a row's cells; returns whether it matches the columns.
    @inline(__always)
    private func note(_ raw: UnsafeRawBufferPointer, from start: Int, to end: Int, base: Int) -> Bool {
        let width = layout.types.count
        guard end &- start >= 2,
            Int(UInt16(bigEndian: raw.loadUnaligned(fromByteOffset: start, as: UInt16.self))) == width
        else { return false }
        var place = start &+ 2
        for _ in 0..<width {
            guard place &+ 4 <= end else { return false }
            let length = Int(Int32(bigEndian: raw.loadUnaligned(fromByteOffset: place, as: Int32.self)))
            guard length >= -1, place &+ 4 &+ max(0, length) <= end else { return false }
            places.append(UInt32(truncatingIfNeeded: base &+ place))
            place &+= 4 &+ max(0, length)
        }
        return place == end
    }

    var count: Int { rows }

    /// Calls with a cell's bytes; nil for NULL.
    @inline(__always)
    private func withCell<T>(_ row: Int, _ column: Int, _ body: (UnsafeRawBufferPointer?) throws -> T) rethrows -> T {
        let place = Int(places[row * layout.types.count + column])
        return try bytes.withUnsafeReadableBytes { raw in
            let length = Int(Int32(bigEndian: raw.loadUnaligned(fromByteOffset: place, as: Int32.self)))
            guard length >= 0 else { return try body(nil) }
            return try body(UnsafeRawBufferPointer(rebasing: raw[(place + 4)..<(place + 4 + length)]))
        }
    }

    func value(_ row: Int, _ column: Int) throws -> SQLValue {
        try withCell(row, column) { bytes in
            guard let bytes else { return .null }
            return try PostgresValueReader.read(bytes, layout.types[column], isBinary: layout.formats[column] != nil)
        }
    }

    func isNull(_ row: Int, _ column: Int) -> Bool { withCell(row, column) { $0 == nil } }

    func integer(_ row: Int, _ column: Int) -> Int64? {
        withCell(row, column) { bytes in
            guard let bytes else { return nil }
            switch (layout.formats[column], bytes.count) {
            case (.int8, 8): return Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
            case (.int4, 4): return Int64(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
            case (.int2, 2): return Int64(Int16(bigEndian: bytes.loadUnaligned(as: Int16.self)))
            default: return nil
            }
        }
    }

    func bool(_ row: Int, _ column: Int) -> Bool? {
        withCell(row, column) { bytes in
            guard let bytes, layout.formats[column] == .bool, bytes.count == 1 else { return nil }
            return bytes[0] != 0
        }
    }

    func double(_ row: Int, _ column: Int) -> Double? {
        withCell(row, column) { bytes in
            guard let bytes, layout.formats[column] == .float8, bytes.count == 8 else { return nil }
            return Double(bitPattern: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)))
        }
    }

    func text(_ row: Int, _ column: Int) -> String? {
        withCell(row, column) { bytes in
            guard let bytes, layout.formats[column] == .text else { return nil }
            return PostgresText.decode(bytes)
        }
    }
}
