// One line of the request log, in each of its formats. Bytes are written directly, without intermediate strings, since
// this happens for every request.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// The time for log lines, formatted once a second.
struct LogClock {
    private var second = -1
    private var made = ("", "", "")

    /// `2026-11-21 18:05:06`, in UTC.
    var own: String { mutating get { update().0 } }
    /// `21/Nov/2026:18:05:06 +0000`
    var common: String { mutating get { update().1 } }
    /// `2026-11-21T18:05:06Z`
    var iso: String { mutating get { update().2 } }

    private mutating func update() -> (String, String, String) {
        let now = CivilTime.now
        guard now != second else { return made }
        second = now
        let date = CivilTime(now)
        made = (
            "\(date.date.text) \(date.clock)",
            "\(date.twoDigitDay)/\(date.monthName)/\(date.date.year):\(date.clock) +0000",
            "\(date.date.text)T\(date.clock)Z"
        )
        return made
    }
}

/// Writes bytes into memory of sufficient size; a line that exceeds it is cut.
struct LineWriter {
    private let bytes: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes = bytes }

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        guard count < bytes.count else { return }
        bytes[count] = byte
        count &+= 1
    }

    mutating func put(_ text: StaticString) {
        text.withUTF8Buffer { put(UnsafeRawBufferPointer($0)) }
    }

    mutating func put(_ other: UnsafeRawBufferPointer) {
        guard !other.isEmpty, other.count <= bytes.count - count else { return }
        UnsafeMutableRawBufferPointer(rebasing: bytes[count...]).copyMemory(from: other)
        count &+= other.count
    }

    mutating func put(_ text: String) {
        var text = text
        text.withUTF8 { put(UnsafeRawBufferPointer($0)) }
    }

    mutating func put(_ buffer: ByteBuffer) { buffer.withUnsafeReadableBytes { put($0) } }

    mutating func put(_ number: Int) {
        var rest = number.magnitude
        var divisor: UInt = 1
        while rest / divisor >= 10 { divisor &*= 10 }
        while divisor > 0 {
            put(UInt8(truncatingIfNeeded: rest / divisor) &+ 0x30)
            rest %= divisor
            divisor /= 10
        }
    }

    /// A value with every byte escaped as `\xHH` that could end the value or the line, or control a terminal. That
    /// includes the C1 controls in UTF-8 (C2 80 to C2 9F), and invalid UTF-8, which a terminal may interpret as C1
    /// controls.
    mutating func putEscaped(_ value: UnsafeRawBufferPointer, alsoBlanks: Bool = false) {
        let low: UInt8 = alsoBlanks ? 0x21 : 0x20
        var place = 0
        while place < value.count {
            let byte = value[place]
            if byte >= low, byte < 0x7F, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                put(byte)
                place &+= 1
                continue
            }
            let length = byte < 0x80 ? 0 : Self.lengthOfScalar(value, place)
            if length > 0 {
                for index in place..<(place &+ length) { put(value[index]) }
                place &+= length
            } else {
                put("\\x")
                for digit in [byte >> 4, byte & 15] { put(digit < 10 ? 0x30 + digit : 0x57 + digit) }
                place &+= 1
            }
        }
    }

    /// The length of a printable non-ASCII character; 0 for a control character and for invalid UTF-8.
    private static func lengthOfScalar(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> Int {
        var decoder = UTF8()
        var iterator = bytes[place...].makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator), scalar.value > 0x9F, scalar.value != 0x2028,
            scalar.value != 0x2029
        else { return 0 }
        return UTF8.width(scalar)
    }

    /// ` "value"`, or ` -` for none.
    mutating func putQuoted(_ value: UnsafeRawBufferPointer?) {
        put(UInt8(ascii: " "))
        guard let value, !value.isEmpty else { return put(UInt8(ascii: "-")) }
        put(UInt8(ascii: "\""))
        putEscaped(value)
        put(UInt8(ascii: "\""))
    }
}

