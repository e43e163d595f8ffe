// Authentication and authorisation of requests before any app handles them.

import SkeinCore
import SkeinHTTP

/// Accepts several kinds of credentials, and requires a policy.
///
///     engine.middleware = [
///         CORS("https://shop.example.org"),
///         Gateway(
///             TokenAuthentication(
///                 realm: "shop", TokenVerifier(keys: [], audiences: ["shop"]),
///                 keysFrom: try RemoteKeySet("https://id.example.org/jwks.json")),
///             APIKeyAuthentication(keys), policy: .role("customer") || .source("10.0.0.0/8")),
///     ]
///
/// The first authenticator with valid credentials sets ``ServerRequest/identity``. If all credentials of a request are
/// invalid, it is answered with 401, whatever the policy. Put ``CORS`` before it, so that preflight requests, which
/// have no credentials, are answered.
public struct Gateway: Middleware {
    private let authenticators: [any Authenticator]
    private let policy: AccessPolicy
    private let challenges: [String]

    /// - Parameters:
    ///   - authenticators: the accepted kinds of credentials, in the order in which they are tried.
    ///   - policy: the required policy. Default: any identity; ``AccessPolicy/anyone`` leaves the decision to the
    ///     policies of mounts.
    public init(_ authenticators: any Authenticator..., policy: AccessPolicy = .authenticated) {
        self.init(authenticators, policy: policy)
    }

    /// A gateway with a list of authenticators.
    public init(_ authenticators: [any Authenticator], policy: AccessPolicy = .authenticated) {
        self.authenticators = authenticators
        self.policy = policy
        challenges = authenticators.compactMap(\.challenge)
    }

    /// Forwards the requests that the policy allows.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        request.identity = nil
        var refusal: ServerError?
        for authenticator in authenticators {
            do {
                guard let identity = try await authenticator.identity(of: request) else { continue }
                request.identity = identity
                break
            } catch let error as ServerError where error.status == .unauthorized || error.status == .serviceUnavailable
            {
                // An authority that is unavailable says nothing about credentials of another kind.
                if refusal == nil || error.status == .serviceUnavailable { refusal = error }
            }
        }
        if request.identity == nil {
            if let refusal { throw refusal }
            request[ChallengesKey.self] = challenges
        }
        try policy.require(request)
        return try await next.respond(to: request)
    }
}
