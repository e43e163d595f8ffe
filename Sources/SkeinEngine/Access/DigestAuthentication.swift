// Passwords that are not sent: the client proves that it knows them (RFC 7616).

import SkeinHTTP
import Synchronization

/// Asks for the proof of a password with every request (RFC 7616), by SHA-256, and by MD5 for clients that know nothing else.
public struct DigestAuthentication: Middleware {
    /// How long a client may use what it was given.
    private static let lifetime = 300

    private let realm: String
    private let password: @Sendable (_ user: String) async throws -> String?
    private let key = SigningKey.random()
    private let counts = NonceCounts()

    /// - Parameters:
    ///   - realm: what the password is for, as browsers show it.
    ///   - password: a user's; nil for nobody.
    public init(realm: String, password: @escaping @Sendable (_ user: String) async throws -> String?) {
        self.realm = realm.filter { $0 != "\"" && $0 != "\\" }
        self.password = password
    }

    /// Passes on what shows the right proof, with ``ServerRequest/user`` set.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let field = request.headers["Authorization"],
            let said = Challenge.parse(field).first(where: { $0.scheme == "digest" })?.parameters,
            let nonce = said["nonce"], let user = said["username"], said["realm"] == realm, said["qop"] == "auth",
            let number = said["nc"].flatMap({ UInt32($0, radix: 16) }), let uri = said["uri"], uri == request.target,
            let algorithm = DigestChallenge.Algorithm(rawValue: (said["algorithm"] ?? "MD5").uppercased()),
            let proof = said["response"], let begun = key.open(nonce, for: "digest").flatMap({ Int($0) })
        else { throw refusal() }
        guard let secret = try await password(user) else { throw refusal() }
        let first = algorithm.hash("\(user):\(realm):\(secret)")
        let second = algorithm.hash("\(request.method):\(uri)")
        let expected = algorithm.hash("\(first):\(nonce):\(said["nc"] ?? ""):\(said["cnonce"] ?? ""):auth:\(second)")
        guard constantTimeEqual(expected, proof.lowercased()) else { throw refusal() }
        // The password is right; what is too old or was used before needs another proof, and no other password.
        guard Self.now - begun <= Self.lifetime, counts.use(nonce, number, at: Self.now) else {
            throw refusal(isStale: true)
        }
        request.user = user
        return try await next.respond(to: request)
    }

    private static var now: Int { CivilTime.now }

    private func refusal(isStale: Bool = false) -> ServerError {
        let nonce = key.sign(String(Self.now), for: "digest")
        var headers = Headers()
        for algorithm in ["SHA-256", "MD5"] {
            headers.add(
                "WWW-Authenticate",
                "Digest realm=\"\(realm)\", qop=\"auth\", algorithm=\(algorithm), nonce=\"\(nonce)\", charset=UTF-8"
                    + (isStale ? ", stale=true" : ""))
        }
        return ServerError(.unauthorized, "a name and a password are needed", headers: headers)
    }

    /// How often each nonce was used, so that what somebody has heard cannot be said again.
    private final class NonceCounts: Sendable {
        private static let maximum = 10_000
        private let last = Mutex<[String: (number: UInt32, time: Int)]>([:])

        func use(_ nonce: String, _ number: UInt32, at time: Int) -> Bool {
            last.withLock { last in
                guard number > last[nonce]?.number ?? 0 else { return false }
                if last.count >= Self.maximum {
                    last = last.filter { $0.value.time + DigestAuthentication.lifetime > time }
                    if last.count >= Self.maximum { return false }
                }
                last[nonce] = (number, time)
                return true
            }
        }
    }
}
