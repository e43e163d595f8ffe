// Rate limits: excess requests are answered with 429, and responses state the remaining quota.

import SkeinCore
import SkeinHTTP
import SkeinTransport
import SkeinWire
import Synchronization

/// Limits the rate of requests.
///
///     engine.mount("/api", api.inside(RateLimit(100, per: .seconds(60)), RateLimit(10_000, per: .seconds(86_400), by: .user, name: "day")))
///
/// Responses carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10). A request beyond the limit is answered with
/// 429 and `Retry-After`, and is not counted.
public struct RateLimit: Middleware {
    /// The key by which requests are counted.
    public enum Subject: Sendable {
        /// The client's address, as the server and trusted proxies know it; in IPv6, its /64 network.
        case client
        /// The identity; without one, the client's address.
        case user
        /// All requests together.
        case all
        /// The key from a closure; nil is not limited.
        case custom(@Sendable (ServerRequest) -> String?)
    }

    /// The behaviour while a shared store is unreachable.
    public enum Failure: Sendable, Hashable {
        /// Requests pass, and a line is logged every ten seconds.
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
    /// The key of the limit in a shared store.
    private let key: String
    private let failure: Failure
    private let complaints = Complaints()
    private let policy: String
    /// Limits without a name are numbered in the order of creation, which is the same in all workers.
    private static let numbers = Atomic<Int>(0)

    /// - Parameters:
    ///   - limit: requests in a window.
    ///   - window: the length of the window.
    ///   - algorithm: the counting algorithm. Default: a token bucket of the limit's size.
    ///   - subject: the key by which requests are counted. Default: each client.
    ///   - name: the name in fields and in a shared store, where limits of one name share their counts. Default:
    ///     `default`.
    ///   - store: the store of the counts. Default: shared by the workers of the server; without a master, this
    ///     process.
    ///   - failure: the behaviour while a shared store is unreachable. Default: requests pass.
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

    /// Forwards requests within the limit.
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

    /// Whole seconds; a custom store may return any value.
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

/// Logs one line for many failures.
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

    /// A client with one IPv6 address usually has a whole network.
    static func network(_ address: String?) -> String {
        guard let address else { return "unix" }
        guard let bytes = IPAddress.bytes(address), bytes.count == 16 else { return address }
        // An IPv4-mapped address, from a dual-stack socket.
        if bytes.prefix(12).elementsEqual([UInt8](repeating: 0, count: 10) + [255, 255]) {
            return IPAddress.text(Array(bytes.suffix(4))) ?? address
        }
        return Hex.encode(bytes.prefix(8))
    }
}
