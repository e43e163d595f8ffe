// A stored response, and its properties by RFC 9111: age, freshness, and the users it may be served to.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A stored response.
struct CacheEntry: Sendable {
    /// The URL of the response.
    let key: String
    /// The request's fields that selected it (Vary), with their values.
    let varying: [String: String]
    /// The hash of the user's credentials; nil for a response that everybody may get.
    let identity: String?
    let status: Int
    let reason: String
    var headers: Headers { didSet { memo = Memo() } }
    var content: ByteBuffer
    /// When the request was sent, and when the response arrived.
    var requested: Date
    var received: Date

    /// The times from its fields, parsed once for many requests.
    private var memo = Memo()

    private final class Memo: Sendable {
        private let freshness = Mutex<Freshness?>(nil)

        func value(_ make: () -> Freshness) -> Freshness {
            freshness.withLock { kept in
                if let kept { return kept }
                let made = make()
                kept = made
                return made
            }
        }
    }

    /// The times from the fields of a response.
    private struct Freshness {
        let isShared: Bool
        let control: CacheControl
        let lifetime: Double
        /// Its age in seconds when it arrived.
        let initialAge: Double
    }

    private func freshness(isShared: Bool) -> Freshness {
        let kept = memo.value { makeFreshness(isShared: isShared) }
        return kept.isShared == isShared ? kept : makeFreshness(isShared: isShared)
    }

    private func makeFreshness(isShared: Bool) -> Freshness {
        let control = CacheControl(response: headers, isShared: isShared)
        let apparent = max(0, received.timeIntervalSince(date("Date") ?? received))
        let corrected = saidAge + received.timeIntervalSince(requested)
        return Freshness(
            isShared: isShared, control: control, lifetime: lifetime(control, isShared: isShared),
            initialAge: max(apparent, corrected))
    }

    /// Its approximate size in bytes.
    var size: Int {
        let varied = varying.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        return content.readableBytes + headers.bytes.readableBytes + key.utf8.count + varied + 512
    }

