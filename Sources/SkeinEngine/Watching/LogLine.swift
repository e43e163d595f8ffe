// One line of the request log, in each of its formats.

import SkeinHTTP
import SkeinWire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The time as log lines have it, made once a second.
struct LogClock {
    private var second: time_t = -1
    private var made = ("", "", "")

    /// `2026-11-21 18:05:06`, in UTC.
    var own: String { mutating get { update().0 } }
    /// `21/Nov/2026:18:05:06 +0000`
    var common: String { mutating get { update().1 } }
    /// `2026-11-21T18:05:06Z`
    var iso: String { mutating get { update().2 } }

    private mutating func update() -> (String, String, String) {
        let now = time(nil)
        guard now != second else { return made }
        second = now
        let date = CivilTime(now)
        made = (
            "\(date.day) \(date.clock)", "\(date.twoDigitDay)/\(date.monthName)/\(date.year):\(date.clock) +0000",
            "\(date.day)T\(date.clock)Z"
        )
        return made
    }
}

/// What there is to say of one answer.
struct LogLine {
    let head: RequestHead?
    let scope: RequestScope
    let finished: NIODeadline

    private var client: String { scope.remoteAddress.map(Self.text) ?? "-" }
    private var status: Int { scope.status?.code ?? 499 }

    /// The client's address and port.
    private static func text(_ address: SocketAddress) -> String {
        guard let host = address.ipAddress, let port = address.port else { return "unix" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Milliseconds from the request to the answer's head, and from there to the end of its content.
    private var durations: (handling: Int64, transfer: Int64) {
        let answered = scope.answered ?? finished
        return ((answered - scope.received).nanoseconds / 1_000_000, (finished - answered).nanoseconds / 1_000_000)
    }

    /// What a bearer token can be told by without being given away.
    private var bearer: String? {
        guard let field = head?.headers.bytes("authorization"), let token = BearerToken.read(field) else { return nil }
        return BearerToken.fingerprint(token)
    }

    // MARK: Own format

    func writeOwn(_ time: String, to line: inout ByteBuffer) {
        line.writeString(time)
        write(" ", client, to: &line)
        writeWord(head?.headers.bytes("host"), to: &line)
        write(" ", head?.method.rawValue ?? "-", to: &line)
        line.writeInteger(UInt8(ascii: " "))
        if let target = head?.targetBytes { line.writeImmutableBuffer(target) } else { line.writeStaticString("-") }
        write(" ", head?.version.description ?? "-", to: &line)
        writeNumber(scope.bytesReceived, to: &line)
        writeNumber(status, to: &line)
        writeNumber(scope.bytesSent, to: &line)
        let transaction = scope.transactionIDs
        write(" ", transaction.global, to: &line)
        writeNumber(transaction.local, to: &line)
        writeQuoted(scope.peek(\.user).map { ByteBuffer(string: $0) }, to: &line)
        write(" ", bearer ?? "-", to: &line)
        writeQuoted(head?.headers.bytes("referer"), to: &line)
        writeQuoted(head?.headers.bytes("user-agent"), to: &line)
        writeQuoted(head?.headers.bytes("x-forwarded-for"), to: &line)
        write(" ", scope.owner.workerName, to: &line)
        writeNumber(scope.owner.context.connectionCount, to: &line)
        let durations = durations
        writeNumber(Int(durations.handling), to: &line)
        line.writeStaticString("ms")
        writeNumber(Int(durations.transfer), to: &line)
        line.writeStaticString("ms\n")
    }

    private func write(_ separator: StaticString, _ text: String, to line: inout ByteBuffer) {
        line.writeStaticString(separator)
        line.writeString(text)
    }

    private func writeNumber(_ number: Int, to line: inout ByteBuffer) {
        line.writeInteger(UInt8(ascii: " "))
        line.writeDecimal(number)
    }

    /// A value that is a word; blanks in it are made visible.
    private func writeWord(_ value: ByteBuffer?, to line: inout ByteBuffer) {
        line.writeInteger(UInt8(ascii: " "))
        guard let value, value.readableBytes > 0 else { return _ = line.writeStaticString("-") }
        Self.escape(value, alsoBlanks: true, into: &line)
    }

    private func writeQuoted(_ value: ByteBuffer?, to line: inout ByteBuffer) {
        line.writeInteger(UInt8(ascii: " "))
        guard let value, value.readableBytes > 0 else { return _ = line.writeStaticString("-") }
        line.writeInteger(UInt8(ascii: "\""))
        Self.escape(value, alsoBlanks: false, into: &line)
        line.writeInteger(UInt8(ascii: "\""))
    }

    /// A value without anything that would end it, or a line: such bytes are written as `\xHH`.
    private static func escape(_ value: ByteBuffer, alsoBlanks: Bool, into line: inout ByteBuffer) {
        func isPlain(_ byte: UInt8) -> Bool {
            byte >= (alsoBlanks ? 0x21 : 0x20) && byte != 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
        }
        let view = value.readableBytesView
        guard !view.allSatisfy(isPlain) else { return _ = line.writeImmutableBuffer(value) }
        for byte in view {
            if isPlain(byte) {
                line.writeInteger(byte)
            } else {
                line.writeString("\\x" + Hex.encode([byte]))
            }
        }
    }

    // MARK: Common Log Format

    func writeCommon(_ time: String, isCombined: Bool = false, to line: inout ByteBuffer) {
        line.writeString(scope.remoteAddress?.ipAddress ?? "-")
        line.writeStaticString(" -")
        writeWord(scope.peek(\.user).map { ByteBuffer(string: $0) }, to: &line)
        line.writeString(" [\(time)] \"")
        if let head {
            line.writeString("\(head.method) ")
            line.writeImmutableBuffer(head.targetBytes)
            line.writeString(" \(head.version)")
        } else {
            line.writeStaticString("-")
        }
        line.writeInteger(UInt8(ascii: "\""))
        writeNumber(status, to: &line)
        writeNumber(scope.bytesSent, to: &line)
        if isCombined {
            writeQuoted(head?.headers.bytes("referer") ?? ByteBuffer(string: "-"), to: &line)
            writeQuoted(head?.headers.bytes("user-agent") ?? ByteBuffer(string: "-"), to: &line)
        }
        line.writeInteger(UInt8(ascii: "\n"))
    }

    // MARK: JSON

    func writeJSON(_ time: String, to line: inout ByteBuffer) {
        func text(_ name: StaticString) -> String? { head?.headers.bytes(name).map { String(buffer: $0) } }
        let transaction = scope.transactionIDs
        var members: [(String, String)] = [
            ("time", JSONText.string(time)), ("client", JSONText.string(client)),
        ]
        func add(_ name: String, _ value: String?) {
            if let value { members.append((name, JSONText.string(value))) }
        }
        add("host", text("host"))
        add("method", head?.method.rawValue)
        add("uri", head?.target)
        add("version", head?.version.description)
        members += [
            ("request_bytes", String(scope.bytesReceived)), ("status", String(status)),
            ("response_bytes", String(scope.bytesSent)), ("gtxn", JSONText.string(transaction.global)),
            ("ltxn", String(transaction.local)),
        ]
        add("trace", text("traceparent"))
        add("user", scope.peek(\.user))
        add("bearer", bearer)
        add("referer", text("referer"))
        add("user_agent", text("user-agent"))
        add("forwarded_for", text("x-forwarded-for"))
        let durations = durations
        members += [
            ("worker", JSONText.string(scope.owner.workerName)),
            ("connections", String(scope.owner.context.connectionCount)),
            ("handling_ms", String(durations.handling)), ("transfer_ms", String(durations.transfer)),
        ]
        line.writeString(JSONText.object(members) + "\n")
    }
}
