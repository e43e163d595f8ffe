// The field names that the protocol uses, as a bit set.

import SkeinCore

/// Known field names.
package struct KnownFields: OptionSet, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let host = KnownFields(rawValue: 1 << 0)
    package static let contentLength = KnownFields(rawValue: 1 << 1)
    package static let transferEncoding = KnownFields(rawValue: 1 << 2)
    package static let connection = KnownFields(rawValue: 1 << 3)
    package static let date = KnownFields(rawValue: 1 << 4)
    package static let expect = KnownFields(rawValue: 1 << 5)
    package static let upgrade = KnownFields(rawValue: 1 << 6)
    package static let userAgent = KnownFields(rawValue: 1 << 7)
    package static let accept = KnownFields(rawValue: 1 << 8)
    package static let contentType = KnownFields(rawValue: 1 << 9)
    package static let trailer = KnownFields(rawValue: 1 << 10)
    package static let te = KnownFields(rawValue: 1 << 11)
    package static let keepAlive = KnownFields(rawValue: 1 << 12)
    package static let proxyConnection = KnownFields(rawValue: 1 << 13)
    package static let priority = KnownFields(rawValue: 1 << 14)
    package static let contentEncoding = KnownFields(rawValue: 1 << 15)

    /// The framing fields; the codec sets them, never the application.
    package static let framing: KnownFields = [.contentLength, .transferEncoding]

    /// The connection fields, which HTTP/2 does not have (RFC 9113, section 8.2.2).
    package static let aboutTheConnection: KnownFields = [
        .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade,
    ]

    /// Fields that are not allowed in trailers (RFC 9110, section 6.5.1): framing, routing and connection fields.
    package static let forbiddenInTrailers: KnownFields = [
        .host, .contentLength, .transferEncoding, .connection, .upgrade,
    ]

    /// Identifies a name by its length and first letter, then by all of its letters.
    @inline(__always)
    package init(name bytes: UnsafeRawBufferPointer, at start: Int, count: Int) {
        func named(_ name: StaticString, _ field: KnownFields) -> KnownFields {
            Bytes.equal(bytes, start, count, lowercase: name) ? field : []
        }
        guard count > 1, count < 18 else {
            self = []
            return
        }
        switch (count, Bytes.lowercased(bytes[start])) {
        case (2, UInt8(ascii: "t")): self = named("te", .te)
        case (4, UInt8(ascii: "h")): self = named("host", .host)
        case (4, UInt8(ascii: "d")): self = named("date", .date)
        case (6, UInt8(ascii: "a")): self = named("accept", .accept)
        case (6, UInt8(ascii: "e")): self = named("expect", .expect)
        case (7, UInt8(ascii: "u")): self = named("upgrade", .upgrade)
        case (7, UInt8(ascii: "t")): self = named("trailer", .trailer)
        case (8, UInt8(ascii: "p")): self = named("priority", .priority)
        case (10, UInt8(ascii: "k")): self = named("keep-alive", .keepAlive)
        case (10, UInt8(ascii: "c")): self = named("connection", .connection)
        case (10, UInt8(ascii: "u")): self = named("user-agent", .userAgent)
        case (12, UInt8(ascii: "c")): self = named("content-type", .contentType)
        case (14, UInt8(ascii: "c")): self = named("content-length", .contentLength)
        case (16, UInt8(ascii: "c")): self = named("content-encoding", .contentEncoding)
        case (16, UInt8(ascii: "p")): self = named("proxy-connection", .proxyConnection)
        case (17, UInt8(ascii: "t")): self = named("transfer-encoding", .transferEncoding)
        default: self = []
        }
    }

    /// The name of a single field in lower case, for HTTP/2; nil for several or none.
    package var lowercaseName: String? {
        switch self {
        case .host: "host"
        case .contentLength: "content-length"
        case .transferEncoding: "transfer-encoding"
        case .connection: "connection"
        case .date: "date"
        case .expect: "expect"
        case .upgrade: "upgrade"
        case .userAgent: "user-agent"
        case .accept: "accept"
        case .contentType: "content-type"
        case .trailer: "trailer"
        case .te: "te"
        case .priority: "priority"
        case .contentEncoding: "content-encoding"
        default: nil
        }
    }
}