/// The logged fields of a request, found in one pass.
private struct LoggedFields {
    var host: UnsafeRawBufferPointer?
    var referer: UnsafeRawBufferPointer?
    var userAgent: UnsafeRawBufferPointer?
    var forwardedFor: UnsafeRawBufferPointer?
    var bearer: UnsafeRawBufferPointer?
    var hasTransaction = false

    init(_ headers: Headers, _ bytes: UnsafeRawBufferPointer) {
        for field in headers.fields {
            func isNamed(_ name: StaticString) -> Bool {
                Bytes.equal(bytes, Int(field.name), Int(field.nameLength), lowercase: name)
            }
            func value() -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: bytes[Int(field.value)..<Int(field.value + field.valueLength)])
            }
            switch field.nameLength {
            case 4 where field.known == .host: host = value()
            case 7 where isNamed("referer"): referer = value()
            case 9 where isNamed("x-gtxn-id"): hasTransaction = true
            case 10 where field.known == .userAgent: userAgent = value()
            case 13 where isNamed("authorization"): bearer = value()
            case 15 where isNamed("x-forwarded-for"): forwardedFor = value()
            default: break
            }
        }
    }

    /// An identifier of a bearer token that does not reveal it.
    var fingerprint: String? {
        bearer.flatMap { BearerToken.read(ByteBuffer(bytes: $0)) }.map { BearerToken.fingerprint($0) }
    }
}

/// The data of one log line.
struct LogLine {
    let scope: RequestScope
    let finished: NIODeadline

    private var head: RequestHead { _read { yield scope.head } }
    private var status: Int { scope.status?.code ?? 499 }
    private var user: String? { scope.peek(\.user) }

    /// Milliseconds from the request to the response's head, and from there to the end of its content.
    private var durations: (handling: Int, transfer: Int) {
        let answered = scope.answered ?? finished
        return (
            Int((answered - scope.received).nanoseconds / 1_000_000), Int((finished - answered).nanoseconds / 1_000_000)
        )
    }

    /// Writes a line.
    private func write(_ line: inout ByteBuffer, _ work: (inout LineWriter, LoggedFields) -> Void) {
        let headers = scope.head.headers
        // Each byte from the client needs four at most; the rest has a fixed limit.
        let said =
            headers.bytes.readableBytes + scope.head.targetBytes.readableBytes + scope.head.method.rawValue.utf8.count
        let most = (said + (user?.utf8.count ?? 0)) * 4 + 2048
        headers.bytes.withUnsafeReadableBytes { bytes in
            let fields = LoggedFields(headers, bytes)
            line.writeWithUnsafeMutableBytes(minimumWritableBytes: most) { free in
                var writer = LineWriter(free)
                work(&writer, fields)
                return writer.count
            }
        }
    }

    // MARK: Own format

    func writeOwn(_ time: String, to line: inout ByteBuffer) {
        write(&line) { writer, fields in
            writer.put(time)
            writer.put(UInt8(ascii: " "))
            writer.put(scope.peer.text)
            writer.put(UInt8(ascii: " "))
            if let host = fields.host, !host.isEmpty {
                writer.putEscaped(host, alsoBlanks: true)
            } else {
                writer.put("-")
            }
            putRequest(&writer)
            writer.put(UInt8(ascii: " "))
            writer.put(scope.bytesReceived)
            writer.put(UInt8(ascii: " "))
            writer.put(status)
            writer.put(UInt8(ascii: " "))
            writer.put(scope.bytesSent)
            putTransaction(&writer, fields)
            putUser(&writer)
            writer.put(UInt8(ascii: " "))
            writer.put(fields.fingerprint ?? "-")
            writer.putQuoted(fields.referer)
            writer.putQuoted(fields.userAgent)
            writer.putQuoted(fields.forwardedFor)
            writer.put(UInt8(ascii: " "))
            writer.put(scope.owner.workerName)
            writer.put(UInt8(ascii: " "))
            writer.put(scope.owner.context.connectionCount)
            let durations = durations
            writer.put(UInt8(ascii: " "))
            writer.put(durations.handling)
            writer.put("ms ")
            writer.put(durations.transfer)
            writer.put("ms\n")
        }
    }

