// Encodes commands: arrays of strings, in RESP2 and RESP3 alike.

import NIOCore

enum RESPEncoder {
    /// Encodes a command.
    static func write(_ command: RedisCommand, into output: inout ByteBuffer) {
        header(UInt8(ascii: "*"), command.words + command.arguments.count, into: &output)
        if command.words == 1 {
            string(command.name, into: &output)
        } else {
            for word in command.name.splitBytes(separator: " ") { string(String(word), into: &output) }
        }
        for argument in command.arguments {
            switch argument {
            case .text(let text): string(text, into: &output)
            case .bytes(let bytes):
                header(UInt8(ascii: "$"), bytes.readableBytes, into: &output)
                output.writeImmutableBuffer(bytes)
                output.writeInteger(UInt16(0x0D0A))
            case .integer(let value): integer(value, into: &output)
            case .number(let value):
                string(RedisArgument.digits(value), into: &output)
            }
        }
    }

    private static func string(_ text: String, into output: inout ByteBuffer) {
        header(UInt8(ascii: "$"), text.utf8.count, into: &output)
        output.writeString(text)
        output.writeInteger(UInt16(0x0D0A))
    }

    private static func integer(_ value: Int64, into output: inout ByteBuffer) {
        if value >= 0, value < 10 {
            output.writeMultipleIntegers(UInt32(0x2431_0D0A), UInt8(0x30) + UInt8(value), UInt16(0x0D0A))  // $1\r\n
        } else {
            string("\(value)", into: &output)
        }
    }

    /// A type byte, a number, a line end.
    private static func header(_ type: UInt8, _ number: Int, into output: inout ByteBuffer) {
        if number < 10 {
            output.writeInteger(UInt32(type) << 24 | UInt32(0x30 + number) << 16 | 0x0D0A)
        } else if number < 100 {
            output.writeMultipleIntegers(type, UInt8(0x30 + number / 10), UInt8(0x30 + number % 10), UInt16(0x0D0A))
        } else {
            output.writeInteger(type)
            output.writeString("\(number)\r\n")
        }
    }
}
