// The compiler's errors in the browser, during development.

import SkeinCore
import SkeinEngine

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Responds to browsers with the errors of the last build, while it fails.
struct BuildErrors: Middleware {
    /// The file that has the errors, if there are any.
    let path: String

    func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard request.prefersHTML, request.method == .get, let bytes = FileManager.default.contents(atPath: path) else {
            return try await next.respond(to: request)
        }
        var response = ServerResponse.html(
            """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>The build fails</title></head>
            <body style="font-family: system-ui, sans-serif; margin: 2em"><h1>The build fails</h1>
            <p>The program of the last successful build is still running and answers other clients.</p>
            <pre style="white-space: pre-wrap">\(Markup.escape(String(decoding: bytes.suffix(64 << 10), as: UTF8.self)))</pre>
            </body></html>

            """, status: .internalServerError)
        response.headers = [
            "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "Refresh": "2",
        ]
        return response
    }
}
