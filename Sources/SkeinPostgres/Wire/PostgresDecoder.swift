// Splits the server's bytes into messages (protocol 3.0, "Message Formats"): a type byte, a length, a body.

import NIOCore
import SkeinCore
import SkeinSQL

/// A message decoder. After an error it cannot be used any more.
struct PostgresDecoder {
    private var buffer = ByteBuffer()
    private let limit: Int

    /// - Parameter limit: the size limit of a message.
    init(limit: Int) { self.limit = limit }

    /// Bytes of an incomplete message.
    var buffered: Int { buffer.readableBytes }

    mutating func append(_ bytes: ByteBuffer) { buffer.absorb(bytes) }

    /// Whether the remaining bytes are the beginning of a response, and not of a message that a server may send at any
    /// time: notifications, notices, parameters, and the error with which it ends a session.
    var hasBegunAnswer: Bool {
        buffer.readableBytesView.first.map { !Array("ANSE".utf8).contains($0) } ?? false
    }

    /// The next complete message, or nil until more bytes arrive.
    /// - Throws: the protocol error; the connection must be closed.
    mutating func next() throws(PostgresProtocolError) -> PostgresMessage? {
        guard buffer.readableBytes >= 5,
            let type = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
            let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self).map(Int.init)
        else { return nil }
        guard length >= 4 else { throw .badLength(length, message: type) }
        guard length <= limit else { throw .tooLong(length, limit: limit) }
        // A message type that is always short fails at once if its length is large.
        if Self.isShort(type), length > 64 << 10 { throw .badLength(length, message: type) }
        guard buffer.readableBytes > length else { return nil }
        buffer.moveReaderIndex(forwardBy: 5)
        guard var body = buffer.readSlice(length: length - 4) else { throw .malformed(message: type) }
        return try Self.decode(type, &body)
    }

    /// Consumes all rows that follow, if any.
    /// - Returns: the number of bytes consumed.
    mutating func takeRows(into rows: PostgresRowSet) throws(PostgresProtocolError) -> Int {
        let count = try rows.appendAll(from: buffer, limit: limit)
        buffer.moveReaderIndex(forwardBy: count)
        return count
    }

    private static func isShort(_ type: UInt8) -> Bool {
        switch type {
        case UInt8(ascii: "Z"), UInt8(ascii: "K"), UInt8(ascii: "1"), UInt8(ascii: "2"), UInt8(ascii: "3"),
            UInt8(ascii: "n"), UInt8(ascii: "I"), UInt8(ascii: "s"), UInt8(ascii: "c"), UInt8(ascii: "C"),
            UInt8(ascii: "R"), UInt8(ascii: "S"), UInt8(ascii: "v"):
            true
        default: false
        }
    }

    private static func decode(
        _ type: UInt8, _ body: inout ByteBuffer
    ) throws(PostgresProtocolError) -> PostgresMessage {
        switch type {
        case UInt8(ascii: "D"): return .dataRow(body)
        case UInt8(ascii: "2"): return try empty(.bindComplete, type, body)
        case UInt8(ascii: "C"): return .commandComplete(try tag(&body))
        case UInt8(ascii: "Z"):
            guard body.readableBytes == 1, let status = body.readInteger(as: UInt8.self) else {
                throw .badLength(body.readableBytes + 4, message: type)
            }
            guard let status = PostgresTransactionStatus(rawValue: status) else { throw .malformed(message: type) }
            return .ready(status)
        case UInt8(ascii: "T"): return .rowDescription(try columns(&body))
        case UInt8(ascii: "t"): return .parameterDescription(try types(&body))
        case UInt8(ascii: "1"): return try empty(.parseComplete, type, body)
        case UInt8(ascii: "3"): return try empty(.closeComplete, type, body)
        case UInt8(ascii: "n"): return try empty(.noData, type, body)
        case UInt8(ascii: "I"): return try empty(.emptyQuery, type, body)
        case UInt8(ascii: "s"): return try empty(.portalSuspended, type, body)
        case UInt8(ascii: "d"): return .copyData(body)
        case UInt8(ascii: "c"): return try empty(.copyDone, type, body)
        case UInt8(ascii: "G"): return .copyIn
        case UInt8(ascii: "H"): return .copyOut
        case UInt8(ascii: "W"): return .copyBoth
        case UInt8(ascii: "E"): return .error(try report(type, &body))
        case UInt8(ascii: "N"): return .notice(try report(type, &body))
        case UInt8(ascii: "A"):
            guard let process = body.readInteger(as: UInt32.self), let channel = string(&body),
                let payload = string(&body)
            else { throw .malformed(message: type) }
            return .notification(PostgresNotification(channel: channel, payload: payload, process: process))
        case UInt8(ascii: "S"):
            guard let name = string(&body), let value = string(&body) else { throw .malformed(message: type) }
            return .parameterStatus(name, value)
        case UInt8(ascii: "K"):
            guard let process = body.readInteger(as: UInt32.self), let secret = body.readInteger(as: UInt32.self)
            else { throw .malformed(message: type) }
            return .backendKey(process: process, secret: secret)
        case UInt8(ascii: "R"): return try authentication(&body)
        case UInt8(ascii: "v"): return .negotiateProtocolVersion
        default: throw .unknownMessage(type)
        }
    }

    private static func empty(
        _ message: PostgresMessage, _ type: UInt8, _ body: ByteBuffer
    ) throws(PostgresProtocolError) -> PostgresMessage {
        guard body.readableBytes == 0 else { throw .badLength(body.readableBytes + 4, message: type) }
        return message
    }

    private static func authentication(_ body: inout ByteBuffer) throws(PostgresProtocolError) -> PostgresMessage {
        guard let kind = body.readInteger(as: UInt32.self) else { throw .malformed(message: UInt8(ascii: "R")) }
        switch kind {
        case 0: return .authenticationOK
        case 3: return .authenticationCleartext
        case 5:
            guard let salt = body.readBytes(length: 4) else { throw .malformed(message: UInt8(ascii: "R")) }
            return .authenticationMD5(salt: salt)
        case 10:
            var mechanisms: [String] = []
            while let name = string(&body), !name.isEmpty { mechanisms.append(name) }
            return .authenticationSASL(mechanisms)
        case 11: return .authenticationSASLContinue(String(buffer: body))
        case 12: return .authenticationSASLFinal(String(buffer: body))
        default: return .authenticationUnsupported(kind)
        }
    }

    private static func columns(_ body: inout ByteBuffer) throws(PostgresProtocolError) -> [PostgresColumn] {
        let type = UInt8(ascii: "T")
        guard let count = body.readInteger(as: UInt16.self) else { throw .malformed(message: type) }
        var columns: [PostgresColumn] = []
        columns.reserveCapacity(min(Int(count), body.readableBytes / 19))
        for _ in 0..<count {
            // Table, attribute, then the type, its size, its modifier, and the format.
            guard let name = string(&body), body.readableBytes >= 18 else { throw .malformed(message: type) }
            body.moveReaderIndex(forwardBy: 6)
            guard let oid = body.readInteger(as: UInt32.self) else { throw .malformed(message: type) }
            body.moveReaderIndex(forwardBy: 8)
            columns.append(PostgresColumn(name: name, type: oid))
        }
        return columns
    }

    private static func types(_ body: inout ByteBuffer) throws(PostgresProtocolError) -> [UInt32] {
        guard let count = body.readInteger(as: UInt16.self), body.readableBytes == Int(count) * 4 else {
            throw .malformed(message: UInt8(ascii: "t"))
        }
        var types: [UInt32] = []
        while let type = body.readInteger(as: UInt32.self) { types.append(type) }
        return types
    }

    private static func report(_ type: UInt8, _ body: inout ByteBuffer) throws(PostgresProtocolError) -> SQLError {
        var error = SQLError(sqlState: "", message: "")
        while let field = body.readInteger(as: UInt8.self), field != 0 {
            guard let text = string(&body) else { throw .malformed(message: type) }
            switch field {
            case UInt8(ascii: "V"): error.severity = text
            case UInt8(ascii: "C"): error.sqlState = text
            case UInt8(ascii: "M"): error.message = text
            case UInt8(ascii: "D"): error.detail = text
            case UInt8(ascii: "H"): error.hint = text
            case UInt8(ascii: "P"): error.position = Int(text)
            case UInt8(ascii: "s"): error.schema = text
            case UInt8(ascii: "t"): error.table = text
            case UInt8(ascii: "c"): error.column = text
            case UInt8(ascii: "n"): error.constraint = text
            default: break
            }
        }
        return error
    }

    /// `INSERT 0 5`: the words before the numbers, and the last number.
    private static func tag(_ body: inout ByteBuffer) throws(PostgresProtocolError) -> PostgresTag {
        guard let end = body.readableBytesView.firstIndex(of: 0), end == body.writerIndex - 1 else {
            throw .malformed(message: UInt8(ascii: "C"))
        }
        let text = body.readableBytesView.dropLast()
        var words = text.endIndex
        var rows = 0
        if let last = text.last, last &- 0x30 < 10 {
            var place = text.endIndex
            var scale = 1
            while place > text.startIndex, text[place - 1] &- 0x30 < 10, scale < 1_000_000_000_000_000 {
                place -= 1
                rows += Int(text[place] &- 0x30) * scale
                scale *= 10
            }
            words = place
            while words > text.startIndex, text[words - 1] == 0x20 || text[words - 1] &- 0x30 < 10 { words -= 1 }
        }
        return PostgresTag(command: String(decoding: text[text.startIndex..<words], as: UTF8.self), rows: rows)
    }

    private static func string(_ body: inout ByteBuffer) -> String? { body.readNullTerminatedString() }
}
