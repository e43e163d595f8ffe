// What a certificate authority asks for to see that a name leads to this server (RFC 8555, section 8.3).

import SkeinCore
import SkeinHTTP
import Synchronization

/// The answers to http-01 challenges, which an engine gives at `/.well-known/acme-challenge/` before anything else is asked, in clear text too.
public final class CertificateChallenges: Sendable {
    private static let path = "/.well-known/acme-challenge/"

    private let answers = Mutex(ByteDictionary<String>())

    /// No challenges.
    public init() {}

    /// The answer to a challenge.
    /// - Parameter token: of the challenge; setting nil ends it.
    public subscript(token: String) -> String? {
        get { answers.withLock { $0[token] } }
        set { answers.withLock { $0[token] = newValue } }
    }

    /// The answer to a request for a challenge; nil for other requests.
    func answer(_ request: ServerRequest) -> ServerResponse? {
        guard request.method == .get, request.path.hasBytePrefix(Self.path) else { return nil }
        return self[String(request.path.droppingBytes(first: Self.path.utf8.count))].map {
            ServerResponse(body: .text($0, contentType: "application/octet-stream"))
        }
    }
}
