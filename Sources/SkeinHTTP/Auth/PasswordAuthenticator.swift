// A user and a password, sent by the scheme that the server demands.

import Crypto
import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// Answers challenges of the schemes Digest (RFC 7616) and Basic (RFC 7617); from the second request on, sends the
/// accepted credentials without a challenge.
final class PasswordAuthenticator: HTTPAuthenticator {
    enum Scheme: String {
        case digest
        case basic
    }

    /// The challenge that a server has sent.
    private enum Known {
        case basic
        case digest(DigestChallenge, uses: UInt32)
    }

    private static let maximumOrigins = 1000

    private let user: String
    private let password: String
    private let schemes: [Scheme]
    private let clientNonce: @Sendable () -> String
    private let known = Mutex<[HTTPOrigin: Known]>([:])

    init(
        _ user: String, _ password: String, schemes: [Scheme],
        clientNonce: @escaping @Sendable () -> String = {
            Hex.random(16)
        }
    ) {
        self.user = user
        self.password = password
        self.schemes = schemes
        self.clientNonce = clientNonce
    }

    func authorize(
        _ request: HTTPRequest, after answer: HTTPResponse?, using service: HTTPService
    ) throws(SkeinError) -> HTTPRequest? {
        let origin = request.url.origin
        if let answer {
            guard let chosen = choose(Challenge.all(in: answer.headers)) else {
                guard request.headers.contains("Authorization") else {
                    throw SkeinError(
                        .unknownAuthentication, peer: origin.description,
                        because: "the server asks for \(answer.header("WWW-Authenticate") ?? "no scheme"); "
                            + "this client can use \(schemes.map(\.rawValue).joined(separator: " or "))")
                }
                return nil
            }
            // Refused credentials are not sent again, unless only the nonce was stale.
            if request.headers.contains("Authorization") {
                guard case .digest(let challenge, _) = chosen, challenge.isStale || isNew(challenge, request) else {
                    known.withLock { $0[origin] = nil }
                    return nil
                }
            }
            known.withLock { known in
                if known.count >= Self.maximumOrigins { known = [:] }  // the servers send their challenges again
                known[origin] = chosen
            }
        }
        guard let (scheme, count) = use(origin) else { return nil }
        var request = request
        switch scheme {
        case .basic:
            request.headers["Authorization"] = HTTPAuth.basicField(user, password)
        case .digest(let challenge, _):
            request.headers["Authorization"] = try challenge.answer(
                user: user, password: password, request: request, count: count, clientNonce: clientNonce())
        }
        return request
    }

    /// Whether the credentials sent were computed for an older challenge than this one.
    private func isNew(_ challenge: DigestChallenge, _ request: HTTPRequest) -> Bool {
        request.headers["Authorization"]?.containsBytes("nonce=\"\(challenge.nonce)\"") == false
            && known.withLock {
                guard case .digest(_, let uses)? = $0[request.url.origin] else { return false }
                return uses > 1
            }
    }

    private func choose(_ challenges: [Challenge]) -> Known? {
        for scheme in schemes {
            for challenge in challenges where challenge.scheme == scheme.rawValue {
                if scheme == .basic { return .basic }
                if let digest = DigestChallenge(challenge) { return .digest(digest, uses: 0) }
            }
        }
        return nil
    }

    /// The credentials for an origin, and the nonce count of the next request.
    private func use(_ origin: HTTPOrigin) -> (Known, UInt32)? {
        known.withLock { known in
            guard let scheme = known[origin] else { return nil }
            guard case .digest(let challenge, let uses) = scheme else { return (scheme, 1) }
            known[origin] = .digest(challenge, uses: uses + 1)
            return (scheme, uses + 1)
        }
    }
}