    /// ` GET /path HTTP/1.1`
    private func putRequest(_ writer: inout LineWriter) {
        writer.put(UInt8(ascii: " "))
        writer.put(head.method.rawValue)
        writer.put(UInt8(ascii: " "))
        head.targetBytes.withUnsafeReadableBytes { writer.putEscaped($0, alsoBlanks: true) }
        writer.put(" HTTP/")
        writer.put(Int(head.version.major))
        writer.put(UInt8(ascii: "."))
        writer.put(Int(head.version.minor))
    }

    private func putTransaction(_ writer: inout LineWriter, _ fields: LoggedFields) {
        writer.put(UInt8(ascii: " "))
        guard fields.hasTransaction else {
            writer.put("GTID-C")
            writer.put(Int(scope.peer.number))
            writer.put("-R")
            writer.put(Int(scope.number))
            return writer.put(" 1000")
        }
        let transaction = scope.transaction
        writer.put(transaction.globalID)
        writer.put(UInt8(ascii: " "))
        writer.put(transaction.localID)
    }

    private func putUser(_ writer: inout LineWriter) {
        guard var user else { return writer.put(" -") }
        user.withUTF8 { writer.putQuoted(UnsafeRawBufferPointer($0)) }
    }

    // MARK: Common Log Format

    func writeCommon(_ time: String, isCombined: Bool = false, to line: inout ByteBuffer) {
        write(&line) { writer, fields in
            let address = scope.peer.host ?? "-"
            writer.put(address)
            writer.put(" - ")
            if var user {
                user.withUTF8 { writer.putEscaped(UnsafeRawBufferPointer($0), alsoBlanks: true) }
            } else {
                writer.put(UInt8(ascii: "-"))
            }
            writer.put(" [")
            writer.put(time)
            writer.put("] \"")
            writer.put(head.method.rawValue)
            writer.put(UInt8(ascii: " "))
            head.targetBytes.withUnsafeReadableBytes { writer.putEscaped($0, alsoBlanks: true) }
            writer.put(UInt8(ascii: " "))
            writer.put(head.version.description)
            writer.put("\" ")
            writer.put(status)
            writer.put(UInt8(ascii: " "))
            writer.put(scope.bytesSent)
            if isCombined {
                for value in [fields.referer, fields.userAgent] {
                    if let value, !value.isEmpty { writer.putQuoted(value) } else { writer.put(" \"-\"") }
                }
            }
            writer.put(UInt8(ascii: "\n"))
        }
    }

    // MARK: JSON

    func writeJSON(_ time: String, to line: inout ByteBuffer) {
        func text(_ name: StaticString) -> String? { head.headers.bytes(name).map { String(buffer: $0) } }
        var members: [(String, String)] = [
            ("time", JSONText.string(time)), ("client", JSONText.string(scope.peer.text)),
        ]
        func add(_ name: String, _ value: String?) {
            if let value { members.append((name, JSONText.string(value))) }
        }
        add("host", text("host"))
        add("method", head.method.rawValue)
        add("uri", head.target)
        add("version", head.version.description)
        members += [
            ("request_bytes", String(scope.bytesReceived)), ("status", String(status)),
            ("response_bytes", String(scope.bytesSent)), ("gtxn", JSONText.string(scope.transaction.globalID)),
            ("ltxn", String(scope.transaction.localID)),
        ]
        add("trace", text("traceparent"))
        add("user", user)
        add("bearer", head.headers.bytes("authorization").flatMap(BearerToken.read).map(BearerToken.fingerprint))
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
