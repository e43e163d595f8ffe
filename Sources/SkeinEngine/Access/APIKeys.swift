// API keys, stored as hashes.

import Crypto
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An API key, of which only the hash is stored: a reader of the configuration cannot use it.
public struct APIKey: Sendable {
    /// The program's name.
    public let name: String
    /// Its roles.
    public let roles: Set<String>
    /// SHA-256 of the key, in lower-case hexadecimal.
    let hash: String

    /// A key by its hash.
    /// - Parameters:
    ///   - name: the program's name.
    ///   - sha256: the hash of the key, 64 hexadecimal digits: `printf %s KEY | sha256sum`, or the output of
    ///     `skein token key`.
    ///   - roles: its roles. Default: none.
    /// - Throws: code 701 for text that is not such a hash.
    public init(_ name: String, sha256: String, roles: Set<String> = []) throws(SkeinError) {
        let hash = sha256.lowercased()
        guard hash.utf8.count == 64, hash.utf8.allSatisfy({ Bytes.hexValue($0) != nil }) else {
            throw SkeinError(
                .exception, because: "the hash of the API key \(name.debugDescription) is not 64 hexadecimal digits")
        }
        self.name = name
        self.roles = roles
        self.hash = hash
    }

    /// A new key of 256 random bits.
    /// - Returns: the key for the program, which is kept nowhere, and its hash.
    public static func make() -> (key: String, sha256: String) {
        let key = "sk_" + Base64URL.encode(RandomBytes.make(32))
        return (key, hash(key))
    }

    static func hash(_ key: String) -> String { Hex.encode(SHA256.hash(data: Array(key.utf8))) }
}

/// Requires an API key in a header field, or in the query by option. Use it over TLS.
public struct APIKeyAuthentication: Authenticator {
    private static let longest = 1024

    /// The field that held a key.
    enum Field: RequestKey { typealias Value = String }

    private let header: String
    private let parameter: String?
    private let identity: @Sendable (_ sha256: String) async throws -> Identity?

    /// - Parameters:
    ///   - keys: the valid keys.
    ///   - header: the field. Default: `X-API-Key`.
    ///   - parameter: a parameter of the query that is accepted, too. Default: none, since URLs are logged and passed on.
    public init(_ keys: [APIKey], header: String = "X-API-Key", parameter: String? = nil) {
        var known = ByteDictionary<Identity>()
        for key in keys { known[key.hash] = Identity(user: key.name, roles: key.roles, proof: .apiKey) }
        let identities = known
        self.init(header: header, parameter: parameter) { identities[$0] }
    }

    /// - Parameter identity: the identity of the key with a hash, SHA-256 in lower-case hexadecimal; nil for an unknown one.
    public init(
        header: String = "X-API-Key", parameter: String? = nil,
        identity: @escaping @Sendable (_ sha256: String) async throws -> Identity?
    ) {
        self.header = header
        self.parameter = parameter
        self.identity = identity
    }

    /// No registered scheme; names the field.
    public var challenge: String? { "APIKey in=\"\(HTTPText.unquotable(header))\"" }

    /// The identity of the key.
    public func identity(of request: ServerRequest) async throws -> Identity? {
        guard let key = request.headers[header] ?? parameter.flatMap({ request.parameters[$0] }) else { return nil }
        request[Field.self] = header
        if key.utf8.count <= Self.longest, let identity = try await identity(APIKey.hash(key)) { return identity }
        throw ServerError.unauthenticated([challenge].compactMap(\.self), "the API key is not valid")
    }
}
