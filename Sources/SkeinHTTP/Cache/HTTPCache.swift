// A cache between the callers and the servers (RFC 9111).

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Answers requests with stored responses where the servers allow it, and revalidates them.
///
/// As a client layer, put it into `http.layers`; sessions of one user may share one cache. As a shared cache (`isShared: true`), set it as
/// `cache` of an engine's upstream. `response.cacheUse` tells what the cache did.
///
/// In a private cache, a response to a request with its own credentials or cookies is served only to requests with the same ones, unless
/// it is `public`. Concurrent misses of one URL are merged into one request. Ranges, `HEAD` and conditional requests are answered from
/// complete entries. Bypassed are requests whose credentials change each time (digest, OAuth, SigV4), that turn decompression off, that
/// check type or size, and ranges of responses that are not stored.
public final class HTTPCache: HTTPLayer {
    private let store: any CacheStore
    private let isShared: Bool
    private let maximumEntrySize: Int
    private let now: @Sendable () -> Date
    private let fills = CacheFills()
    /// The revalidations in the background.
    private let underWay = Mutex<Set<String>>([])
    private let counts = CacheCounts()
    private let removals = CacheRemovals()

    /// The longest wait for another caller's response; then the server gets its own request.
    private static let longestWait: Duration = .seconds(5)
    /// How many other callers' responses a caller waits for in a row, if none of them is stored.
    private static let mostWaits = 3
    /// Seconds for which a stale response may be served while its server is unreachable, unless the server states
    /// otherwise.
    private static let grace: Double = 3600
    private static let largestEntry = 32 << 20

    private init(_ store: any CacheStore, _ maximum: Int, isShared: Bool, now: @escaping @Sendable () -> Date) {
        self.store = store
        self.isShared = isShared
        self.now = now
        maximumEntrySize = min(maximum / 8, Self.largestEntry)
    }

    /// A cache in memory.
    /// - Parameters:
    ///   - maximumBytes: the capacity; one response may take an eighth of it, 32 MiB at most. Default: 64 MiB.
    ///   - isShared: whether it serves more than one user, so that it stores no private responses. Default: false.
    public static func memory(maximumBytes: Int = 64 << 20, isShared: Bool = false) -> HTTPCache {
        memory(maximumBytes: maximumBytes, isShared: isShared, now: { Date() })
    }

    package static func memory(
        maximumBytes: Int, isShared: Bool, now: @escaping @Sendable () -> Date
    ) -> HTTPCache {
        HTTPCache(MemoryCacheStore(maximum: maximumBytes), maximumBytes, isShared: isShared, now: now)
    }

    /// A cache in a folder, which persists across processes.
    /// - Parameters:
    ///   - folder: created if it does not exist, for its owner alone.
    ///   - maximumBytes: the capacity; one response may take an eighth of it, 32 MiB at most. Default: 256 MiB.
    ///   - memory: bytes of the most requested entries that are held in memory, too. Default: none.
    ///   - isShared: whether it serves more than one user, so that it stores no private responses. Default: false.
    /// - Throws: code 701 when the folder cannot be used.
    public static func disk(
        _ folder: String, maximumBytes: Int = 256 << 20, memory: Int = 0, isShared: Bool = false
    ) throws(SkeinError) -> HTTPCache {
        let disk = try DiskCacheStore(folder: folder, maximum: maximumBytes)
        let store: any CacheStore = memory > 0 ? TieredCacheStore(MemoryCacheStore(maximum: memory), disk) : disk
        return HTTPCache(store, maximumBytes, isShared: isShared, now: { Date() })
    }

    /// Its counts so far.
    public var statistics: CacheStatistics { counts.statistics }

    // MARK: Purging

    /// Removes the stored responses of a URL.
    /// - Parameter url: the URL as requested, without a fragment.
    public func purge(_ url: String) async { await forget(url) }

    private func forget(_ key: String) async {
        removals.note(key)
        await store.remove(key)
    }

    /// Removes the stored responses of all URLs with a prefix.
    /// - Returns: the number of removed responses.
    @discardableResult
    public func purge(prefix: String) async -> Int {
        removals.noteAll()
        return await store.remove { key, _ in key.hasBytePrefix(prefix) }
    }

    /// Removes the stored responses with a tag from a `Cache-Tag` or `Surrogate-Key` field.
    /// - Returns: the number of removed responses.
    @discardableResult
    public func purge(tag: String) async -> Int {
        removals.noteAll()
        return await store.remove { _, tags in tags.contains { $0.equalsBytes(tag) } }
    }

    // MARK: Requests

