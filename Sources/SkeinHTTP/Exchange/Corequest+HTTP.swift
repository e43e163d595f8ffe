// What most callers want of an HTTP response, without the steps in between.

import NIOCore
import SkeinCore
import SkeinWire

extension Corequest where Result == HTTPResponse {
    /// Waits and returns the content as text, by its charset; UTF-8 without one, where the bytes are that.
    /// - Parameter timeout: from now on. Default: unchanged.
    /// - Throws: `SkeinError` when the exchange failed or the status is 300 or above; code 709 when the content is no text.
    public func text(timeout: Duration? = nil) async throws -> String {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        return try response.text()
    }

    /// Waits and returns the content as a JSON tree.
    /// - Throws: `SkeinError` when the exchange failed or the status is 300 or above; code 709 when the content is no JSON.
    public func json(timeout: Duration? = nil) async throws -> JSONValue {
        try await fetch(JSONValue.self, timeout: timeout)
    }

    /// Waits and decodes the content from JSON.
    /// - Throws: `SkeinError` when the exchange failed or the status is 300 or above; code 709 when the content is none of the type.
    public func json<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> T {
        try await fetch(type, timeout: timeout)
    }
}

extension HTTPResponse: ElementResponse {
    /// The content as pieces: as they arrive for a streamed response, else the whole as one.
    public func elements() -> BodyStream {
        if let stream { return stream }
        let whole = BodyStream(source: nil)
        if content.readableBytes > 0 { whole.push(content) }
        whole.finish(trailers)
        return whole
    }
}
