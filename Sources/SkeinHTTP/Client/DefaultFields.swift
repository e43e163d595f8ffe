// The default fields of every request, encoded once.

import NIOCore
import SkeinWire

/// Default request fields in wire form.
struct DefaultFields: Sendable {
    let headers: Headers
    private let wire: ByteBuffer

    init(_ headers: Headers) {
        self.headers = headers
        var wire = ByteBuffer()
        headers.write(to: &wire, omitting: [])
        self.wire = wire
    }

    /// The defaults that a request does not set itself.
    func fields(for request: HTTPRequest) -> ByteBuffer? {
        if request.isForwarded { return nil }
        let contentType = request.headers.known.contains(.contentType) ? nil : request.body.contentType
        if request.headers.isEmpty, contentType == nil { return wire }
        var missing = Headers()
        for field in headers where !request.headers.contains(field.name) { missing.add(field.name, field.value) }
        if let contentType { missing["Content-Type"] = contentType }
        var buffer = ByteBuffer()
        missing.write(to: &buffer, omitting: [])
        return buffer
    }
}
