// The answers that apps give most: pages, redirects, streams, files.

import NIOCore
import SkeinCore
import SkeinHTTP

extension ServerResponse {
    /// An answer of a page in UTF-8.
    public static func html(_ text: String, status: HTTPStatus = .ok) -> ServerResponse {
        ServerResponse(status, body: .text(text, contentType: "text/html; charset=utf-8"))
    }

    /// Sends the client elsewhere.
    /// - Parameters:
    ///   - location: a path of this server or a URL; what cannot stand in one is percent-encoded.
    ///   - status: 303 See Other asks for the place by GET; 307 and 308 repeat the request there. Default: 303.
    public static func redirect(to location: String, status: HTTPStatus = .seeOther) -> ServerResponse {
        ServerResponse(status, headers: ["Location": Percent.encodeUnsafe(location)])
    }

    /// An answer whose pieces are sent as they are made, no faster than the client takes them.
    /// - Parameters:
    ///   - pieces: walked over once; an error it throws ends the connection, so that the client sees that something is missing.
    ///   - length: bytes of all pieces, if known. Default: chunked.
    public static func stream<Pieces: AsyncSequence & Sendable>(
        _ pieces: Pieces, contentType: String? = nil, length: Int? = nil
    ) -> ServerResponse where Pieces.Element == ByteBuffer {
        ServerResponse(body: .stream(pieces, length: length, contentType: contentType))
    }
}
