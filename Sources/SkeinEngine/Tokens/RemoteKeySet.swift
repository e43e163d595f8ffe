// The keys of an issuer, fetched from its URL: the driver of `KeySetMachine`.

import NIOCore
import SkeinCore
import SkeinHTTP
import Synchronization

/// The keys of an issuer, a JSON Web Key Set (RFC 7517) at a URL.
///
/// It is fetched when it is first needed, every ten minutes, and when a token names an unknown key; at most once in 30
/// s. While the issuer is unreachable, or responds with something else, the last keys stay in use.
public final class RemoteKeySet: Sendable {
    private struct State {
        var machine = KeySetMachine()
        var keys: [TokenKey] = []
        /// Changes with the keys.
        var generation = 0
        var entityTag: String?
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private static let mostKeys = 100

    /// The URL of the keys.
    public let url: String
    private let state = Mutex(State())

    /// - Parameter url: `https://…`; `http://` is accepted for this machine only, since keys could be changed in
    ///   transit.
    /// - Throws: code 701 for another URL.
    public init(_ url: String) throws(SkeinError) {
        try Self.requireTLS(url)
        self.url = url
    }

    /// Secrets and keys must be transferred over TLS, or on this machine.
    static func requireTLS(_ url: String) throws(SkeinError) {
        let origin = try HTTPURL(url).origin
        let isLocal =
            if case .host(let host, _) = origin.endpoint { ["localhost", "127.0.0.1", "::1"].contains(host) } else {
                true
            }
        guard origin.isSecure || isLocal else {
            throw SkeinError(.exception, because: "\(url) is not https; an issuer must use TLS")
        }
    }

    /// The keys for a token.
    /// - Parameter id: the token's `kid`.
    /// - Throws: code 701 when there are none, because the issuer has never responded.
    func keys(for id: String?, _ client: SkeinClient, at now: NIODeadline) async throws(SkeinError)
        -> (keys: [TokenKey], generation: Int)
    {
        let action = state.withLock { state in
            state.machine.needs(isKnown: Self.isKnown(id, state.keys), at: now)
        }
        switch action {
        case .use, .fail: break
        case .useAndFetch: Task.detached { await self.fetch(client, at: now) }
        case .fetch: await fetch(client, at: now)
        case .wait:
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.machine.isFetching { state.waiting.append(continuation) }
                    return !state.machine.isFetching
                }
                if isOver { continuation.resume() }
            }
        }
        return try state.withLock { state throws(SkeinError) in
            guard state.machine.hasKeys else {
                throw SkeinError(.exception, peer: url, because: "the issuer's keys could not be fetched so far")
            }
            return (state.keys, state.generation)
        }
    }

    private static func isKnown(_ id: String?, _ keys: [TokenKey]) -> Bool {
        guard let id else { return !keys.isEmpty }
        return keys.contains { $0.id?.equalsBytes(id) ?? true }
    }

    /// The fetch runs independently of the callers, so that their cancellation does not end it.
    private func fetch(_ client: SkeinClient, at now: NIODeadline) async {
        await Task.detached { await self.ask(client, at: now) }.value
    }

    private func ask(_ client: SkeinClient, at now: NIODeadline) async {
        let tag = state.withLock { $0.entityTag }
        let response = await client.ask(
            .get, url, headers: ["Accept": "application/jwk-set+json, application/json", "If-None-Match": tag])
        var keys: [TokenKey]?
        if response.failure == nil, response.statusCode == 200 {
            // A secret at a public URL is not secret.
            keys = (try? TokenKey.jsonWebKeys(response.content.readableBytesView)).map {
                Array($0.filter { !$0.isSecret }.prefix(Self.mostKeys))
            }
            // A set without a usable key is an error of the issuer, and must not invalidate all its tokens.
            if keys?.isEmpty ?? true { keys = nil }
        }
        let isConfirmed = response.failure == nil && response.statusCode == 304
        if keys == nil, !isConfirmed {
            client.session.logger.warning(
                "the keys at \(url) could not be fetched: \(response.failure?.message ?? "status \(response.statusCode)")"
            )
        }
        let (fetched, newTag) = (keys, response.header("ETag"))
        let waiting = state.withLock { state in
            if let fetched {
                state.keys = fetched
                state.generation += 1
                state.entityTag = newTag
            }
            state.machine.ended(fetched != nil || isConfirmed && state.machine.hasKeys, at: now)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

extension SkeinClient {
    /// Sends a request to an issuer, limited to 5 s and 1 MiB.
    func ask(_ method: HTTPMethod, _ url: String, headers: Headers, body: HTTPBody = .none, auth: HTTPAuth? = nil) async
        -> HTTPResponse
    {
        var request = HTTPRequest(
            method, (try? HTTPURL(url)) ?? .unusable(url), headers: headers, body: body, auth: auth,
            timeout: .seconds(5))
        request.maximumBodySize = 1 << 20
        return await http.start(request).dispatch()
    }
}
