// Short forms for the content of an HTTP response.

import NIOCore
import SkeinCore
import SkeinWire

extension Corequest where Result == HTTPResponse {
    /// Waits and returns the content as text, decoded by its charset; without a charset, as UTF-8 if it is valid UTF-8.
    /// - Parameter timeout: from now on. Default: unchanged.
    /// - Throws: `SkeinError` when the exchange failed or the status is 300 or above; code 709 when the content is not
    ///   text.
    public func text(timeout: Duration? = nil) async throws -> String {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        let bytes = try await response.wholeContent()
        return try MediaType.text(bytes, contentType: response.headers["Content-Type"], peer: response.peer)
    }

    /// Waits and returns the content as a JSON tree.
    /// - Throws: `SkeinError` when the exchange failed or the status is 300 or above; code 709 when the content is not
    ///   JSON.
    public func json(timeout: Duration? = nil) async throws -> JSONValue {
        try await json(JSONValue.self, timeout: timeout)
    }

    /// Waits and decodes the content from JSON.
    /// - Throws: `SkeinError` when the exchange failed or the status is 300 or above; code 709 when the content cannot
    ///   be decoded as the type.
    public func json<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> T {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        guard response.stream != nil else { return try response.decode(type) }
        let bytes = try await response.wholeContent()
        do {
            return try JSON.decode(type, from: bytes.readableBytesView)
        } catch {
            throw SkeinError(
                .invalidContent, peer: response.peer, because: "the body is not the JSON of \(type): \(error)",
                cause: error)
        }
    }
}

extension HTTPResponse {
    /// The content; of a streamed response, all that arrives, up to 256 MiB.
    fileprivate func wholeContent() async throws -> ByteBuffer {
        try await stream?.collect(upTo: 256 << 20) ?? content
    }
}

extension HTTPResponse: ElementResponse {
    /// The content as pieces: as they arrive for a streamed response, else one piece.
    public func elements() -> BodyStream {
        if let stream { return stream }
        let whole = BodyStream(source: nil)
        if content.readableBytes > 0 { whole.push(content) }
        whole.finish(trailers)
        return whole
    }
}
