// Splits a byte stream into RESP3 values, including RESP2 (the protocol's specification at redis.io).
//
// Nested values are collected on a stack, so that a large one that arrives in many pieces is parsed once.

import NIOCore
import SkeinCore

/// Limits for a peer's values.
struct RESPLimits: Sendable {
    /// Bytes of a string.
    var maximumString = 512 << 20
    /// Elements of a list, a set, or a map.
    var maximumElements = 16 << 20
    /// The maximum nesting of values.
    var maximumDepth = 64
    /// Bytes of a line: a number, a simple string, an error.
    var maximumLine = 16 << 20
}

/// A protocol error.
enum RESPError: Error, Equatable, CustomStringConvertible {
    case malformed(UInt8)
    case tooLong(Int)
    case tooDeep

    var description: String {
        switch self {
        case .malformed(let type): "the server sent a malformed value of type \(type)"
        case .tooLong(let length): "the server sent a value of \(length) bytes or elements, which is over the limit"
        case .tooDeep: "the server sent values nested deeper than the limit"
        }
    }
}

/// A reply, or a push message.
enum RESPMessage: Equatable {
    case value(RedisValue)
    case push([RedisValue])
}

/// A decoder. After an error it cannot be used any more.
struct RESPDecoder {
    private enum Kind {
        case array, set, map, push, attribute
    }

    private struct Frame {
        let kind: Kind
        var remaining: Int
        var elements: [RedisValue]
    }

    /// The length of an incomplete line that was searched for its end.
    private var searched = 0
    private var buffer = ByteBuffer()
    private var stack: [Frame] = []
    private let limits: RESPLimits

    init(limits: RESPLimits = RESPLimits()) { self.limits = limits }

    mutating func append(_ bytes: ByteBuffer) { buffer.absorb(bytes) }

    /// Whether all received bytes were consumed.
    var isEmpty: Bool { buffer.readableBytes == 0 && stack.isEmpty }

    /// Whether the remaining bytes are the beginning of a reply, and not of a push message.
    var hasBegunAnswer: Bool {
        if let outermost = stack.first { return outermost.kind != .push }
        return buffer.readableBytesView.first.map { $0 != UInt8(ascii: ">") } ?? false
    }

    /// The next complete value, or nil until more bytes arrive.
    /// - Throws: the protocol error; the connection must be closed.
    mutating func next() throws(RESPError) -> RESPMessage? {
        while true {
            guard let step = try step() else { return nil }
            switch step {
            case .value(let value):
                if let message = collect(value) { return message }
            case .opened:
                // An empty collection is complete already.
                if let frame = stack.last, frame.remaining == 0, let message = close() { return message }
            }
        }
    }

    private enum Step {
        case value(RedisValue)
        case opened
    }

    /// Adds a value to its collection; returns it when it is a top-level value.
    private mutating func collect(_ value: RedisValue) -> RESPMessage? {
        guard !stack.isEmpty else { return .value(value) }
        stack[stack.count - 1].elements.append(value)
        stack[stack.count - 1].remaining -= 1
        return stack[stack.count - 1].remaining == 0 ? close() : nil
    }

    private mutating func close() -> RESPMessage? {
        guard let frame = stack.popLast() else { return nil }
        switch frame.kind {
        case .array: return collect(.array(frame.elements))
        case .set: return collect(.set(frame.elements))
        case .map:
            return collect(
                .map(
                    stride(from: 0, to: frame.elements.count, by: 2).map {
                        RedisEntry(frame.elements[$0], frame.elements[$0 + 1])
                    }))
        case .push: return .push(frame.elements)
        case .attribute: return nil  // attributes of the next value are not used
        }
    }