/// A challenge of the scheme Digest that can be answered.
package struct DigestChallenge {
    package enum Algorithm: String {
        case md5 = "MD5"
        case sha256 = "SHA-256"
        case sha512Half = "SHA-512-256"

        func hash(_ text: some Sequence<UInt8>) -> String {
            let data = Array(text)
            return switch self {
            case .md5: Hex.encode(Insecure.MD5.hash(data: data))
            case .sha256: Hex.encode(SHA256.hash(data: data))
            case .sha512Half: Hex.encode(SHA512Half.hash(data))
            }
        }

        package func hash(_ text: String) -> String { hash(text.utf8) }
    }

    enum Protection: String {
        case content = "auth-int"
        case head = "auth"
    }

    let nonce: String
    let isStale: Bool
    private let realm: String
    private let opaque: String?
    private let algorithm: Algorithm
    private let isSession: Bool
    private let protections: [Protection]
    private let hashesUser: Bool
    private let isUTF8: Bool

    /// Nil when it demands an unknown option.
    init?(_ challenge: Challenge) {
        let parameters = challenge.parameters
        guard let realm = parameters["realm"], let nonce = parameters["nonce"] else { return nil }
        self.realm = realm
        self.nonce = nonce
        opaque = parameters["opaque"]
        let name = (parameters["algorithm"] ?? "MD5").uppercased()
        isSession = name.hasByteSuffix("-SESS")
        guard let algorithm = Algorithm(rawValue: isSession ? String(name.dropLast(5)) : name) else { return nil }
        self.algorithm = algorithm
        let offered = parameters["qop"]?.splitBytes(separator: ",").map { $0.trimmingBlanks().lowercased() } ?? []
        protections = offered.compactMap(Protection.init)
        if !offered.isEmpty, protections.isEmpty { return nil }
        isStale = parameters["stale"]?.lowercased() == "true"
        hashesUser = parameters["userhash"]?.lowercased() == "true"
        isUTF8 = parameters["charset"]?.uppercased() == "UTF-8"
    }

    /// The value of the Authorization field (RFC 7616, section 3.4).
    func answer(
        user: String, password: String, request: HTTPRequest, count: UInt32, clientNonce: String
    ) throws(SkeinError) -> String {
        let target = request.url.target
        // Integrity protection (`auth-int`) needs the content beforehand.
        let protection = protections.contains(.head) ? .head : protections.first
        var covered = "\(request.method.rawValue):\(target)"
        if protection == .content {
            guard let content = request.body.bytes else {
                throw SkeinError(
                    .unknownAuthentication, peer: request.url.origin.description,
                    because: "the server wants a hash of the content, but the content is a stream; send bytes")
            }
            covered += ":" + algorithm.hash(content.readableBytesView)
        }
        var secret = algorithm.hash("\(user):\(realm):\(password)")
        if isSession { secret = algorithm.hash("\(secret):\(nonce):\(clientNonce)") }
        let number = Hex.encode(withUnsafeBytes(of: count.bigEndian) { Array($0) })
        let hash = algorithm.hash(covered)
        let response = algorithm.hash(
            protection.map { "\(secret):\(nonce):\(number):\(clientNonce):\($0.rawValue):\(hash)" }
                ?? "\(secret):\(nonce):\(hash)")

        var fields: [String] = []
        if hashesUser {
            fields.append("username=\"\(algorithm.hash("\(user):\(realm)"))\"")
        } else if isUTF8, user.utf8.contains(where: { $0 >= 0x80 }) {
            fields.append("username*=UTF-8''\(Percent.encodeUnreserved(user))")
        } else {
            fields.append("username=\(Self.quoted(user))")
        }
        fields += [
            "realm=\(Self.quoted(realm))", "nonce=\(Self.quoted(nonce))", "uri=\(Self.quoted(target))",
            "response=\"\(response)\"", "algorithm=\(algorithm.rawValue)\(isSession ? "-sess" : "")",
        ]
        if let opaque { fields.append("opaque=\(Self.quoted(opaque))") }
        if let protection { fields += ["qop=\(protection.rawValue)", "nc=\(number)", "cnonce=\"\(clientNonce)\""] }
        if hashesUser { fields.append("userhash=true") }
        return "Digest " + fields.joined(separator: ", ")
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacingBytes("\\", with: "\\\\").replacingBytes("\"", with: "\\\"") + "\""
    }
}