    /// Answers a request from the cache, or sends it to the server and stores the response.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        guard request.method == .get || request.method == .head, let asker = CacheAsker(request, next.context) else {
            return await pass(request, next: next)
        }
        // The cache key covers the URL only, not request content.
        guard request.body.length == .none else { return note(await next.send(request), request, .miss, "fwd=bypass") }
        let asked = CacheControl(request.headers)
        guard !asked.contains("no-store") else { return note(await next.send(request), request, .miss, "fwd=request") }
        let key = CacheEntry.key(request)
        var waits = 0
        while true {
            let kept = await store.entries(key).filter { $0.answers(asker) }.max { $0.received < $1.received }
            switch kept?.use(for: request, isShared: isShared, now: now()) {
            case .serve?: if let kept { return serve(kept, request, .hit, next) }
            case .serveAndRevalidate?:
                if let kept {
                    revalidateLater(kept, request, asker, next: next)
                    return serve(kept, request, .stale, next)
                }
            case .revalidate?, nil: break
            }
            if asked.contains("only-if-cached") { return next.answer(request, HTTPStatus(504)) }
            let isPart = request.headers.contains("Range")
            if request.method == .head || isPart && kept?.hasValidator != true {
                return await passHead(request, kept, asker, next: next)
            }
            let shard = next.context.session.pickShard()
            switch fills.begin(key, at: shard.now) {
            case .behind where waits < Self.mostWaits:
                waits += 1
                if !(await fills.wait(for: key, upTo: Self.longestWait, on: shard)) { waits = Self.mostWaits }
            case .first:
                let fill = CacheFill(fills, key, shard)
                return await fetch(request, kept, asker, fill, next: next)
            case .alone, .behind: return await fetch(request, kept, asker, nil, next: next)
            }
        }
    }

    /// Passes a request for a head, or for a range that is not stored. A head that differs invalidates the stored
    /// response (section 4.3.5).
    private func passHead(
        _ request: HTTPRequest, _ kept: CacheEntry?, _ asker: CacheAsker, next: HTTPService
    ) async -> HTTPResponse {
        let requested = now()
        let response = await next.send(request)
        if let kept, request.method == .head, response.statusCode == 200 {
            let said = ["ETag", "Last-Modified", "Content-Length"].compactMap { name in
                response.headers[name].map { said in kept.headers[name].map { $0.equalsBytes(said) } ?? true }
            }
            let refreshed = kept.refreshed(
                by: response, of: asker, isShared: isShared, requested: requested, received: now())
            if let refreshed, said.allSatisfy({ $0 }) {
                if !said.isEmpty { await store.keep(refreshed) }
            } else {
                await forget(kept.key)
            }
        }
        return note(response, request, .miss, kept == nil ? "fwd=uri-miss" : "fwd=stale")
    }

    /// Passes a request that the cache does not answer. An unsafe method invalidates the stored responses (section
    /// 4.4).
    private func pass(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let response = await next.send(request)
        guard !request.method.isSafe, (200..<400).contains(response.statusCode) else { return response }
        let key = CacheEntry.key(request)
        await forget(key)
        guard let url = try? HTTPURL(key) else { return response }
        for name in ["Location", "Content-Location"] {
            guard let field = response.header(name), let other = try? url.resolving(field), other.origin == url.origin
            else { continue }
            await forget(other.description)
        }
        return response
    }

    /// Sends a request to the server, for the content or for validation.
    private func fetch(
        _ request: HTTPRequest, _ kept: CacheEntry?, _ asker: CacheAsker, _ fill: CacheFill?, next: HTTPService
    ) async -> HTTPResponse {
        let requested = now()
        let mark = removals.mark(CacheEntry.key(request))
        let mayValidate = kept?.hasValidator == true
        var response = await next.send(mayValidate ? kept?.validation(of: request) ?? request : request)
        if let kept, mayValidate, response.failure == nil, response.statusCode == 304 {
            if kept.isMeant(by: response) {
                guard
                    let fresh = kept.refreshed(
                        by: response, of: asker, isShared: isShared, requested: requested, received: now())
                else {
                    // It is current for this caller, but must not be served to others any more.
                    await forget(kept.key)
                    fill?.end(.refused)
                    return serve(kept, request, .revalidated, next)
                }
                if removals.isValid(mark, kept.key) { await store.keep(fresh) }
                fill?.end(.kept)
                return serve(fresh, request, .revalidated, next)
            }
            response = await next.send(request)
        }
        if let kept, replacesError(kept, request, response) {
            fill?.end(.kept)
            return serve(kept, request, .stale, next)
        }
        let isServerError = response.failure != nil || response.statusCode >= 500
        let state = kept == nil ? "fwd=uri-miss" : "fwd=stale; fwd-status=\(response.statusCode)"
        // A redirected response belongs to another URL, and is stored there.
        guard response.history.isEmpty,
            let entry = CacheEntry(
                response, to: request, of: asker, isShared: isShared, requested: requested, received: now())
        else {
            // A newer response that may not be stored still removes the older one.
            if let kept, !isServerError, response.statusCode != 304 { await forget(kept.key) }
            fill?.end(isServerError || response.statusCode == 304 ? .failed : .refused)
            return note(response, request, .miss, state)
        }
        return await keep(response, as: entry, mark, request, fill, state, next)
    }

    /// Passes a response on, and stores it.
    private func keep(
        _ response: HTTPResponse, as entry: CacheEntry, _ mark: CacheRemovals.Mark, _ request: HTTPRequest,
        _ fill: CacheFill?, _ state: String, _ next: HTTPService
    ) async -> HTTPResponse {
        if case .known(let length) = response.bodyLength, length > maximumEntrySize {
            fill?.end(.refused)
            return note(response, request, .miss, state)
        }
        guard let stream = response.stream else {
            await keep(response.content, as: entry, mark, fill)
            return note(response, request, .miss, "\(state); stored")
        }
        if let whole = stream.inlet.takeWhole(upTo: maximumEntrySize) {
            let trailers = whole.ending
            if trailers?.isEmpty ?? true { await keep(whole.bytes, as: entry, mark, fill) } else { fill?.end(.refused) }
            let copy = BodyStream(source: nil)
            if whole.bytes.readableBytes > 0 { copy.push(whole.bytes) }
            copy.finish(trailers)
            return note(response.with { $0.stream = copy }, request, .miss, "\(state); stored")
        }
        let copy = CacheTee.start(stream, keeping: maximumEntrySize, on: next.context.session.pickShard()) { content in
            if let content { await self.keep(content, as: entry, mark, fill) } else { fill?.end(.failed) }
        }
        return note(response.with { $0.stream = copy }, request, .miss, "\(state); stored")
    }

    private func keep(
        _ content: ByteBuffer, as entry: CacheEntry, _ mark: CacheRemovals.Mark, _ fill: CacheFill?
    ) async {
        var entry = entry
        entry.content = content
        let fits = entry.size <= maximumEntrySize
        if fits, removals.isValid(mark, entry.key) { await store.keep(entry) }
        fill?.end(fits ? .kept : .refused)
    }

    private func replacesError(_ kept: CacheEntry, _ request: HTTPRequest, _ response: HTTPResponse) -> Bool {
        let isError = response.failure != nil || [500, 502, 503, 504].contains(response.statusCode)
        guard isError, response.failure?.code != .cancelled,
            kept.mayReplaceError(
                for: request, isShared: isShared, isUnreachable: response.failure != nil, grace: Self.grace, now: now())
        else { return false }
        response.stream?.cancel()
        return true
    }

    /// Revalidates in the background, once for all callers.
    private func revalidateLater(
        _ kept: CacheEntry, _ request: HTTPRequest, _ asker: CacheAsker, next: HTTPService
    ) {
        guard underWay.withLock({ $0.insert(kept.key).inserted }) else { return }
        var request = request
        request.method = .get
        request.isStreamed = false
        for name in ["Range", "If-Range", "If-None-Match", "If-Modified-Since"] { request.headers.remove(name) }
        if request.isForwarded {
            request.interimResponses = nil
            request.maximumBodySize = maximumEntrySize
        }
        let plain = request
        next.context.session.beginWork()
        Task.detached {
            _ = await self.fetch(plain, kept, asker, nil, next: next)
            self.underWay.withLock { _ = $0.remove(kept.key) }
            next.context.session.ended()
        }
    }

    // MARK: Responses

    /// A stored response, or the requested range of it.
    private func serve(
        _ entry: CacheEntry, _ request: HTTPRequest, _ use: CacheUse, _ next: HTTPService
    ) -> HTTPResponse {
        var headers = entry.headers
        headers.remove("Age")
        headers.add("Age", String(Int(max(0, entry.age(isShared: isShared, now())))))
        let state =
            switch use {
            case .revalidated: "hit; fwd=stale; fwd-status=304"
            default: "hit; ttl=\(Int(entry.remaining(isShared: isShared, now: now())))"
            }
        let (status, content) = entry.answer(to: request, &headers)
        return note(next.answer(request, status, headers: headers, content: content), request, use, state)
    }

    /// Reports the cache's part in a response: to its caller, and to clients of a proxy (RFC 9211).
    private func note(_ response: HTTPResponse, _ request: HTTPRequest, _ use: CacheUse, _ state: String)
        -> HTTPResponse
    {
        counts.add(use)
        response.note(use)
        guard request.isForwarded, response.failure == nil else { return response }
        return response.with { $0.head?.headers.add("Cache-Status", "skein; \(state)") }
    }
}
