// Access policies: conditions on a request's identity and source, which can be combined.

import SkeinCore
import SkeinHTTP
import SkeinTransport

/// A condition on the identity and the source of a request.
///
///     let policy = AccessPolicy.role("admin") || .source("10.0.0.0/8") && .authenticated
///
/// A request without an identity that an identity might allow is answered with 401; any other refused request with 403.
public struct AccessPolicy: Sendable, CustomStringConvertible {
    /// The result of a policy for a request.
    enum Decision: Hashable {
        case allowed
        /// An identity is needed.
        case unauthenticated
        case forbidden
    }

    /// The input of policies: a request, whose facts are computed on demand, or fixed values.
    struct Facts: Sendable {
        var identity: Identity?
        /// Nil for fixed values.
        var request: ServerRequest?
        var given = Given()

        struct Given: Sendable {
            var address: String?
            var method: HTTPMethod = .get
            var isSecure = false
            var certificateNames: [String] = []
        }

        var address: String? { request.map { $0.clientAddress } ?? given.address }
        var method: HTTPMethod { request?.method ?? given.method }
        var isSecure: Bool { request?.isSecure ?? given.isSecure }

        /// The names in the client's certificate.
        var certificateNames: [String] {
            guard let request else { return given.certificateNames }
            return request.tls?.peerCertificate.map { $0.names + [$0.subject].compactMap(\.self) } ?? []
        }
    }

    private let evaluate: @Sendable (Facts) -> Decision
    /// The policy in words, as shown by the status page and `skein check`.
    public let description: String

    private init(_ description: String, _ evaluate: @escaping @Sendable (Facts) -> Decision) {
        self.description = description
        self.evaluate = evaluate
    }

    private static func ofIdentity(_ description: String, _ isMet: @escaping @Sendable (Identity) -> Bool)
        -> AccessPolicy
    {
        AccessPolicy(description) { facts in
            guard let identity = facts.identity else { return .unauthenticated }
            return isMet(identity) ? .allowed : .forbidden
        }
    }

    private static func ofSource(_ description: String, _ isMet: @escaping @Sendable (Facts) -> Bool) -> AccessPolicy {
        AccessPolicy(description) { isMet($0) ? .allowed : .forbidden }
    }

    // MARK: Conditions

    /// Every request.
    public static let anyone = ofSource("anyone") { _ in true }
    /// No request.
    public static let nobody = ofSource("nobody") { _ in false }
    /// Every request with an identity.
    public static let authenticated = ofIdentity("any identity") { _ in true }
    /// Requests over TLS, as far as the server and trusted proxies can tell.
    public static let secure = ofSource("over TLS") { $0.isSecure }

    /// Identities with one of the roles.
    public static func role(_ names: String...) -> AccessPolicy { roles(names) }

    /// Identities with one of the roles.
    public static func roles(_ names: [String]) -> AccessPolicy {
        ofIdentity("role \(names.joined(separator: " or "))") { identity in
            names.contains { name in identity.roles.contains { $0.equalsBytes(name) } }
        }
    }

    /// Identities with one of the names.
    public static func user(_ names: String...) -> AccessPolicy { users(names) }

    /// Identities with one of the names.
    public static func users(_ names: [String]) -> AccessPolicy {
        ofIdentity("user \(names.joined(separator: " or "))") { identity in
            names.contains { $0.equalsBytes(identity.user) }
        }
    }

    /// Tokens with a claim that equals, or contains as an element, one of the values.
    /// - Parameter path: the claim, with dots between the members of objects: `realm_access.groups`.
    public static func claim(_ path: String, _ values: String...) -> AccessPolicy {
        ofIdentity("claim \(path) is \(values.joined(separator: " or "))") { identity in
            let found = identity.claims.map { ClaimPath.wholes(path, in: $0) } ?? []
            return values.contains { value in found.contains { $0.equalsBytes(value) } }
        }
    }

    /// Clients with an address in one of the ranges (CIDR), as the server and trusted proxies know it.
    public static func source(_ ranges: AddressRange...) -> AccessPolicy { sources(ranges) }

