// Error responses: a page for browsers, a problem in JSON for other clients.

import Logging
import SkeinCore
import SkeinHTTP
import SkeinWire

/// Makes the error responses.
struct ErrorPages: Sendable {
    /// The custom pages; nil for the standard form.
    let custom: (@Sendable (ServerRequest, ServerError) -> ServerResponse?)?
    let logger: Logger

    func page(for error: any Error, _ request: ServerRequest) -> ServerResponse {
        let known: ServerError
        switch error {
        case let error as ServerError: known = error
        case is NotServed: known = ServerError(.notFound, "there is nothing at this path")
        default:
            if !(error is CancellationError) {
                logger.error(
                    "a handler failed: \(error)",
                    metadata: ["method": "\(request.method)", "path": "\(request.path)"])
            }
            known =
                (error as? SkeinError).flatMap(ServerError.init)
                ?? ServerError(.internalServerError, "an internal error occurred; see the server's log")
        }
        return custom?(request, known) ?? Self.standard(known, request)
    }

    /// The standard form: HTML for browsers, a problem (RFC 9457) for other clients.
    static func standard(_ error: ServerError, _ request: ServerRequest) -> ServerResponse {
        let title = error.status.reason.isEmpty ? "Error" : error.status.reason
        var response: ServerResponse
        if request.prefersHTML {
            response = .html(
                """
                <!DOCTYPE html>
                <html lang="en"><head><meta charset="utf-8"><title>\(error.status.code) \(title)</title>
                <meta name="viewport" content="width=device-width"></head>
                <body style="font-family: system-ui, sans-serif; margin: 3em auto; max-width: 40em; padding: 0 1em">
                <h1>\(error.status.code) \(title)</h1><p>\(Markup.escape(error.message))</p></body></html>

                """, status: error.status)
            response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        } else {
            response = ServerResponse(
                error.status,
                body: .text(
                    JSONText.object([
                        ("type", "\"about:blank\""), ("title", JSONText.string(title)),
                        ("status", String(error.status.code)), ("detail", JSONText.string(error.message)),
                    ]) + "\n", contentType: "application/problem+json"))
        }
        response.headers.merge(error.headers)
        return response
    }
}

extension ServerRequest {
    /// Whether the client prefers a page to data: it lists `text/html` before any kind of JSON.
    public var prefersHTML: Bool {
        guard let accept = headers["Accept"] else { return false }
        guard let html = accept.rangeOfBytes("text/html") else { return false }
        return accept.rangeOfBytes("json").map { html.lowerBound < $0.lowerBound } ?? true
    }
}
