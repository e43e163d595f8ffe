// Encodes the messages of a PostgreSQL client (protocol 3.0, "Message Formats").

import NIOCore

/// Messages to the server.
enum PostgresWriter {
    static let cancelCode: UInt32 = 80_877_102
    static let tlsRequest: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]

    /// Execute of the unnamed portal, all rows, and Sync.
    private static let executeAndSync: StaticString = "E\0\0\0\u{9}\0\0\0\0\0S\0\0\0\u{4}"

    static func startup(_ parameters: [(String, String)], into output: inout ByteBuffer) {
        message(nil, into: &output) { output in
            output.writeInteger(UInt32(196_608))
            for (name, value) in parameters {
                output.writeNullTerminatedString(name)
                output.writeNullTerminatedString(value)
            }
            output.writeInteger(UInt8(0))
        }
    }

    static func cancel(process: UInt32, secret: UInt32) -> ByteBuffer {
        var output = ByteBuffer()
        output.writeMultipleIntegers(UInt32(16), cancelCode, process, secret)
        return output
    }

    static func password(_ text: String, into output: inout ByteBuffer) {
        message("p", into: &output) { $0.writeNullTerminatedString(text) }
    }

    static func saslInitial(_ mechanism: String, _ data: String, into output: inout ByteBuffer) {
        message("p", into: &output) {
            $0.writeNullTerminatedString(mechanism)
            $0.writeInteger(UInt32(data.utf8.count))
            $0.writeString(data)
        }
    }

    static func saslResponse(_ data: String, into output: inout ByteBuffer) {
        message("p", into: &output) { $0.writeString(data) }
    }

    static func query(_ text: String, into output: inout ByteBuffer) {
        message("Q", into: &output) { $0.writeNullTerminatedString(text) }
    }

    /// - Parameter types: the types of the parameters, where they are known.
    static func parse(_ name: String, _ text: String, types: [UInt32] = [], into output: inout ByteBuffer) {
        message("P", into: &output) {
            $0.writeNullTerminatedString(name)
            $0.writeNullTerminatedString(text)
            $0.writeInteger(UInt16(types.count))
            for type in types { $0.writeInteger(type) }
        }
    }

    /// Prepares a statement again without a name, for the next execution. Its parameters have the types in which they
    /// are encoded, and it is described again, so that changed columns are detected.
    static func prepareAgain(_ statement: PostgresStatement, into output: inout ByteBuffer) {
        parse("", statement.text, types: statement.parameterTypes, into: &output)
        describeStatement("", into: &output)
    }

    static func describeStatement(_ name: String, into output: inout ByteBuffer) {
        message("D", into: &output) {
            $0.writeInteger(UInt8(ascii: "S"))
            $0.writeNullTerminatedString(name)
        }
    }

    static func closeStatement(_ name: String, into output: inout ByteBuffer) {
        message("C", into: &output) {
            $0.writeInteger(UInt8(ascii: "S"))
            $0.writeNullTerminatedString(name)
        }
    }

    /// Bind of the unnamed portal.
    static func bind(_ statement: PostgresStatement, _ parameters: PostgresParameters, into output: inout ByteBuffer) {
        output.writeInteger(UInt8(ascii: "B"))
        let start = output.writerIndex
        output.writeInteger(UInt32(0))
        output.writeInteger(UInt8(0))
        output.writeNullTerminatedString(statement.name)
        parameters.write(statement.parameterTypes, into: &output)
        output.writeImmutableBuffer(statement.resultFormats)
        output.setInteger(UInt32(output.writerIndex - start), at: start)
    }

    static func executeAll(into output: inout ByteBuffer) { output.writeStaticString(executeAndSync) }

    static func execute(rows: UInt32, into output: inout ByteBuffer) {
        message("E", into: &output) {
            $0.writeInteger(UInt8(0))
            $0.writeInteger(rows)
        }
    }

    static func sync(into output: inout ByteBuffer) { output.writeStaticString("S\0\0\0\u{4}") }
    static func flush(into output: inout ByteBuffer) { output.writeStaticString("H\0\0\0\u{4}") }
    static func terminate(into output: inout ByteBuffer) { output.writeStaticString("X\0\0\0\u{4}") }
    static func copyDone(into output: inout ByteBuffer) { output.writeStaticString("c\0\0\0\u{4}") }

    static func copyData(_ bytes: ByteBuffer, into output: inout ByteBuffer) {
        message("d", into: &output) { $0.writeImmutableBuffer(bytes) }
    }

    static func copyFail(_ reason: String, into output: inout ByteBuffer) {
        message("f", into: &output) { $0.writeNullTerminatedString(reason.replacingBytes("\0", with: "")) }
    }

    private static func message(
        _ type: Unicode.Scalar?, into output: inout ByteBuffer, _ body: (inout ByteBuffer) -> Void
    ) {
        if let type { output.writeInteger(UInt8(ascii: type)) }
        let start = output.writerIndex
        output.writeInteger(UInt32(0))
        body(&output)
        output.setInteger(UInt32(output.writerIndex - start), at: start)
    }
}
