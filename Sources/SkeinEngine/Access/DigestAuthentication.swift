// Digest authentication, by which passwords are not sent (RFC 7616).

import SkeinCore
import SkeinHTTP
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Requires Digest authentication of every request (RFC 7616), with SHA-256, and with MD5 for clients that support
/// nothing else.
public struct DigestAuthentication: Middleware {
    /// The lifetime of a nonce, in microseconds.
    private static let lifetime = 300_000_000

    private let realm: String
    private let password: @Sendable (_ user: String) async throws -> String?
    private let key = SigningKey.random()
    private let counts = NonceCounts()

    /// - Parameters:
    ///   - realm: the realm that browsers show to the user.
    ///   - password: the password of a user; nil for an unknown user.
    public init(realm: String, password: @escaping @Sendable (_ user: String) async throws -> String?) {
        self.realm = HTTPText.unquotable(realm)
        self.password = password
    }

    /// Forwards requests with valid credentials, with ``ServerRequest/user`` set.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let field = request.headers["Authorization"],
            let said = Challenge.parse(field).first(where: { $0.scheme == "digest" })?.parameters,
            let nonce = said["nonce"], let user = said["username"], said["realm"]?.equalsBytes(realm) == true,
            said["qop"] == "auth",
            let number = said["nc"].flatMap({ UInt32($0, radix: 16) }), let uri = said["uri"],
            uri.equalsBytes(request.target),
            let algorithm = DigestChallenge.Algorithm(rawValue: (said["algorithm"] ?? "MD5").uppercased()),
            let proof = said["response"],
            let begun = key.open(nonce, for: "digest").flatMap({ Int($0.prefix(before: "-")) })
        else { throw refusal() }
        guard let secret = try await password(user) else { throw refusal() }
        let first = algorithm.hash("\(user):\(realm):\(secret)")
        let second = algorithm.hash("\(request.method):\(uri)")
        let expected = algorithm.hash("\(first):\(nonce):\(said["nc"] ?? ""):\(said["cnonce"] ?? ""):auth:\(second)")
        guard constantTimeEqual(expected, proof.lowercased()) else { throw refusal() }
        // The password is right; an expired or reused nonce needs new credentials, but no other password.
        guard Self.now - begun <= Self.lifetime, counts.use(nonce, number, by: user, begun: begun, at: Self.now) else {
            throw refusal(isStale: true)
        }
        request.user = user
        return try await next.respond(to: request)
    }

    /// Microseconds since 1970.
    private static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    }

    private func refusal(isStale: Bool = false) -> ServerError {
        // The time, and a random part that makes it unique.
        let nonce = key.sign("\(Self.now)-\(Hex.random(8))", for: "digest")
        var headers = Headers()
        for algorithm in ["SHA-256", "MD5"] {
            headers.add(
                "WWW-Authenticate",
                "Digest realm=\"\(realm)\", qop=\"auth\", algorithm=\(algorithm), nonce=\"\(nonce)\", charset=UTF-8"
                    + (isStale ? ", stale=true" : ""))
        }
        return ServerError(.unauthorized, "a name and a password are needed", headers: headers)
    }

    /// The use counts of nonces, against replays. Each user has a fixed number of nonces, and older ones are refused,
    /// so that one user cannot displace those of others.
    private final class NonceCounts: Sendable {
        private static let perUser = 100

        private struct Known {
            var last: [String: (number: UInt32, begun: Int)] = [:]
            /// Nonces made at this time or earlier are dropped, and refused.
            var forgotten = Int.min
        }

        private let users = Mutex<ByteDictionary<Known>>([:])

        func use(_ nonce: String, _ number: UInt32, by user: String, begun: Int, at time: Int) -> Bool {
            users.withLock { users in
                var known = users[user] ?? Known()
                defer { users[user] = known }
                guard number > known.last[nonce]?.number ?? 0, known.last[nonce] != nil || begun > known.forgotten
                else {
                    return false
                }
                known.last[nonce] = (number, begun)
                guard known.last.count > Self.perUser else { return true }
                known.last = known.last.filter { $0.value.begun + DigestAuthentication.lifetime >= time }
                while known.last.count > Self.perUser,
                    let oldest = known.last.min(by: { $0.value.begun < $1.value.begun })
                {
                    known.forgotten = max(known.forgotten, oldest.value.begun)
                    known.last[oldest.key] = nil
                }
                return true
            }
        }
    }
}
