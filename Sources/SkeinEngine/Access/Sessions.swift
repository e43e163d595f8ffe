// Sessions: values that an app stores for a client across requests.

import SkeinCore
import SkeinHTTP
import SkeinWorkers
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A store of sessions.
public protocol SessionStore: Sendable {
    /// The values of a session; nil when it does not exist or has expired.
    func load(_ id: String) async throws -> [String: String]?
    /// Stores the values of a session, with a lifetime.
    func save(_ id: String, _ values: [String: String], for lifetime: Duration) async throws
    /// Removes a session.
    func remove(_ id: String) async throws
    /// Stores new values of an existing session, but not of one that has ended meanwhile; atomically, if the store
    /// supports it.
    /// - Returns: whether the session existed.
    func update(_ id: String, _ values: [String: String], for lifetime: Duration) async throws -> Bool
}

extension SessionStore {
    /// Loads, then saves.
    public func update(_ id: String, _ values: [String: String], for lifetime: Duration) async throws -> Bool {
        guard try await load(id) != nil else { return false }
        try await save(id, values, for: lifetime)
        return true
    }
}

/// Gives every client a session: `router.use(Sessions())`, then `request.session?["name"] = "Ada"`.
///
/// With a store, the cookie holds a random ID, and the store the values; without one, the cookie holds the encrypted
/// values, so that any process with the same key can read them. A session is created with its first value.
public struct Sessions: Middleware {
    private let store: (any SessionStore)?
    private let key: SigningKey
    private let cookie: String
    private let lifetime: Duration

    /// Sessions in a store.
    /// - Parameters:
    ///   - store: the store. Default: in memory, for this process alone; refused when the server has several workers.
    ///   - cookie: the name of the cookie. Default: `session`.
    ///   - lifetime: the time to live after the last change. Default: two weeks.
    public init(
        store: any SessionStore = MemorySessions(), cookie: String = "session",
        lifetime: Duration = .seconds(14 * 86400)
    ) {
        self.store = store
        self.cookie = cookie
        self.lifetime = lifetime
        key = .random()
    }

    /// Sessions stored in the cookie, 3 KiB at most.
    /// - Parameter key: encrypts the values.
    public init(sealedWith key: SigningKey, cookie: String = "session", lifetime: Duration = .seconds(14 * 86400)) {
        store = nil
        self.key = key
        self.cookie = cookie
        self.lifetime = lifetime
    }

    /// Refuses sessions in memory when the next request may reach another worker.
    public func bootstrap(at mount: MountPoint) async throws -> any Middleware {
        guard store is MemorySessions, let worker = WorkerLink.current, worker.page[.slots] > 1 else { return self }
        throw SkeinError(
            .exception,
            because:
                "sessions in memory belong to one process, but there are \(worker.page[.slots]) workers; keep them in the cookie, Sessions(sealedWith: key), or on Redis, RedisSessions"
        )
    }

    private struct Sealed: Codable {
        let values: [String: String]
        let expires: Double
    }

    /// Loads the session, and stores changes.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        let session = try await find(request)
        request[SessionKey.self] = session
        do {
            var response = try await next.respond(to: request)
            try await finish(session, &response, request)
            return response
        } catch {
            await keep(session)
            throw error
        }
    }

    /// Changes before a failure are stored, unless that needs a cookie, which an error response does not carry.
    private func keep(_ session: RequestSession) async {
        guard let store, case (let id?, let values, let change) = session.outcome else { return }
        switch change {
        case .none, .renewed: break
        case .changed where !values.isEmpty: _ = try? await store.update(id, values, for: lifetime)
        case .changed, .ended: try? await store.remove(id)
        }
    }

    private func find(_ request: ServerRequest) async throws -> RequestSession {
        guard let sent = request.cookies[cookie] else { return RequestSession(id: nil, values: [:]) }
        if let store {
            guard sent.utf8.count <= 64, let values = try await store.load(sent) else {
                return RequestSession(id: nil, values: [:])
            }
            return RequestSession(id: sent, values: values)
        }
        guard let data = key.unseal(sent, for: "session \(cookie)"),
            let sealed = try? JSONDecoder().decode(Sealed.self, from: data),
            sealed.expires > Date().timeIntervalSince1970
        else { return RequestSession(id: nil, values: [:]) }
        return RequestSession(id: "", values: sealed.values)
    }

    private func finish(
        _ session: RequestSession, _ response: inout ServerResponse, _ request: ServerRequest
    ) async throws {
        let (id, values, change) = session.outcome
        guard change != .none else { return }
        var options = CookieOptions()
        options.maximumAge = lifetime
        if values.isEmpty || change == .ended {
            if let id, let store { try await store.remove(id) }
            if id != nil { response.removeCookie(cookie, options, for: request) }
            return
        }
        guard let store else {
            let sealed = Sealed(
                values: values, expires: Date().timeIntervalSince1970 + Double(lifetime.components.seconds))
            let text = try key.seal(try JSONEncoder().encode(sealed), for: "session \(cookie)")
            guard text.utf8.count <= 4000 else {
                throw SkeinError(.exception, because: "a session in a cookie is limited to 3 KiB; keep it in a store")
            }
            return response.setCookie(cookie, text, options, for: request)
        }
        // The session gets a new ID when its privileges change, so that a known old ID is useless.
        if change == .renewed, let id { try await store.remove(id) }
        if change != .renewed, let id {
            // A slow request must not restore a session that has ended meanwhile.
            guard try await store.update(id, values, for: lifetime) else { return }
            return response.setCookie(cookie, id, options, for: request)
        }
        let own = Base64URL.encode(RandomBytes.make(24))
        try await store.save(own, values, for: lifetime)
        response.setCookie(cookie, own, options, for: request)
    }
}

