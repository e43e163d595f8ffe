// Who a client is: what it has to show, and who says whether that is right.

import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Asks for a name and a password with every request (RFC 7617). Use it over TLS.
public struct BasicAuthentication: Middleware {
    private let realm: String
    private let verify: @Sendable (_ user: String, _ password: String) async throws -> Bool

    /// - Parameters:
    ///   - realm: what the password is for, as browsers show it.
    ///   - verify: whether a password is right. Compare in a time that does not depend on it: ``constantTimeEqual(_:_:)``.
    public init(
        realm: String, verify: @escaping @Sendable (_ user: String, _ password: String) async throws -> Bool
    ) {
        self.realm = HTTPText.unquotable(realm)
        self.verify = verify
    }

    /// Passes on what shows the right password, with ``ServerRequest/user`` set.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let (user, password) = Self.credentials(request.headers["Authorization"]),
            try await verify(user, password)
        else {
            throw ServerError(
                .unauthorized, "a name and a password are needed",
                headers: ["WWW-Authenticate": "Basic realm=\"\(realm)\", charset=\"UTF-8\""])
        }
        request.user = user
        return try await next.respond(to: request)
    }

    /// The name and the password that a field shows.
    static func credentials(_ field: String?) -> (String, String)? {
        guard let field, field.utf8.count > 6,
            field[..<field.utf8.index(field.startIndex, offsetBy: 6)].equalsIgnoringCase("basic "),
            let bytes = Data(base64Encoded: String(field.droppingBytes(first: 6).trimmingBlanks())),
            let text = String(validating: bytes, as: UTF8.self), let colon = text.firstByte(":")
        else { return nil }
        return (String(text[..<colon]), String(text.text(after: colon)))
    }
}

/// Asks for a token with every request (RFC 6750). Use it over TLS.
public struct BearerAuthentication: Middleware {
    private let realm: String
    private let verify: @Sendable (_ token: String, ServerRequest) async throws -> String?

    /// - Parameters:
    ///   - realm: what the token is for.
    ///   - verify: the name of the token's bearer; nil for a token that is not taken.
    public init(
        realm: String, verify: @escaping @Sendable (_ token: String, ServerRequest) async throws -> String?
    ) {
        self.realm = HTTPText.unquotable(realm)
        self.verify = verify
    }

    /// Passes on what shows a token that is taken, with ``ServerRequest/user`` set.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let token = request.headers.bytes("authorization").flatMap(BearerToken.read) else {
            throw ServerError(
                .unauthorized, "a token is needed", headers: ["WWW-Authenticate": "Bearer realm=\"\(realm)\""])
        }
        guard let user = try await verify(token, request) else {
            throw ServerError(
                .unauthorized, "the token is not taken",
                headers: ["WWW-Authenticate": "Bearer realm=\"\(realm)\", error=\"invalid_token\""])
        }
        request.user = user
        return try await next.respond(to: request)
    }
}

/// Whether two texts are equal, in a time that depends on their lengths only.
public func constantTimeEqual(_ left: String, _ right: String) -> Bool {
    let (left, right) = (Array(left.utf8), Array(right.utf8))
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
}
