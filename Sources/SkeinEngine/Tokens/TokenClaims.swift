// The identity of a token's bearer, by its claims.

import SkeinCore

/// The claims with the user and the roles.
public struct TokenClaims: Sendable {
    let identity: @Sendable (JSONValue) -> Identity?

    /// Claims by their paths.
    /// - Parameters:
    ///   - user: a string; a token without it is refused. Default: `sub`.
    ///   - roles: an array of strings, or a string of words such as `scope`; `realm_access.roles` is a member of an
    ///     object. Default: `roles`.
    public init(user: String = "sub", roles: String = "roles") {
        identity = { claims in
            guard let name = ClaimPath.value(user, in: claims)?.string else { return nil }
            return Identity(user: name, roles: Set(ClaimPath.values(roles, in: claims)), claims: claims)
        }
    }

    /// Claims by a closure.
    /// - Parameter identity: the identity for verified claims; nil refuses the token.
    public init(_ identity: @escaping @Sendable (JSONValue) -> Identity?) { self.identity = identity }
}
