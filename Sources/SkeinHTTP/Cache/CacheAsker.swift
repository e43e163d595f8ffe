// The cache key's request part: the fields that the server would see, and the credentials among them.

import Crypto
import SkeinCore
import SkeinWire

/// The parts of a request that a cached response may depend on.
struct CacheAsker {
    /// The fields as they will be sent, as far as that is known in advance.
    let fields: Headers
    /// A hash of the credentials and cookies of the request itself; empty for none.
    let identity: String
    /// Whether the request has credentials (RFC 9111, section 3.5).
    let isAuthorized: Bool

    /// Nil for a request that no cache can answer: it sets its own content handling, or its credentials change with
    /// each request, so that they do not identify a user.
    init?(_ request: HTTPRequest, _ context: HTTPClientContext) {
        if request.isForwarded {
            // A shared cache stores no response that is private to one user.
            fields = request.headers
            identity = ""
            isAuthorized = request.isPersonal || request.headers.contains("Authorization")
            return
        }
        guard request.decompresses == nil, context.configuration.decompression.isEnabled,
            request.acceptedTypes.isEmpty, request.maximumBodySize == nil
        else { return nil }
        var sent = request
        context.complete(&sent)
        switch sent.headers.contains("Authorization") ? nil : context.credentials(for: request)?.kind {
        case nil: break
        case .fixed(let value): sent.headers["Authorization"] = value
        case .authenticator: return nil
        }
        let secrets = [
            sent.headers["Authorization"], request.headers["Cookie"], CookieJar.field(request.cookies),
        ].map { $0 ?? "" }
        identity = secrets.allSatisfy(\.isEmpty) ? "" : Self.hash(secrets.joined(separator: "\n"))
        for field in context.defaults.headers where !sent.headers.contains(field.name) {
            sent.headers.add(field.name, field.value)
        }
        fields = sent.headers
        isAuthorized = fields.contains("Authorization")
    }

    /// The value that is sent in a field. Secrets are replaced by a hash, since it is written to files.
    func value(_ name: String) -> String {
        let value = fields.values(name).flatMap { $0.splitBytes(separator: ",") }.map { String($0.trimmingBlanks()) }
            .joined(separator: ",")
        return ["authorization", "cookie"].contains(name) ? Self.hash(value) : value
    }

    private static func hash(_ text: String) -> String { Hex.encode(SHA256.hash(data: Array(text.utf8))) }
}
