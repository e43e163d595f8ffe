// Encodes HTTP/1.1 messages. The codec sets the framing fields: those of an application are dropped, so that framing
// and content agree.

import SkeinCore
import NIOCore

/// Encodes heads and chunks (RFC 9112) at the end of a buffer.
public enum HTTP1Encoder {
    /// Writes the head of a request.
    /// - Parameters:
    ///   - target: origin form, absolute form, authority form or `*`; visible ASCII.
    ///   - host: the value of Host, unless `headers` has one.
    ///   - defaults: further fields in wire form, each ended by CRLF, which must not be in `headers`.
    ///   - bodyLength: decides between Content-Length and chunked.
    ///   - close: adds `Connection: close`.
    /// - Throws: `HeaderProblem` when a field, the method or the target is invalid; nothing is written then.
    public static func writeRequestHead(
        method: HTTPMethod, target: String, host: String, headers: Headers, defaults: ByteBuffer? = nil,
        bodyLength: BodyLength, close: Bool = false, into buffer: inout ByteBuffer
    ) throws(HeaderProblem) {
        if let problem = headers.problem { throw problem }
        try writeRequestLine(method, target, host: headers.known.contains(.host) ? nil : host, into: &buffer)
        headers.write(to: &buffer, omitting: .framing)
        if let defaults { buffer.writeImmutableBuffer(defaults) }
        if close, !headers.known.contains(.connection) { buffer.writeStaticString("Connection: close\r\n") }
        switch bodyLength {
        case .none:
            if method.announcesEmptyBody { buffer.writeStaticString("Content-Length: 0\r\n") }
        case .known(let length): writeContentLength(length, into: &buffer)
        case .streamed: buffer.writeStaticString("Transfer-Encoding: chunked\r\n")
        }
        buffer.writeStaticString("\r\n")
    }

    /// Writes the request line and the Host field at once, which every request has.
    private static func writeRequestLine(
        _ method: HTTPMethod, _ target: String, host: String?, into buffer: inout ByteBuffer
    ) throws(HeaderProblem) {
        let length = method.rawValue.utf8.count + target.utf8.count + (host?.utf8.count ?? 0) + 22
        var fault: StaticString?
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { bytes in
            var written = 0
            func put(_ text: StaticString) {
                text.withUTF8Buffer { UnsafeMutableRawBufferPointer(rebasing: bytes[written...]).copyBytes(from: $0) }
                written += text.utf8CodeUnitCount
            }
            func put(_ text: String, as name: StaticString, _ isAllowed: (UInt8) -> Bool) {
                if text.isEmpty { fault = name }
                for byte in text.utf8 {
                    if !isAllowed(byte) { fault = name }
                    bytes[written] = byte
                    written += 1
                }
            }
            put(method.rawValue, as: "method", Bytes.isToken)
            put(" ")
            put(target, as: "request target", Bytes.isTarget)
            put(" HTTP/1.1\r\n")
            if let host {
                put("Host: ")
                put(host, as: "Host", Bytes.isTarget)
                put("\r\n")
            }
            return fault == nil ? written : 0
        }
        if let fault { throw HeaderProblem(name: "\(fault)", fault: .forbiddenByte) }
    }

    /// The framing of a response.
    package enum ResponseFraming: Sendable {
        /// No content and no framing field: 1xx, 204, 304.
        case bodiless
        /// `Content-Length` with this value; also for HEAD, where the content itself is not sent.
        case length(Int)
        /// `Transfer-Encoding: chunked`.
        case chunked
        /// The end of the connection, for HTTP/1.0 clients.
        case untilClose
    }

    /// Writes the head of a response.
    /// - Parameters:
    ///   - contentType: sent unless `headers` has one.
    ///   - framing: the framing of the content.
    ///   - connection: the Connection field.
    ///   - date: the Date field in wire form; left out when `headers` has one.
    /// - Throws: `HeaderProblem` when a field is invalid; nothing is written then.
    package static func writeResponseHead(
        status: HTTPStatus, headers: Headers, contentType: String? = nil, framing: ResponseFraming,
        connection: ConnectionField, date: ByteBuffer?, into buffer: inout ByteBuffer
    ) throws(HeaderProblem) {
        if let problem = headers.problem { throw problem }
        if status == .ok {
            buffer.writeStaticString("HTTP/1.1 200 OK\r\n")
        } else {
            buffer.writeString("HTTP/1.1 \(status.code) \(status.reason)\r\n")
        }
        if let date, !headers.known.contains(.date) { buffer.writeImmutableBuffer(date) }
        headers.write(to: &buffer, omitting: connection == .asIs ? .framing : KnownFields.framing.union(.connection))
        if let contentType, !headers.known.contains(.contentType) {
            buffer.writeStaticString("Content-Type: ")
            buffer.writeString(contentType)
            buffer.writeStaticString("\r\n")
        }
        switch framing {
        case .bodiless: break
        case .length(let length): writeContentLength(length, into: &buffer)
        case .chunked: buffer.writeStaticString("Transfer-Encoding: chunked\r\n")
        case .untilClose: break
        }
        switch connection {
        case .asIs: break
        case .close: buffer.writeStaticString("Connection: close\r\n")
        case .keepAlive: buffer.writeStaticString("Connection: keep-alive\r\n")
        }
        buffer.writeStaticString("\r\n")
    }

    /// The Connection field of a response.
    package enum ConnectionField: Sendable {
        /// The application's field, or none: the connection persists.
        case asIs
        /// `close`
        case close
        /// `keep-alive`, which HTTP/1.0 clients need.
        case keepAlive
    }

    /// Writes an interim response without fields: `100 Continue`.
    package static func writeContinue(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Writes one chunk; an empty one is skipped, since it would end the body.
    package static func writeChunk(_ data: ByteBuffer, into buffer: inout ByteBuffer) {
        guard data.readableBytes > 0 else { return }
        buffer.writeString(String(data.readableBytes, radix: 16))
        buffer.writeStaticString("\r\n")
        buffer.writeImmutableBuffer(data)
        buffer.writeStaticString("\r\n")
    }

    /// Writes the last chunk and the trailer section.
    /// - Throws: `HeaderProblem` when a trailer is invalid or not allowed (RFC 9110, section 6.5.1).
    package static func writeLastChunk(trailers: Headers?, into buffer: inout ByteBuffer) throws(HeaderProblem) {
        if let problem = trailers?.problem { throw problem }
        buffer.writeStaticString("0\r\n")
        trailers?.write(to: &buffer, omitting: .forbiddenInTrailers)
        buffer.writeStaticString("\r\n")
    }

    private static func writeContentLength(_ length: Int, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("Content-Length: ")
        buffer.writeDecimal(length)
        buffer.writeStaticString("\r\n")
    }
}

extension ByteBuffer {
    /// Writes a number without an intermediate string.
    package mutating func writeDecimal(_ number: Int) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { bytes in
            var rest = number.magnitude
            var index = bytes.count
            repeat {
                index -= 1
                bytes[index] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
                rest /= 10
            } while rest > 0
            _ = writeBytes(bytes[index...])
        }
    }

    /// Whether all bytes of a range of the output have a property.
    fileprivate func all(_ range: Range<Int>, _ property: (UInt8) -> Bool) -> Bool {
        guard !range.isEmpty else { return false }
        return withUnsafeReadableBytes { bytes in
            for index in range where !property(bytes[index &- readerIndex]) { return false }
            return true
        }
    }
}
