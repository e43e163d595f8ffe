// A response that is kept, and what RFC 9111 says of it: how old it is, how long it is fresh, whom it may be shown.

import NIOCore
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A kept response.
struct CacheEntry: Sendable {
    /// The URL it answers.
    let key: String
    /// The request's fields by which it was chosen (Vary), with their values.
    let varying: [String: String]
    /// Whose it is; nil when it is for everybody.
    let identity: String?
    let status: Int
    let reason: String
    var headers: Headers
    let content: ByteBuffer
    /// When it was asked for, and when it came.
    var requested: Date
    var received: Date

    /// Bytes that it takes, about.
    var size: Int { content.readableBytes + headers.bytes.readableBytes + key.utf8.count + 512 }

    /// An entry for a response, if it may be kept (section 3).
    init?(
        _ response: HTTPResponse, to request: HTTPRequest, of asker: CacheAsker, isShared: Bool, requested: Date,
        received: Date
    ) {
        let control = CacheControl(response.headers)
        guard request.method == .get, response.failure == nil, response.stream == nil, response.statusCode != 206,
            response.statusCode != 304, !control.contains("no-store"),
            !CacheControl(request.headers).contains("no-store"), let varying = Self.varying(response.headers, asker)
        else { return nil }
        if isShared {
            if control.contains("private") { return nil }
            let mayBeShared = ["public", "s-maxage", "must-revalidate"].contains(where: control.contains)
            if asker.fields.contains("Authorization"), !mayBeShared { return nil }
        }
        let isExplicit =
            control.seconds("max-age") != nil || isShared && control.seconds("s-maxage") != nil
            || response.headers.contains("Expires") || control.contains("public")
        guard isExplicit || Self.heuristicStatuses.contains(response.statusCode) else { return nil }
        key = Self.key(request)
        self.varying = varying
        // One user's cache, too, may be asked with more than one name and password.
        identity = isShared || control.contains("public") ? nil : asker.identity
        status = response.statusCode
        reason = response.reason
        headers = response.headers
        content = response.content
        self.requested = requested
        self.received = received
        // Neither fresh nor to be asked about: it would never be of use.
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

    /// The statuses that may be kept without being told so (RFC 9110, section 15.1).
    private static let heuristicStatuses: Set<Int> = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]

    static func key(_ request: HTTPRequest) -> String { request.url.description }

    // MARK: Choosing

    /// The request's fields that the response varies by; nil when by anything at all.
    private static func varying(_ headers: Headers, _ asker: CacheAsker) -> [String: String]? {
        var varying: [String: String] = [:]
        for name in headers.values("Vary").flatMap({ $0.splitBytes(separator: ",") }) {
            let name = name.trimmingBlanks().lowercased()
            if name == "*" { return nil }
            varying[name] = asker.value(name)
        }
        return varying
    }

    /// Whether it is an answer for somebody who asks with such fields (section 4.1).
    func answers(_ asker: CacheAsker) -> Bool {
        (identity == nil || identity == asker.identity)
            && varying.allSatisfy { asker.value($0.key).equalsBytes($0.value) }
    }

    /// What tells it from others for its URL.
    var variant: String {
        let fields = varying.sorted { $0.key < $1.key }.map { "\n\($0.key): \($0.value)" }.joined()
        return (identity.map { "for \($0)" } ?? "for all") + fields
    }

    // MARK: Time

    private func date(_ name: String) -> Date? { headers[name].flatMap(HTTPDate.parse) }

    /// Seconds since it was made (section 4.2.3).
    func age(_ now: Date) -> Double {
        let apparent = max(0, received.timeIntervalSince(date("Date") ?? received))
        let said = headers["Age"].flatMap { UInt32($0) }.map(Double.init) ?? 0
        let corrected = said + received.timeIntervalSince(requested)
        return max(apparent, corrected) + now.timeIntervalSince(received)
    }

    /// Seconds for which it is fresh (section 4.2.1).
    func lifetime(isShared: Bool) -> Double {
        let control = CacheControl(headers)
        if isShared, let seconds = control.seconds("s-maxage") { return seconds }
        if let seconds = control.seconds("max-age") { return seconds }
        let made = date("Date") ?? received
        if headers.contains("Expires") { return date("Expires").map { $0.timeIntervalSince(made) } ?? 0 }
        // A guess, for what says nothing: a tenth of the time that it was left alone, a day at most (section 4.2.2).
        guard Self.heuristicStatuses.contains(status), let changed = date("Last-Modified") else { return 0 }
        return min(86400, max(0, made.timeIntervalSince(changed) / 10))
    }

    /// What can be done with it for a request (section 4).
    func use(for request: HTTPRequest, isShared: Bool, now: Date) -> Use {
        let asked = CacheControl(request.headers)
        let control = CacheControl(headers)
        let age = age(now)
        let lifetime = lifetime(isShared: isShared)
        if asked.contains("no-cache") || control.isPlain("no-cache") { return .revalidate }
        if let limit = asked.seconds("max-age"), age > limit { return .revalidate }
        if let margin = asked.seconds("min-fresh"), lifetime - age < margin { return .revalidate }
        if age < lifetime { return .serve }
        let isStrict = control.contains("must-revalidate") || isShared && control.contains("proxy-revalidate")
        if isStrict { return .revalidate }
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
        /// Serve it, and ask the server behind the caller's back (RFC 5861, section 3).
        case serveAndRevalidate
        case revalidate
    }

    /// Whether it may be shown when the server fails (RFC 5861, section 4).
    func mayReplaceError(for request: HTTPRequest, isShared: Bool, now: Date) -> Bool {
        let control = CacheControl(headers)
        if control.contains("must-revalidate") || isShared && control.contains("proxy-revalidate") { return false }
        let window = control.seconds("stale-if-error") ?? CacheControl(request.headers).seconds("stale-if-error")
        guard let window else { return false }
        return age(now) - lifetime(isShared: isShared) <= window
    }

    // MARK: Validation

    var hasValidator: Bool { headers.contains("ETag") || headers.contains("Last-Modified") }

    /// The request that asks whether it is still right (section 4.3.1).
    func validation(of request: HTTPRequest) -> HTTPRequest {
        var validation = request
        for (name, condition) in [("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")] {
            guard let value = headers.rawValue(name) else { continue }
            validation.headers.remove(condition)
            validation.headers.add(condition, bytes: value)
        }
        return validation
    }

    /// The entry after the server said that it is still right (section 3.2).
    func refreshed(by response: HTTPResponse, requested: Date, received: Date) -> CacheEntry {
        var fresh = self
        fresh.requested = requested
        fresh.received = received
        fresh.headers.remove("Age")
        var news = response.headers
        for name in ["Content-Length", "Content-Encoding", "Content-Range", "Transfer-Encoding", "Connection"] {
            news.remove(name)
        }
        fresh.headers.merge(news)
        return fresh
    }
}
