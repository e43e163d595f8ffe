// Frequent responses: pages, redirects, streams.

import NIOCore
import SkeinCore
import SkeinHTTP

extension ServerResponse {
    /// An HTML response in UTF-8.
    public static func html(_ text: String, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .text(text, contentType: "text/html; charset=utf-8"))
    }

    /// A redirect.
    /// - Parameters:
    ///   - location: a path of this server or a URL; invalid characters are percent-encoded.
    ///   - status: 303 See Other makes the client send a GET; 307 and 308 make it repeat the request. Default: 303.
    public static func redirect(to location: String, status: HTTPStatus = .seeOther) -> ServerResponse {
        ServerResponse(status, headers: ["Location": Percent.encodeUnsafe(location)])
    }

    /// A response whose pieces are sent as they are made, no faster than the client reads them.
    /// - Parameters:
    ///   - pieces: iterated once; an error it throws closes the connection abnormally, so that the client detects the
    ///     truncation.
    ///   - length: the sum of all pieces in bytes, if known. Default: chunked.
    public static func stream<Pieces: AsyncSequence & Sendable>(
        _ pieces: Pieces, contentType: String? = nil, length: Int? = nil
    ) -> ServerResponse where Pieces.Element == ByteBuffer {
        ServerResponse(body: .stream(pieces, length: length, contentType: contentType))
    }
}
