// Passwords of users, stored as scrypt hashes (RFC 7914).

import Crypto
import NIOCore
import NIOPosix
import SkeinCore
import SkeinHTTP
import Synchronization
import _CryptoExtras

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The hash of a password: `scrypt$16384$8$1$SALT$HASH`, with N, r, p; salt and hash in base64url.
public struct PasswordHash: Sendable {
    private let rounds: Int
    private let blockSize: Int
    private let parallelism: Int
    private let salt: Data
    private let hash: Data

    /// Reads a hash.
    /// - Throws: code 701 for an invalid text, and for parameters that are weaker than N = 16384, r = 8, or need more
    ///   than 256 MiB.
    public init(_ text: String) throws(SkeinError) {
        let parts = text.splitBytes(separator: "$", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 6, parts[0] == "scrypt", let rounds = Int(parts[1]), let blockSize = Int(parts[2]),
            let parallelism = Int(parts[3]), let salt = Base64URL.decodeStrict(parts[4]),
            let hash = Base64URL.decodeStrict(parts[5]), salt.count >= 16, hash.count == 32
        else {
            throw SkeinError(
                .exception, because: "this is not a password hash; create one with skein token password")
        }
        guard rounds >= 1 << 14, rounds & (rounds - 1) == 0, rounds <= 1 << 20, (8...32).contains(blockSize),
            (1...16).contains(parallelism), 128 * rounds * blockSize <= 256 << 20
        else {
            throw SkeinError(
                .exception,
                because: "the hash needs N from 16384, r from 8, p from 1 to 16, and at most 256 MiB")
        }
        self.rounds = rounds
        self.blockSize = blockSize
        self.parallelism = parallelism
        self.salt = salt
        self.hash = hash
    }

    /// Makes the hash of a password, with a new salt. It takes about 50 ms.
    public static func make(_ password: String) throws -> String {
        let salt = RandomBytes.make(16)
        let key = try KDF.Scrypt.deriveKey(
            from: Array(password.utf8), salt: salt, outputByteCount: 32, rounds: 1 << 14, blockSize: 8, parallelism: 1)
        return "scrypt$16384$8$1$\(Base64URL.encode(salt))$\(Base64URL.encode(key.withUnsafeBytes { Array($0) }))"
    }

    /// Whether a password matches; it takes about 50 ms, and must not be called on an event loop.
    public func isMade(of password: String) -> Bool {
        let key = try? KDF.Scrypt.deriveKey(
            from: Array(password.utf8), salt: salt, outputByteCount: 32, rounds: rounds, blockSize: blockSize,
            parallelism: parallelism)
        guard let key else { return false }
        return key.withUnsafeBytes { made in
            zip(made, hash).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0 && made.count == hash.count
        }
    }
}

/// Users with password hashes.
///
/// A verified password is cached for five minutes, as a keyed hash, so that not every request costs 50 ms. Others are
/// checked on two separate threads. Each client (in IPv6, its network) may send 10 wrong passwords a minute; then
/// passwords that are not cached get 429.
public final class PasswordFile: Sendable {
    private struct State {
        var known: [String: Double] = [:]
        var running = 0
    }

    private static let memory: Double = 300
    private static let mostKnown = 10_000
    private static let mostRunning = 16
    private static let wrong = RateRule(10, per: .seconds(60))
    private static let threads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        return pool
    }()

    private let users: ByteDictionary<(hash: PasswordHash, roles: Set<String>)>
    private let key = SymmetricKey(size: .bits256)
    private let state = Mutex(State())
    private let failures = LocalRateStore(maximum: 10_000)
    /// The hash that is compared for unknown users, so that the time does not reveal whether a name exists.
    private let nobody: PasswordHash?

    /// - Parameter users: names, hashes and roles.
    public init(_ users: [(name: String, hash: PasswordHash, roles: Set<String>)]) {
        var all = ByteDictionary<(hash: PasswordHash, roles: Set<String>)>()
        for user in users { all[user.name] = (user.hash, user.roles) }
        self.users = all
        nobody = users.first?.hash
    }

    /// The identity of a name and a password; nil for a wrong one.
    /// - Parameter client: the client whose wrong passwords are counted.
    /// - Throws: ``ServerError`` 429 for a client with too many wrong passwords, 503 while too many passwords are being
    ///   checked.
    public func identity(_ user: String, _ password: String, from client: String) async throws -> Identity? {
        guard user.utf8.count <= 256, password.utf8.count <= 1024 else { return nil }
        let code = HMAC<SHA256>.authenticationCode(for: Array("\(user)\0\(password)".utf8), using: key)
        let mark = Hex.encode(code)
        let entry = users[user]
        let now = Double(NIODeadline.now().uptimeNanoseconds) / 1e9
        if let entry, state.withLock({ $0.known[mark].map { now < $0 } ?? false }) {
            return Identity(user: user, roles: entry.roles, proof: .password)
        }
        guard let hash = entry?.hash ?? nobody else { return nil }
        guard !failures.isExhausted(client, Self.wrong, at: now) else {
            throw ServerError(429, "too many wrong passwords", headers: ["Retry-After": "60"])
        }
        let mayRun = state.withLock { state in
            guard state.running < Self.mostRunning else { return false }
            state.running += 1
            return true
        }
        guard mayRun else {
            throw ServerError(
                .serviceUnavailable, "too many passwords are being checked", headers: ["Retry-After": "1"])
        }
        let isRight = try? await Self.threads.runIfActive { hash.isMade(of: password) }
        state.withLock { state in
            state.running -= 1
            guard isRight == true, entry != nil else { return }
            if state.known.count >= Self.mostKnown { state.known = [:] }
            state.known[mark] = now + Self.memory
        }
        // Nothing was compared: the client has left, or the pool is shutting down.
        guard let isRight else { throw CancellationError() }
        guard isRight, let entry else {
            _ = failures.take(client, Self.wrong, at: now)
            return nil
        }
        return Identity(user: user, roles: entry.roles, proof: .password)
    }
}
