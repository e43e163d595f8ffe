// Early hints and server push, sent before the response.

import NIOCore
import SkeinHTTP
import SkeinTransport
import SkeinWire

/// The connection from a request back to its client. Called on any thread.
package protocol RequestChannel: InterimResponseTaker {
    /// Whether the connection is encrypted.
    var isSecure: Bool { get }
    /// The channel that carries the request. On the loop only.
    var nioChannel: (any Channel)? { get }
    /// The TLS parameters. On the loop only.
    var tls: TLSInfo? { get }
    /// Cancels the handler some seconds after the client has ended its side of the connection. On the loop only.
    func endsWithClient()
    /// Pushes a resource, or sends a preload hint.
    func push(_ path: String, _ headers: Headers)
}

extension ServerRequest {
    /// Sends `103 Early Hints` (RFC 8297): fields that the final response will have, above all `Link`. Nothing is sent
    /// to HTTP/1.0 clients, nor after the response has been sent.
    public func sendEarlyHints(_ headers: Headers) { channel?.inform(103, headers) }

    /// Pushes a resource that the client will need.
    ///
    /// If the client accepts server push (RFC 9113, section 8.4), the server makes a GET request for the same host and
    /// lets the app handle it; else the client gets a preload link by `103 Early Hints`. An invalid path is logged.
    /// - Parameters:
    ///   - path: of the same origin, starting with a slash.
    ///   - headers: the header section of the pushed request. Default: empty.
    public func push(_ path: String, headers: Headers = Headers()) { channel?.push(path, headers) }
}

/// The fields of an early hint.
enum EarlyHints {
    /// `Link: </style.css>; rel=preload; as=style` (RFC 8288).
    static func preload(_ path: String) -> Headers {
        let kind = destination(path).map { "; as=\($0)" } ?? ""
        return ["Link": "<\(path)>; rel=preload\(kind)"]
    }

    /// The destination, which a browser needs before it fetches a resource (Fetch standard, section 3.2.7).
    private static func destination(_ path: String) -> String? {
        let file = path.prefix(before: "?")
        guard let dot = file.lastByte(".") else { return nil }
        return switch file[file.index(after: dot)...].lowercased() {
        case "css": "style"
        case "js", "mjs": "script"
        case "woff", "woff2", "ttf", "otf": "font"
        case "png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico": "image"
        case "json": "fetch"
        default: nil
        }
    }
}
