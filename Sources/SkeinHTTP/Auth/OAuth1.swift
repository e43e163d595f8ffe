// Requests signed by OAuth 1.0 (RFC 5849).

import Crypto
import NIOCore
import SkeinCore
import SkeinWire
import _CryptoExtras

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A client's and a user's secrets, and how requests are signed with them.
public struct OAuth1: HTTPAuthenticator {
    /// The signature method.
    public enum Method: Sendable {
        /// With the secrets and SHA-1 (RFC 5849, section 3.4.2).
        case hmacSHA1
        /// With the secrets and SHA-256, as some servers ask for.
        case hmacSHA256
        /// With a private key, PKCS#1 or PKCS#8 in PEM (RFC 5849, section 3.4.3).
        case rsaSHA1(privateKey: String)
        /// The secrets themselves: over TLS only (RFC 5849, section 3.4.4).
        case plaintext

        var name: String {
            switch self {
            case .hmacSHA1: "HMAC-SHA1"
            case .hmacSHA256: "HMAC-SHA256"
            case .rsaSHA1: "RSA-SHA1"
            case .plaintext: "PLAINTEXT"
            }
        }
    }

    /// The client's name.
    public var clientKey: String
    /// The client's secret.
    public var clientSecret: String
    /// The token of the user, if there is one yet.
    public var token: String?
    /// The secret of the token.
    public var tokenSecret: String
    /// The signature method. Default: HMAC-SHA1.
    public var method: Method
    /// The realm to name. Default: none.
    public var realm: String?
    /// The URL that a user is redirected to, in the request for a temporary token. Default: none.
    public var callback: String?
    /// The verification code from the user, in the request for a token. Default: none.
    public var verifier: String?

    var now: @Sendable () -> Int = { Int(Date().timeIntervalSince1970) }
    var nonce: @Sendable () -> String = { Hex.random(16) }

    /// Secrets.
    public init(
        clientKey: String, clientSecret: String = "", token: String? = nil, tokenSecret: String = "",
        method: Method = .hmacSHA1
    ) {
        self.clientKey = clientKey
        self.clientSecret = clientSecret
        self.token = token
        self.tokenSecret = tokenSecret
        self.method = method
    }

    /// Adds the signature. A 401 is final.
    public func authorize(
        _ request: HTTPRequest, after answer: HTTPResponse?, using service: HTTPService
    ) throws(SkeinError) -> HTTPRequest? {
        if answer != nil { return nil }
        var signed = request
        signed.headers["Authorization"] = try authorization(for: request)
        return signed
    }

    func authorization(for request: HTTPRequest) throws(SkeinError) -> String {
        var parameters = [
            ("oauth_consumer_key", clientKey), ("oauth_nonce", nonce()), ("oauth_signature_method", method.name),
            ("oauth_timestamp", String(now())), ("oauth_version", "1.0"),
        ]
        if let token { parameters.append(("oauth_token", token)) }
        if let callback { parameters.append(("oauth_callback", callback)) }
        if let verifier { parameters.append(("oauth_verifier", verifier)) }
        parameters.append(("oauth_signature", try signature(of: baseString(request, parameters), request)))
        if let realm { parameters.insert(("realm", realm), at: 0) }
        let fields = parameters.map { name, value in
            "\(Percent.encodeUnreserved(name))=\"\(Percent.encodeUnreserved(value))\""
        }
        return "OAuth " + fields.joined(separator: ", ")
    }

    /// The signature base string: method, URL and every parameter, including those of the query and of a form (section
    /// 3.4.1).
    func baseString(_ request: HTTPRequest, _ own: [(String, String)]) -> String {
        let target = request.url.target
        let path = target.prefix(before: "?")
        var pairs = own
        pairs += Percent.decodeForm(target[path.endIndex...].dropFirst())
        let type = request.headers["Content-Type"] ?? request.body.contentType ?? ""
        if MediaType.split(type).value.lowercased() == "application/x-www-form-urlencoded",
            let form = request.body.bytes
        {
            pairs += Percent.decodeForm(String(buffer: form))
        }
        let encoded = pairs.map { (Percent.encodeUnreserved($0.0), Percent.encodeUnreserved($0.1)) }.sorted(by: <)
        let list = encoded.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        let url = "\(request.url.origin.scheme)://\(request.url.origin.authority)\(path)"
        return [request.method.rawValue, url, list].map(Percent.encodeUnreserved).joined(separator: "&")
    }

    private func signature(of text: String, _ request: HTTPRequest) throws(SkeinError) -> String {
        let secrets = "\(Percent.encodeUnreserved(clientSecret))&\(Percent.encodeUnreserved(tokenSecret))"
        let key = SymmetricKey(data: Data(secrets.utf8))
        switch method {
        case .plaintext: return secrets
        case .hmacSHA1:
            return Data(HMAC<Insecure.SHA1>.authenticationCode(for: Data(text.utf8), using: key)).base64EncodedString()
        case .hmacSHA256:
            return Data(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key)).base64EncodedString()
        case .rsaSHA1(let pem):
            do {
                let key = try _RSA.Signing.PrivateKey(unsafePEMRepresentation: pem)
                return try key.signature(for: Insecure.SHA1.hash(data: Data(text.utf8)), padding: .insecurePKCS1v1_5)
                    .rawRepresentation.base64EncodedString()
            } catch {
                throw SkeinError(
                    .unknownAuthentication, peer: request.url.origin.description,
                    because: "the OAuth private key cannot be used; is it an RSA key in PEM? (\(error))",
                    cause: error)
            }
        }
    }
}
