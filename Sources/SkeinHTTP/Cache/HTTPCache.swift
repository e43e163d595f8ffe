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

/// Answers requests with what servers have said before, as far as they allowed that, and asks them whether it is still right.
///
/// A layer: put it into `http.layers`, and share the value between sessions of one user to share what is kept.
/// `response.cacheUse` tells what it did. What was asked for with credentials or cookies of the request's own is shown to those
/// alone who bring the same, unless it is `public`. Requests whose credentials are made anew each time (digest, OAuth, SigV4),
/// that want compressed content as it is, or that check type or size, go past it. Streamed requests are answered from it, but
/// what they bring is not kept; neither is a part of a file.
public final class HTTPCache: HTTPLayer {
    private let store: any CacheStore
    private let isShared: Bool
    private let maximumEntrySize: Int
    private let now: @Sendable () -> Date
    /// What is being asked behind the callers' backs.
    private let underWay = Mutex<Set<String>>([])

    private init(_ store: any CacheStore, _ maximum: Int, isShared: Bool, now: @escaping @Sendable () -> Date) {
        self.store = store
        self.isShared = isShared
        self.now = now
        maximumEntrySize = maximum / 8
    }

    /// A cache in memory.
    /// - Parameters:
    ///   - maximumBytes: of all that is kept; an answer may take an eighth of it. Default: 64 MiB.
    ///   - isShared: whether it serves more than one user, so that it keeps nothing that is private. Default: false.
    public static func memory(maximumBytes: Int = 64 << 20, isShared: Bool = false) -> HTTPCache {
        memory(maximumBytes: maximumBytes, isShared: isShared, now: { Date() })
    }

    package static func memory(
        maximumBytes: Int, isShared: Bool, now: @escaping @Sendable () -> Date
    ) -> HTTPCache {
        HTTPCache(MemoryCacheStore(maximum: maximumBytes), maximumBytes, isShared: isShared, now: now)
    }

    /// A cache in a folder, which outlives the process.
    /// - Parameters:
    ///   - folder: made when it is not there, for its owner alone.
    ///   - maximumBytes: of all that is kept; an answer may take an eighth of it. Default: 256 MiB.
    ///   - isShared: whether it serves more than one user, so that it keeps nothing that is private. Default: false.
    /// - Throws: code 701 when the folder cannot be used.
    public static func disk(
        _ folder: String, maximumBytes: Int = 256 << 20, isShared: Bool = false
    ) throws(SkeinError) -> HTTPCache {
        HTTPCache(
            try DiskCacheStore(folder: folder, maximum: maximumBytes), maximumBytes, isShared: isShared, now: { Date() }
        )
    }

    /// Answers a request from the cache, or asks the server and keeps what it says.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        guard request.method == .get, !Self.asksForSomethingElse(request.headers),
            let asker = CacheAsker(request, next.context)
        else { return await pass(request, next: next) }
        let asked = CacheControl(request.headers)
        let kept =
            asked.contains("no-store")
            ? nil
            : await store.entries(CacheEntry.key(request)).filter { $0.answers(asker) }
                .max { $0.received < $1.received }
        guard let kept else {
            if asked.contains("only-if-cached") { return next.answer(request, HTTPStatus(504)) }
            return await fetch(request, asker, next: next)
        }
        switch kept.use(for: request, isShared: isShared, now: now()) {
        case .serve: return serve(kept, request, .hit, next)
        case .serveAndRevalidate:
            revalidateLater(kept, request, asker, next: next)
            return serve(kept, request, .stale, next)
        case .revalidate where asked.contains("only-if-cached"): return next.answer(request, HTTPStatus(504))
        case .revalidate: return await revalidate(kept, request, asker, next: next)
        }
    }

    /// What a caller asks for who has a cache of its own, or wants a part.
    private static func asksForSomethingElse(_ headers: Headers) -> Bool {
        let names = ["Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range"]
        return names.contains(where: headers.contains)
    }

    /// Sends a request that is not answered from here. One that changes something makes what is kept of it void (section 4.4).
    private func pass(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let response = await next.send(request)
        guard !request.method.isSafe, (200..<400).contains(response.statusCode) else { return response }
        await store.remove(CacheEntry.key(request))
        for name in ["Location", "Content-Location"] {
            guard let field = response.header(name), let url = try? request.url.resolving(field),
                url.origin == request.url.origin
            else { continue }
            await store.remove(url.description)
        }
        return response
    }

    private func fetch(_ request: HTTPRequest, _ asker: CacheAsker, next: HTTPService) async -> HTTPResponse {
        let requested = now()
        let response = await next.send(request)
        await keep(response, request, asker, requested)
        return response.noting(.miss)
    }

    private func keep(
        _ response: HTTPResponse, _ request: HTTPRequest, _ asker: CacheAsker, _ requested: Date
    ) async {
        // What was redirected belongs to another URL, and is asked for there.
        guard response.history.isEmpty,
            let entry = CacheEntry(
                response, to: request, of: asker, isShared: isShared, requested: requested, received: now()),
            entry.size <= maximumEntrySize
        else { return }
        await store.keep(entry)
    }

    private func revalidate(
        _ kept: CacheEntry, _ request: HTTPRequest, _ asker: CacheAsker, next: HTTPService
    ) async -> HTTPResponse {
        guard kept.hasValidator else {
            let response = await fetch(request, asker, next: next)
            return replacesError(kept, request, response) ? serve(kept, request, .stale, next) : response
        }
        let requested = now()
        let response = await next.send(kept.validation(of: request))
        if response.failure == nil, response.statusCode == 304 {
            let fresh = kept.refreshed(by: response, requested: requested, received: now())
            await store.keep(fresh)
            return serve(fresh, request, .revalidated, next)
        }
        if replacesError(kept, request, response) { return serve(kept, request, .stale, next) }
        await keep(response, request, asker, requested)
        return response.noting(.miss)
    }

    private func replacesError(_ kept: CacheEntry, _ request: HTTPRequest, _ response: HTTPResponse) -> Bool {
        let isError = response.failure != nil || [500, 502, 503, 504].contains(response.statusCode)
        guard isError, response.failure?.code != .controlledShutdown,
            kept.mayReplaceError(for: request, isShared: isShared, now: now())
        else { return false }
        response.stream?.cancel()
        return true
    }

    /// Asks the server while the caller has the answer already; once, however many callers there are.
    private func revalidateLater(
        _ kept: CacheEntry, _ request: HTTPRequest, _ asker: CacheAsker, next: HTTPService
    ) {
        guard underWay.withLock({ $0.insert(kept.key).inserted }) else { return }
        var request = request
        request.isStreamed = false
        let plain = request
        next.context.session.beginWork()
        Task.detached {
            _ = await self.revalidate(kept, plain, asker, next: next)
            self.underWay.withLock { _ = $0.remove(kept.key) }
            next.context.session.ended()
        }
    }

    private func serve(
        _ entry: CacheEntry, _ request: HTTPRequest, _ use: CacheUse, _ next: HTTPService
    ) -> HTTPResponse {
        var headers = entry.headers
        headers["Age"] = String(Int(max(0, entry.age(now()))))
        return next.answer(request, HTTPStatus(entry.status), headers: headers, content: entry.content).noting(use)
    }
}

extension HTTPResponse {
    /// The same with a note on what a cache had to do with it.
    fileprivate func noting(_ use: CacheUse) -> HTTPResponse {
        note(use)
        return self
    }
}