/// The session of a client, as seen by the handlers of one request.
public final class RequestSession: Sendable {
    enum Change {
        case none, changed, renewed, ended
    }

    private struct State {
        let id: String?
        var values: [String: String]
        var change = Change.none
    }

    private let state: Mutex<State>

    init(id: String?, values: [String: String]) { state = Mutex(State(id: id, values: values)) }

    /// A value of the session; setting nil removes it.
    public subscript(name: String) -> String? {
        get { state.withLock { $0.values[name] } }
        set {
            state.withLock { state in
                guard state.values[name].map(ByteKey.init) != newValue.map(ByteKey.init) else { return }
                state.values[name] = newValue
                if state.change == .none { state.change = .changed }
            }
        }
    }

    /// Gives the session a new ID, as after a login: the old ID becomes invalid.
    public func renew() { state.withLock { $0.change = .renewed } }

    /// Ends the session.
    public func end() {
        state.withLock { state in
            state.values = [:]
            state.change = .ended
        }
    }

    var outcome: (String?, [String: String], Change) { state.withLock { ($0.id, $0.values, $0.change) } }
}

private enum SessionKey: RequestKey {
    typealias Value = RequestSession
}

extension ServerRequest {
    /// The client's session; nil where no ``Sessions`` middleware applies.
    public var session: RequestSession? { self[SessionKey.self] }
}

/// Sessions in memory, for one process.
public final class MemorySessions: SessionStore {
    private struct Entry {
        var values: [String: String]
        var expires: ContinuousClock.Instant
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let maximum: Int

    /// - Parameter maximum: the maximum number of sessions; beyond it, those that expire first are dropped. Default:
    ///   100 000.
    public init(maximum: Int = 100_000) { self.maximum = max(1, maximum) }

    /// The values of a session.
    public func load(_ id: String) async throws -> [String: String]? {
        entries.withLock { entries in
            guard let entry = entries[id] else { return nil }
            if entry.expires > .now { return entry.values }
            entries[id] = nil
            return nil
        }
    }

    /// Stores the values of a session.
    public func save(_ id: String, _ values: [String: String], for lifetime: Duration) async throws {
        entries.withLock { entries in
            if entries.count >= maximum, entries[id] == nil {
                // A tenth at a time, so that the search is rare.
                let ends = entries.values.map(\.expires).sorted()
                let limit = ends[ends.count / 10]
                entries = entries.filter { $0.value.expires > limit && $0.value.expires > .now }
            }
            entries[id] = Entry(values: values, expires: .now + lifetime)
        }
    }

    /// Stores new values of an existing session.
    public func update(_ id: String, _ values: [String: String], for lifetime: Duration) async throws -> Bool {
        entries.withLock { entries in
            guard let entry = entries[id], entry.expires > .now else { return false }
            entries[id] = Entry(values: values, expires: .now + lifetime)
            return true
        }
    }

    /// Removes a session.
    public func remove(_ id: String) async throws { entries.withLock { $0[id] = nil } }
}