    /// Clients with an address in one of the ranges (CIDR), as the server and trusted proxies know it.
    public static func sources(_ ranges: [AddressRange]) -> AccessPolicy {
        ofSource("source \(ranges.map(\.description).joined(separator: " or "))") { facts in
            facts.address.map { address in ranges.contains { $0.contains(address) } } ?? false
        }
    }

    /// Clients whose TLS certificate has one of the names: host names, addresses, or the common name.
    public static func certificate(_ names: String...) -> AccessPolicy {
        ofSource("certificate of \(names.joined(separator: " or "))") { facts in
            names.contains { name in facts.certificateNames.contains { $0.equalsBytes(name) } }
        }
    }

    /// Requests with one of the methods.
    public static func method(_ methods: HTTPMethod...) -> AccessPolicy {
        ofSource("method \(methods.map(\.rawValue).joined(separator: " or "))") { methods.contains($0.method) }
    }

    /// A custom condition.
    /// - Parameter description: the condition in words.
    public static func when(_ description: String, _ isMet: @escaping @Sendable (ServerRequest) -> Bool)
        -> AccessPolicy
    {
        ofSource(description) { $0.request.map(isMet) ?? false }
    }

    // MARK: Combinations

    /// At least one is met.
    public static func || (left: AccessPolicy, right: AccessPolicy) -> AccessPolicy {
        AccessPolicy("(\(left) or \(right))") { facts in
            let first = left.evaluate(facts)
            if first == .allowed { return first }
            let second = right.evaluate(facts)
            return second == .forbidden ? first : second
        }
    }

    /// Both are met.
    public static func && (left: AccessPolicy, right: AccessPolicy) -> AccessPolicy {
        AccessPolicy("(\(left) and \(right))") { facts in
            let first = left.evaluate(facts)
            if first == .forbidden { return first }
            let second = right.evaluate(facts)
            return second == .allowed ? first : second
        }
    }

    /// The condition is not met. Without an identity, a condition on it is neither met nor not met.
    public static prefix func ! (policy: AccessPolicy) -> AccessPolicy {
        AccessPolicy("not \(policy)") { facts in
            switch policy.evaluate(facts) {
            case .allowed: .forbidden
            case .forbidden: .allowed
            case .unauthenticated: .unauthenticated
            }
        }
    }

    // MARK: Use

    func decision(_ facts: Facts) -> Decision { evaluate(facts) }

    /// Checks a request.
    /// - Throws: ``ServerError`` 401 or 403.
    public func require(_ request: ServerRequest) throws(ServerError) {
        switch evaluate(Facts(identity: request.identity, request: request)) {
        case .allowed: return
        case .unauthenticated: throw ServerError.unauthenticated(request[ChallengesKey.self] ?? [])
        case .forbidden: throw ServerError(.forbidden, "this client is not allowed to use this resource")
        }
    }
}

/// The challenges of the gateway that a request has passed.
enum ChallengesKey: RequestKey { typealias Value = [String] }

/// Requires a policy of each request: `api.inside(AccessControl(.role("admin")))`.
public struct AccessControl: Middleware {
    private let policy: AccessPolicy

    /// Middleware for a policy.
    public init(_ policy: AccessPolicy) { self.policy = policy }

    /// Forwards the requests that the policy allows.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        try policy.require(request)
        return try await next.respond(to: request)
    }
}

/// Values in claims.
enum ClaimPath {
    /// The strings at a path: the words of a string, the elements of an array.
    static func values(_ path: String, in claims: JSONValue) -> [String] {
        guard let value = value(path, in: claims) else { return [] }
        if let text = value.string { return text.splitBytes(separator: " ").map(String.init) }
        return value.elements?.compactMap(\.string) ?? []
    }

    /// The strings at a path, complete; for `scope`, which is a list, its words (RFC 6749, section 3.3).
    static func wholes(_ path: String, in claims: JSONValue) -> [String] {
        guard !path.equalsBytes("scope"), let text = value(path, in: claims)?.string else {
            return values(path, in: claims)
        }
        return [text]
    }

    /// The value at a path. A member whose own name contains dots, such as a URL, is found by its full name.
    static func value(_ path: String, in claims: JSONValue) -> JSONValue? {
        if let value = claims[path] { return value }
        guard let dot = path.firstByte(".") else { return nil }
        return claims[String(path[..<dot])].flatMap { value(String(path.text(after: dot)), in: $0) }
    }
}