    /// Parses one element, or the header of a collection.
    private mutating func step() throws(RESPError) -> Step? {
        let start = buffer.readerIndex
        let count = buffer.readableBytes
        guard count >= 3 else { return nil }
        // One pass over the bytes for the type and the line.
        let (type, end, number) = buffer.withUnsafeReadableBytes { bytes -> (UInt8, Int, Int?) in
            let type = bytes[0]
            var value = 0
            var place = 1
            var isNegative = false
            if bytes[1] == UInt8(ascii: "-") {
                isNegative = true
                place = 2
            }
            let digits = place
            while place < count, bytes[place] &- 0x30 < 10, place &- digits < 18 {
                value = value &* 10 &+ Int(bytes[place] &- 0x30)
                place &+= 1
            }
            if place > digits, place &+ 1 < count, bytes[place] == 0x0D, bytes[place &+ 1] == 0x0A {
                return (type, place, isNegative ? -value : value)
            }
            // Not a small number: search the line's end.
            place = max(1, searched)
            while place &+ 1 < count, bytes[place] != 0x0D || bytes[place &+ 1] != 0x0A { place &+= 1 }
            return (type, place &+ 1 < count ? place : -1, nil)
        }
        searched = end >= 0 ? 0 : count &- 1
        guard end >= 0 else {
            guard count <= limits.maximumLine else { throw .tooLong(count) }
            return nil
        }
        guard end <= limits.maximumLine else { throw .tooLong(end) }
        switch type {
        case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
            guard let number else { throw .malformed(type) }
            return try string(type, length: number, from: start + end + 2)
        case UInt8(ascii: ":"):
            let value: Int64
            if let number {
                value = Int64(number)
            } else {
                guard let long = Int64(line(start, end)) else { throw .malformed(type) }
                value = long
            }
            buffer.moveReaderIndex(forwardBy: end + 2)
            return .value(.integer(value))
        case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: "%"), UInt8(ascii: ">"), UInt8(ascii: "|"):
            guard let number else { throw .malformed(type) }
            buffer.moveReaderIndex(forwardBy: end + 2)
            if number == -1, type == UInt8(ascii: "*") { return .value(.null) }
            try open(type, number)
            return .opened
        default:
            let value = try simple(type, start, end)
            buffer.moveReaderIndex(forwardBy: end + 2)
            return .value(value)
        }
    }

    private func line(_ start: Int, _ end: Int) -> String {
        buffer.getString(at: start + 1, length: end - 1) ?? ""
    }

    private func simple(_ type: UInt8, _ start: Int, _ end: Int) throws(RESPError) -> RedisValue {
        switch type {
        case UInt8(ascii: "+"):
            guard let text = buffer.getSlice(at: start + 1, length: end - 1) else { throw .malformed(type) }
            return .string(text)
        case UInt8(ascii: "-"): return .error(RedisError(line(start, end)))
        case UInt8(ascii: "_"):
            guard end == 1 else { throw .malformed(type) }
            return .null
        case UInt8(ascii: "#"):
            switch line(start, end) {
            case "t": return .bool(true)
            case "f": return .bool(false)
            default: throw .malformed(type)
            }
        case UInt8(ascii: ","):
            guard let value = Double(line(start, end)) else { throw .malformed(type) }
            return .double(value)
        case UInt8(ascii: "("):
            let digits = line(start, end)
            let unsigned = digits.hasBytePrefix("-") || digits.hasBytePrefix("+") ? digits.dropFirst() : digits[...]
            guard !unsigned.isEmpty, unsigned.utf8.allSatisfy({ $0 &- 0x30 < 10 }) else { throw .malformed(type) }
            return .bigNumber(digits)
        default: throw .malformed(type)
        }
    }

    private mutating func string(_ type: UInt8, length: Int, from start: Int) throws(RESPError) -> Step? {
        if length == -1, type == UInt8(ascii: "$") {
            buffer.moveReaderIndex(to: start)
            return .value(.null)
        }
        guard length >= 0 else { throw .malformed(type) }
        guard length <= limits.maximumString else { throw .tooLong(length) }
        guard buffer.writerIndex - start >= length + 2 else { return nil }
        guard let bytes = buffer.getSlice(at: start, length: length),
            buffer.getInteger(at: start + length, as: UInt16.self) == 0x0D0A
        else { throw .malformed(type) }
        buffer.moveReaderIndex(to: start + length + 2)
        switch type {
        case UInt8(ascii: "!"): return .value(.error(RedisError(String(buffer: bytes))))
        case UInt8(ascii: "="):
            // Three letters for the kind of text, and a colon.
            guard length >= 4, let text = bytes.getSlice(at: bytes.readerIndex + 4, length: length - 4) else {
                throw .malformed(type)
            }
            return .value(.string(text))
        default: return .value(.string(bytes))
        }
    }

    private mutating func open(_ type: UInt8, _ number: Int) throws(RESPError) {
        guard number >= 0 else { throw .malformed(type) }
        guard number <= limits.maximumElements else { throw .tooLong(number) }
        guard stack.count < limits.maximumDepth else { throw .tooDeep }
        let kind: Kind
        switch type {
        case UInt8(ascii: "*"): kind = .array
        case UInt8(ascii: "~"): kind = .set
        case UInt8(ascii: "%"): kind = .map
        case UInt8(ascii: "|"): kind = .attribute
        default:
            // Push messages occur between values, never inside of one.
            guard stack.isEmpty else { throw .malformed(type) }
            kind = .push
        }
        let count = kind == .map || kind == .attribute ? number * 2 : number
        var frame = Frame(kind: kind, remaining: count, elements: [])
        frame.elements.reserveCapacity(min(count, 1024))  // the announced count must not allocate memory yet
        stack.append(frame)
    }
}
