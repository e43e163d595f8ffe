// What a handler can tell a client before its answer is ready: fields that will be in it, and resources it will need.

import NIOCore
import SkeinHTTP
import SkeinTransport
import SkeinWire

/// The way back from a request to the client that waits for its answer. Called on any thread.
package protocol RequestChannel: InterimResponseTaker {
    /// Whether the connection is encrypted.
    var isSecure: Bool { get }
    /// The channel that carries the request. On the loop only.
    var nioChannel: (any Channel)? { get }
    /// What was agreed about TLS. On the loop only.
    var tls: TLSInfo? { get }
    /// Nobody is asked any more for a client that has ended its side of the connection some seconds ago. On the loop only.
    func endsWithClient()
    /// Sends a resource, or says that it will be needed.
    func push(_ path: String, _ headers: Headers)
}

extension ServerRequest {
    /// Sends `103 Early Hints` (RFC 8297): fields that the final answer is going to have, most of all `Link`. Nothing is
    /// sent to HTTP/1.0 clients, nor when the answer has gone already.
    public func sendEarlyHints(_ headers: Headers) { channel?.inform(103, headers) }

    /// Sends a resource that the client is going to need.
    ///
    /// Where the client takes server push (RFC 9113, section 8.4), the server makes a GET of the same host and lets the app
    /// answer it; else the client is told by `103 Early Hints` to preload it. A path that cannot be sent is logged.
    /// - Parameters:
    ///   - path: of the same origin, starting with a slash.
    ///   - headers: the header section of the request that is made up. Default: empty.
    public func push(_ path: String, headers: Headers = Headers()) { channel?.push(path, headers) }
}

/// The fields of an early hint.
enum EarlyHints {
    /// `Link: </style.css>; rel=preload; as=style` (RFC 8288).
    static func preload(_ path: String) -> Headers {
        let kind = destination(path).map { "; as=\($0)" } ?? ""
        return ["Link": "<\(path)>; rel=preload\(kind)"]
    }

    /// The destination that a browser wants to know before it fetches anything (Fetch standard, section 3.2.7).
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
