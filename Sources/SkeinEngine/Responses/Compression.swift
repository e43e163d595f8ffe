// Answers of apps made smaller on their way.

import SkeinHTTP
import SkeinWire

/// Makes texts smaller for clients that take them so: `router.use(Compression())`.
///
/// What is secret and what a stranger can put into the same page should not be compressed together: the size tells (BREACH).
public struct Compression: Middleware {
    /// The codings, the best first. Default: Brotli, Zstandard, gzip.
    public var codings: [ContentCoding] = [.brotli, .zstd, .gzip]
    /// Bytes below which it is not worth it, where the length is known. Default: 512.
    public var threshold = 512

    /// The defaults.
    public init() {}

    /// Compresses the answer.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        var response = try await next.respond(to: request)
        let type = response.headers["Content-Type"] ?? response.body.contentType ?? ""
        guard FileApp.isCompressible(type), !response.headers.contains("Content-Encoding"),
            !response.headers.contains("Content-Range"), response.upgrade == nil,
            !type.hasBytePrefix("text/event-stream")  // an event is of use only as it comes
        else { return response }
        if case .known(let length) = response.body.length, length < threshold { return response }
        guard response.body.length != .none else { return response }
        if !response.headers.listContains("Vary", token: "Accept-Encoding") {
            response.headers.add("Vary", "Accept-Encoding")
        }
        guard let coding = AcceptedCodings(request.headers).best(of: codings) else { return response }
        var permit: EncoderPermits.Permit?
        if !response.body.isSmall {
            let scope = request.scope
            permit = scope.owner.context.encoders.take(for: scope.peer.number)
            guard permit != nil else { return response }
        }
        response.body = response.body.compressed(coding, holding: permit)
        response.headers["Content-Encoding"] = coding.rawValue
        // The bytes are others, and mean the same.
        if let tag = response.headers["ETag"], !tag.hasBytePrefix("W/") { response.headers["ETag"] = "W/\(tag)" }
        return response
    }
}