    /// The tags that it can be purged by, beside its URL.
    var tags: [String] {
        ["Cache-Tag", "Surrogate-Key"].flatMap(headers.values)
            .flatMap { $0.utf8.split { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: " ") } }.map {
                String(Substring($0))
            }
    }

    /// An entry for a response, if it may be stored (section 3), without its content.
    init?(
        _ response: HTTPResponse, to request: HTTPRequest, of asker: CacheAsker, isShared: Bool, requested: Date,
        received: Date
    ) {
        let control = CacheControl(response: response.headers, isShared: isShared)
        guard request.method == .get, response.failure == nil, response.statusCode != 206, response.statusCode != 304,
            response.statusCode >= 200, Self.mayStore(control, response.statusCode),
            !CacheControl(request.headers).contains("no-store"), let varying = Self.varying(response.headers, asker)
        else { return nil }
        if isShared {
            if control.contains("private") { return nil }
            if asker.isAuthorized, !Self.mayBeShared(control) { return nil }
        }
        let isExplicit =
            control.seconds("max-age") != nil || isShared && control.seconds("s-maxage") != nil
            || !control.isTargeted && response.headers.contains("Expires") || control.contains("public")
        guard isExplicit || Self.heuristicStatuses.contains(response.statusCode) else { return nil }
        // A response that depends on a user's identity, or sets one, is shared only if its server allows it explicitly.
        let isPersonal = asker.fields.contains("Cookie") || response.headers.contains("Set-Cookie")
        if isShared, isPersonal, !isExplicit { return nil }
        key = Self.key(request)
        self.varying = varying
        // A private cache, too, may be used with several sets of credentials.
        identity = isShared || control.contains("public") ? nil : asker.identity
        status = response.statusCode
        reason = response.reason
        headers = Self.kept(response.headers)
        if !headers.known.contains(.date) { headers["Date"] = HTTPDate.text(received) }
        content = ByteBuffer()
        self.requested = requested
        self.received = received
        // Neither fresh nor possible to validate: the entry would never be used.
        let mayBeStale = ["stale-while-revalidate", "stale-if-error"].contains(where: control.contains)
        if lifetime(isShared: isShared) <= 0, !hasValidator, !mayBeStale { return nil }
    }

    init(
        key: String, varying: [String: String], identity: String?, status: Int, reason: String, headers: Headers,
        content: ByteBuffer, requested: Date, received: Date
    ) {
        self.key = key
        self.varying = varying
        self.identity = identity
        self.status = status
        self.reason = reason
        self.headers = headers
        self.content = content
        self.requested = requested
        self.received = received
    }

    /// The statuses that may be stored without an explicit directive (RFC 9110, section 15.1).
    private static let heuristicStatuses: Set<Int> = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]
    /// The statuses that this cache understands (RFC 9111, section 5.2.2.3).
    private static let understoodStatuses = heuristicStatuses.union([302, 303, 307, 400, 403, 500, 502, 503, 504])

    /// Whether a response to a request with credentials may be served to other users (section 3.5).
    private static func mayBeShared(_ control: CacheControl) -> Bool {
        ["public", "s-maxage", "must-revalidate"].contains(where: control.contains)
    }

    private static func mayStore(_ control: CacheControl, _ status: Int) -> Bool {
        if control.contains("must-understand") { return understoodStatuses.contains(status) }
        return !control.contains("no-store")
    }

    static func key(_ request: HTTPRequest) -> String { request.cacheKey ?? request.url.description }

    /// The fields that are stored: all but those of the connection (section 3.1).
    private static func kept(_ headers: Headers) -> Headers {
        var kept = headers
        for field in headers.values("Connection") {
            for name in field.splitBytes(separator: ",") { kept.remove(String(name.trimmingBlanks())) }
        }
        for name in [
            "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info",
            "Proxy-Authorization", "TE", "Transfer-Encoding", "Upgrade",
        ] { kept.remove(name) }
        return kept
    }

    // MARK: Selection

    /// The request's fields that the response varies by; nil for `Vary: *`.
    private static func varying(_ headers: Headers, _ asker: CacheAsker) -> [String: String]? {
        var varying: [String: String] = [:]
        for name in headers.values("Vary").flatMap({ $0.splitBytes(separator: ",") }) {
            let name = name.trimmingBlanks().lowercased()
            if name == "*" { return nil }
            if !name.isEmpty { varying[name] = asker.value(name) }
        }
        return varying
    }

    /// Whether it matches the fields of a request (section 4.1).
    func answers(_ asker: CacheAsker) -> Bool {
        (identity == nil || identity == asker.identity)
            && varying.allSatisfy { asker.value($0.key).equalsBytes($0.value) }
    }

    /// The name that distinguishes it from other variants of its URL.
    var variant: String {
        let fields = varying.sorted { $0.key < $1.key }.map { "\n\($0.key): \($0.value)" }.joined()
        return (identity.map { "for \($0)" } ?? "for all") + fields
    }

    // MARK: Time

    func date(_ name: String) -> Date? {
        let values = headers.values(name)
        return values.count == 1 ? HTTPDate.strict(values[0]).map { Date(timeIntervalSince1970: Double($0)) } : nil
    }

    /// Seconds since the origin server generated it (section 4.2.3).
    func age(isShared: Bool, _ now: Date) -> Double {
        freshness(isShared: isShared).initialAge + max(0, now.timeIntervalSince(received))
    }

    /// The first value of the Age field; a value that is not a number is ignored (section 5.1).
    private var saidAge: Double {
        guard let first = headers.values("Age").first?.prefix(before: ",").trimmingBlanks(), !first.isEmpty,
            first.utf8.allSatisfy(Bytes.isDigit)
        else { return 0 }
        return min(Double(first) ?? 0, Double(Int32.max))
    }

    /// Seconds for which it is fresh (section 4.2.1).
    func lifetime(isShared: Bool) -> Double { freshness(isShared: isShared).lifetime }

    private func lifetime(_ control: CacheControl, isShared: Bool) -> Double {
        if isShared, let seconds = control.seconds("s-maxage") { return seconds }
        if let seconds = control.seconds("max-age") { return seconds }
        let made = date("Date") ?? received
        if !control.isTargeted, headers.contains("Expires") {
            return date("Expires").map { $0.timeIntervalSince(made) } ?? 0
        }
        // Heuristic freshness: a tenth of the time since the last change, one day at most (section 4.2.2).
        guard Self.heuristicStatuses.contains(status) || control.contains("public"), let changed = date("Last-Modified")
        else { return 0 }
        return min(86400, max(0, made.timeIntervalSince(changed) / 10))
    }

    /// The way in which a request may use it (section 4).
    func use(for request: HTTPRequest, isShared: Bool, now: Date) -> Use {
        let asked = CacheControl(request.headers)
        let control = freshness(isShared: isShared).control
        let age = age(isShared: isShared, now)
        let lifetime = lifetime(isShared: isShared)
        if asked.contains("no-cache") || control.contains("no-cache") { return .revalidate }
        if let limit = asked.seconds("max-age"), age > limit || limit == 0 { return .revalidate }
        if let margin = asked.seconds("min-fresh"), lifetime - age < margin { return .revalidate }
        if age < lifetime { return .serve }
        if forbidsStale(control, isShared: isShared) { return .revalidate }
        if asked.contains("max-stale"),
            age - lifetime <= (asked.isPlain("max-stale") ? .infinity : asked.seconds("max-stale") ?? 0)
        {
            return .serve
        }
        if let window = control.seconds("stale-while-revalidate"), age - lifetime <= window {
            return .serveAndRevalidate
        }
        return .revalidate
    }

    enum Use {
        case serve
        /// Serve it, and revalidate it in the background (RFC 5861, section 3).
        case serveAndRevalidate
        case revalidate
    }

    /// Whether it must not be served once it is stale (section 4.2.4).
    private func forbidsStale(_ control: CacheControl, isShared: Bool) -> Bool {
        control.contains("must-revalidate") || control.contains("no-cache")
            || isShared && (control.contains("proxy-revalidate") || control.contains("s-maxage"))
    }

    /// Seconds for which it stays fresh, negative when it is stale.
    func remaining(isShared: Bool, now: Date) -> Double {
        lifetime(isShared: isShared) - age(isShared: isShared, now)
    }

    /// Whether it may be served when the server fails (RFC 5861, section 4), or is unreachable (RFC 9111, section
    /// 4.2.4).
    /// - Parameters:
    ///   - isUnreachable: whether the server sent no response at all.
    ///   - grace: seconds for which it may be served then.
    func mayReplaceError(
        for request: HTTPRequest, isShared: Bool, isUnreachable: Bool, grace: Double, now: Date
    ) -> Bool {
        let control = freshness(isShared: isShared).control
        if forbidsStale(control, isShared: isShared) { return false }
        let window = control.seconds("stale-if-error") ?? CacheControl(request.headers).seconds("stale-if-error")
        let limit = window ?? (isUnreachable ? grace : nil)
        return limit.map { -remaining(isShared: isShared, now: now) <= $0 } ?? false
    }

    // MARK: Validation

    var hasValidator: Bool { headers.contains("ETag") || headers.contains("Last-Modified") }

    /// The request that validates it (section 4.3.1).
    func validation(of request: HTTPRequest) -> HTTPRequest {
        var validation = request
        for name in ["If-Range", "Range", "If-None-Match", "If-Modified-Since"] { validation.headers.remove(name) }
        for (name, condition) in [("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")] {
            guard let value = headers.rawValue(name) else { continue }
            validation.headers.add(condition, bytes: value)
        }
        return validation
    }

    /// Whether a 304 applies to it (section 4.3.4).
    func isMeant(by response: HTTPResponse) -> Bool {
        guard let tag = response.headers["ETag"], let own = headers["ETag"] else { return true }
        return Self.opaque(tag).equalsBytes(Self.opaque(own))
    }

    /// The entry after a successful validation (section 3.2); nil when the new fields forbid storing it.
    func refreshed(
        by response: HTTPResponse, of asker: CacheAsker, isShared: Bool, requested: Date, received: Date
    ) -> CacheEntry? {
        var fresh = self
        fresh.memo = Memo()
        fresh.requested = requested
        fresh.received = received
        fresh.headers.remove("Age")
        var news = Self.kept(response.headers)
        for name in ["Content-Length", "Content-Encoding", "Content-Type", "Content-Range"] { news.remove(name) }
        if !news.contains("Date") { news["Date"] = HTTPDate.text(received) }
        if isShared { for name in ["Set-Cookie", "Set-Cookie2"] { news.remove(name) } }
        fresh.headers.merge(news)
        let control = CacheControl(response: fresh.headers, isShared: isShared)
        guard Self.mayStore(control, status), !isShared || !control.contains("private"),
            !isShared || !asker.isAuthorized || Self.mayBeShared(control),
            Self.varying(fresh.headers, asker) != nil
        else { return nil }
        return fresh
    }
}
