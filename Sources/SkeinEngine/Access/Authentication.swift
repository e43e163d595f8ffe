// Authentication by name and password, and by tokens that a closure verifies.

import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Requires a name and a password (RFC 7617). Use it over TLS.
public struct BasicAuthentication: Authenticator {
    private let realm: String
    private let verify: @Sendable (_ user: String, _ password: String, ServerRequest) async throws -> Identity?

    /// - Parameters:
    ///   - realm: the realm that browsers show to the user.
    ///   - verify: whether a password is right. Compare in constant time: ``constantTimeEqual(_:_:)``.
    public init(
        realm: String, verify: @escaping @Sendable (_ user: String, _ password: String) async throws -> Bool
    ) {
        self.init(realm: realm, identity: { try await verify($0, $1) ? Identity(user: $0, proof: .password) : nil })
    }

    /// - Parameters:
    ///   - realm: the realm that browsers show to the user.
    ///   - identity: the identity of a name and a password; nil for a wrong one.
    public init(
        realm: String, identity: @escaping @Sendable (_ user: String, _ password: String) async throws -> Identity?
    ) {
        self.realm = HTTPText.unquotable(realm)
        verify = { user, password, _ in try await identity(user, password) }
    }

    /// - Parameters:
    ///   - realm: the realm that browsers show to the user.
    ///   - users: the users and the hashes of their passwords.
    public init(realm: String, _ users: PasswordFile) {
        self.realm = HTTPText.unquotable(realm)
        verify = { user, password, request in
            try await users.identity(user, password, from: RateLimit.Subject.network(request.clientAddress))
        }
    }

    /// `Basic`.
    public var challenge: String? { "Basic realm=\"\(realm)\", charset=\"UTF-8\"" }

    /// The identity of the name and the password.
    public func identity(of request: ServerRequest) async throws -> Identity? {
        guard let (user, password) = Self.credentials(request.headers["Authorization"]) else { return nil }
        if let identity = try await verify(user, password, request) { return identity }
        throw ServerError.unauthenticated([challenge].compactMap(\.self), "the name or the password is wrong")
    }

    /// The name and the password in a field.
    static func credentials(_ field: String?) -> (String, String)? {
        guard let field, field.utf8.count > 6,
            field[..<field.utf8.index(field.startIndex, offsetBy: 6)].equalsIgnoringCase("basic "),
            let bytes = Data(base64Encoded: String(field.droppingBytes(first: 6).trimmingBlanks())),
            let text = String(validating: bytes, as: UTF8.self), let colon = text.firstByte(":")
        else { return nil }
        return (String(text[..<colon]), String(text.text(after: colon)))
    }
}

/// Requires a bearer token (RFC 6750) that a closure verifies. Use it over TLS.
public struct BearerAuthentication: Authenticator {
    private let realm: String
    private let verify: @Sendable (_ token: String, ServerRequest) async throws -> Identity?

    /// - Parameters:
    ///   - realm: the realm of the token.
    ///   - verify: the name of the token's bearer; nil for a token that is not valid.
    public init(
        realm: String, verify: @escaping @Sendable (_ token: String, ServerRequest) async throws -> String?
    ) {
        self.init(realm: realm, identity: { try await verify($0, $1).map { Identity(user: $0) } })
    }

    /// - Parameters:
    ///   - realm: the realm of the token.
    ///   - identity: the identity of the token's bearer; nil for a token that is not valid.
    public init(
        realm: String, identity: @escaping @Sendable (_ token: String, ServerRequest) async throws -> Identity?
    ) {
        self.realm = HTTPText.unquotable(realm)
        verify = identity
    }

    /// `Bearer`.
    public var challenge: String? { BearerToken.challenge(realm) }

    /// The identity of the token's bearer.
    public func identity(of request: ServerRequest) async throws -> Identity? {
        guard let token = request.headers.bytes("authorization").flatMap(BearerToken.read) else { return nil }
        if let identity = try await verify(token, request) { return identity }
        throw BearerToken.refusal(realm, "the token is not valid")
    }
}

/// Compares two texts in a time that depends on their lengths only.
public func constantTimeEqual(_ left: String, _ right: String) -> Bool {
    let (left, right) = (Array(left.utf8), Array(right.utf8))
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
}
