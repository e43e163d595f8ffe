// Limits of requests in time: what is too much is answered with 429, and everybody is told how much is left.

import SkeinCore
import SkeinHTTP
import SkeinTransport
import SkeinWire
import Synchronization

/// Limits requests in time.
///
///     engine.mount("/api", api.inside(RateLimit(100, per: .seconds(60)), RateLimit(10_000, per: .seconds(86_400), by: .user, name: "day")))
///
/// Responses carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). A request beyond the limit is answered with
/// 429 and `Retry-After`, and is not counted.
public struct RateLimit: Middleware {
    /// For whom requests are counted.
    public enum Subject: Sendable {
        /// The client's address, as the server and trusted proxies know it; of IPv6, its network of 64 bits.
        case client
        /// The identity; without one, the client's address.
        case user
        /// All requests together, of whatever the limit stands around.
        case all
        /// Whatever a closure says; nil is not limited.
        case custom(@Sendable (ServerRequest) -> String?)
    }

    /// What happens while a shared store cannot be reached.
    public enum Failure: Sendable, Hashable {
        /// Requests pass, and the log has a line every ten seconds.
        case open
        /// Requests are answered with 503.
        case closed
    }

    /// The limit.
    public let rule: RateRule
    /// Its name in fields.
    public let name: String
    private let subject: Subject
    private let store: (any RateStore)?
    /// The limit among those of a shared store.
    private let key: String
    private let failure: Failure
    private let complaints = Complaints()
    private let policy: String
    /// Limits without a name are told apart by the order in which a program makes them, which is the same in all its workers.
    private static let numbers = Atomic<Int>(0)

    /// - Parameters:
    ///   - limit: requests in a window.
    ///   - window: its length.
    ///   - algorithm: how they are counted. Default: a token bucket of the limit's size.
    ///   - subject: for whom. Default: each client.
    ///   - name: of the limit, in fields and in a shared store, where limits of one name are one. Default: `default`.
    ///   - store: where the meters are. Default: where the workers of the server share them; without a master, this process.
    ///   - failure: what happens while a shared store cannot be reached. Default: requests pass.
    public init(
        _ limit: Int, per window: Duration, _ algorithm: RateRule.Algorithm = .tokenBucket(),
        by subject: Subject = .client,
        name: String = "default", store: (any RateStore)? = nil, whenUnavailable failure: Failure = .open
    ) {
        rule = RateRule(limit, per: window, algorithm)
        self.subject = subject
        self.name = HTTPText.unquotable(name)
        self.store = store
        let number = Self.numbers.wrappingAdd(1, ordering: .relaxed).newValue
        key = name.equalsBytes("default") ? "\(number)" : name
        self.failure = failure
        policy = "\"\(self.name)\";q=\(rule.limit);w=\(max(1, Int(rule.window.rounded(.up))))"
    }

    /// Forwards what is within the limit.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        guard let subject = subject.name(of: request) else { return try await next.respond(to: request) }
        let now = Double(request.shard.now.uptimeNanoseconds) / 1e9
        let decision: RateDecision
        do {
            if let store {
                decision = try await store.take("\(name) \(subject)", rule, at: now)
            } else {
                decision = try await request.scope.owner.context.rates.take(
                    "\(key) \(subject)", rule, at: now)
            }
        } catch {
            guard isOpen(error, request, at: now) else {
                throw ServerError(
                    .serviceUnavailable, "requests cannot be counted right now", headers: ["Retry-After": "5"])
            }
            return try await next.respond(to: request)
        }
        let left = "\"\(name)\";r=\(max(0, decision.remaining));t=\(Self.seconds(decision.reset))"
        guard decision.isAllowed else {
            throw ServerError(
                429, "more than \(rule.limit) requests in \(Self.text(rule.window))",
                headers: [
                    "Retry-After": String(max(1, Self.seconds(decision.retryAfter))), "RateLimit-Policy": policy,
                    "RateLimit": left,
                ])
        }
        var response = try await next.respond(to: request)
        response.headers.add("RateLimit-Policy", policy)
        response.headers.add("RateLimit", left)
        return response
    }

    private func isOpen(_ error: any Error, _ request: ServerRequest, at now: Double) -> Bool {
        if complaints.isDue(at: now) {
            request.scope.owner.context.configuration.logger.warning(
                "requests for the limit \(name) cannot be counted: \(error)")
        }
        return failure == .open
    }

    /// Whole seconds; a store of somebody else's may say anything.
    private static func seconds(_ value: Double) -> Int { value > 0 ? Int(min(value, 1e9).rounded(.up)) : 0 }

    private static func text(_ seconds: Double) -> String {
        switch seconds {
        case 1: "a second"
        case 60: "a minute"
        case 3600: "an hour"
        case 86_400: "a day"
        default: "\(seconds.formatted) s"
        }
    }
}

/// One line in the log for many failures.
final class Complaints: Sendable {
    private let last = Mutex<Double?>(nil)

    func isDue(at now: Double) -> Bool {
        last.withLock { last in
            guard last.map({ now - $0 > 10 }) ?? true else { return false }
            last = now
            return true
        }
    }
}

extension Double {
    fileprivate var formatted: String { self == rounded() ? String(Int(self)) : String(self) }
}

extension RateLimit.Subject {
    func name(of request: ServerRequest) -> String? {
        switch self {
        case .client: "address \(Self.network(request.clientAddress))"
        case .user: request.identity.map { "user \($0.user)" } ?? "address \(Self.network(request.clientAddress))"
        case .all: "all"
        case .custom(let name): name(request)
        }
    }

    /// Who has one address of IPv6 has a whole network of them.
    static func network(_ address: String?) -> String {
        guard let address else { return "unix" }
        guard let bytes = IPAddress.bytes(address), bytes.count == 16 else { return address }
        // An address of IPv4 on a socket of both versions.
        if bytes.prefix(12).elementsEqual([UInt8](repeating: 0, count: 10) + [255, 255]) {
            return IPAddress.text(Array(bytes.suffix(4))) ?? address
        }
        return Hex.encode(bytes.prefix(8))
    }
}
