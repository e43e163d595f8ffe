// Compression of responses.

import SkeinHTTP
import SkeinWire

/// Compresses text for clients that accept it: `router.use(Compression())`.
///
/// Do not compress secrets together with data that an attacker controls: the size reveals the secret (BREACH).
public struct Compression: Middleware {
    /// The codings in order of preference. Default: Brotli, Zstandard, gzip.
    public var codings: [ContentCoding] = [.brotli, .zstd, .gzip]
    /// The size in bytes below which a response is not compressed, if the length is known. Default: 512.
    public var threshold = 512

    /// The defaults.
    public init() {}

    /// Compresses the response.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        var response = try await next.respond(to: request)
        let type = response.headers["Content-Type"] ?? response.body.contentType ?? ""
        guard FileApp.isCompressible(type), !response.headers.contains("Content-Encoding"),
            !response.headers.contains("Content-Range"), response.upgrade == nil,
            !type.hasBytePrefix("text/event-stream")  // events must not be delayed
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
        // The bytes differ, so the validator is weak.
        if let tag = response.headers["ETag"], !tag.hasBytePrefix("W/") { response.headers["ETag"] = "W/\(tag)" }
        return response
    }
}
