// Encodes parameters: in binary format where the type is known and matches, else as text, which the server parses for
// any type and validates.

import NIOCore
import SkeinSQL

/// The values of a Bind message.
struct PostgresParameters {
    let values: [SQLValue]

    /// The format codes, the number of values, the values.
    func write(_ types: [UInt32], into output: inout ByteBuffer) {
        output.writeInteger(UInt16(values.count))
        for (value, type) in zip(values, types) { output.writeInteger(UInt16(Self.isBinary(value, type) ? 1 : 0)) }
        output.writeInteger(UInt16(values.count))
        for (value, type) in zip(values, types) { Self.write(value, type, into: &output) }
    }

    private static func isBinary(_ value: SQLValue, _ type: UInt32) -> Bool {
        switch (value, PostgresType.format(type)) {
        case (.integer(let number), .int2): Int16(exactly: number) != nil
        case (.integer(let number), .int4): Int32(exactly: number) != nil
        // A value beyond the range of the type is sent as text, so that the server reports the error.
        case (.double(let number), .float4):
            !number.isFinite || Float(number).isFinite && (Float(number) != 0 || number == 0)
        case (.timestamp(let value), .timestamp), (.timestamp(let value), .timestampZoned):
            !value.isFinite || !value.microseconds.subtractingReportingOverflow(PostgresType.epoch).overflow
        case (.date(let value), .date):
            !value.isFinite || !value.days.subtractingReportingOverflow(PostgresType.epochDays).overflow
        case (.integer, .int8), (.integer, .float8), (.double, .float8), (.bool, .bool),
            (.integer(0), .bool), (.integer(1), .bool), (.bytes, .bytes), (.text, .bytes), (.json, .bytes),
            (.uuid, .uuid), (.interval, .interval):
            true
        default: false
        }
    }

    private static func write(_ value: SQLValue, _ type: UInt32, into output: inout ByteBuffer) {
        if value.isNull {
            output.writeInteger(Int32(-1))
            return
        }
        guard isBinary(value, type), let format = PostgresType.format(type) else {
            let start = output.writerIndex
            output.writeInteger(UInt32(0))
            let length = output.writeString(Self.text(value, type))
            output.setInteger(UInt32(length), at: start)
            return
        }
        switch (value, format) {
        case (.integer(let number), .int2): output.writeMultipleIntegers(UInt32(2), Int16(truncatingIfNeeded: number))
        case (.integer(let number), .int4): output.writeMultipleIntegers(UInt32(4), Int32(truncatingIfNeeded: number))
        case (.integer(let number), .float8): output.writeMultipleIntegers(UInt32(8), Double(number).bitPattern)
        case (.integer(let number), .bool): output.writeMultipleIntegers(UInt32(1), UInt8(number == 0 ? 0 : 1))
        case (.integer(let number), _): output.writeMultipleIntegers(UInt32(8), number)
        case (.double(let number), .float4): output.writeMultipleIntegers(UInt32(4), Float(number).bitPattern)
        case (.double(let number), _): output.writeMultipleIntegers(UInt32(8), number.bitPattern)
        case (.bool(let value), _): output.writeMultipleIntegers(UInt32(1), UInt8(value ? 1 : 0))
        case (.uuid(let value), _):
            output.writeInteger(UInt32(16))
            withUnsafeBytes(of: value.uuid) { _ = output.writeBytes($0) }
        case (.timestamp(let value), _):
            let raw = value.microseconds
            output.writeMultipleIntegers(UInt32(8), value.isFinite ? raw - PostgresType.epoch : raw)
        case (.date(let value), _):
            output.writeMultipleIntegers(UInt32(4), value.isFinite ? value.days - PostgresType.epochDays : value.days)
        case (.interval(let value), _):
            output.writeMultipleIntegers(UInt32(16), value.microseconds, value.days, value.months)
        case (.bytes(let bytes), _):
            output.writeInteger(UInt32(bytes.count))
            output.writeBytes(bytes)
        default:
            let text = value.description
            output.writeInteger(UInt32(text.utf8.count))
            output.writeString(text)
        }
    }

    private static func text(_ value: SQLValue, _ type: UInt32) -> String {
        if case .literal(let text) = value, PostgresType.isArray(type), let array = PostgresText.array(fromJSON: text) {
            return array
        }
        if case .double(let number) = value, let format = PostgresType.format(type),
            [.int2, .int4, .int8].contains(format),
            let whole = Int64(exactly: number)
        {
            return "\(whole)"  // without an exponent, which the text of a floating-point number may have
        }
        return value.description
    }
}
