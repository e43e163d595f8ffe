// The databases and stores that a session has clients of: one for each address, however often it is asked for.

import SkeinCore
import SkeinTransport
import Synchronization

/// The clients, by what they were asked for with.
package final class BackEnds: Sendable {
    /// nil from the shutdown on.
    private let clients = Mutex<ByteDictionary<any BackEnd>?>([:])
    /// Those that were made by their settings; they end with the session, or before it with their last user.
    private let others = Mutex<[Weak]>([])

    private struct Weak: Sendable {
        weak let client: (any BackEnd)?
    }

    /// Takes note of a client that is to end with the session.
    package func keep<Client: BackEnd>(_ client: Client) -> Client {
        others.withLock { others in
            others.removeAll { $0.client == nil }
            others.append(Weak(client: client))
        }
        return client
    }

    /// The client of an address, made when it is asked for first.
    package func client<Client: BackEnd>(
        _ address: String, _ make: () throws(SkeinError) -> Client
    ) throws(SkeinError) -> Client {
        if let client = clients.withLock({ $0?[address] }) as? Client { return client }
        let made = try make()
        let kept: Client? = clients.withLock { clients in
            guard clients != nil else { return nil }
            if let client = clients?[address] as? Client { return client }  // somebody was faster
            clients?[address] = made
            return made
        }
        guard let kept else { throw SkeinError(.shuttingDown, because: "the client is shut down") }
        return kept
    }

    /// The client of the member of an alias that is to be used next.
    package func member<Client: BackEnd>(
        of name: String, _ scheme: Alias.Scheme, in client: SkeinClient,
        _ make: (_ url: String, _ dialer: Dialer) throws(SkeinError) -> Client
    ) throws(SkeinError) -> Client {
        let state = try client.http.aliases.find(name)
        guard state.alias.scheme == scheme else {
            throw SkeinError(.exception, because: "\(name) is an alias of \(state.alias.scheme), not of \(scheme)")
        }
        guard let target = state.choose(at: client.shards[0].now) else {
            throw SkeinError(.connectionFailed, peer: name, because: "\(name) has no member")
        }
        return try self.client("\(name) \(target.url)") { () throws(SkeinError) in
            var dialer = client.http.dialer
            dialer.observer = { [weak state] error in state?.noteConnect(target.url, error, at: .now()) }
            return try make(target.url, dialer)
        }
    }

    func shutdown() async {
        let all = clients.withLock { clients in
            defer { clients = nil }
            return clients.map { Array($0.values) } ?? []
        }
        for client in all + others.withLock({ $0.compactMap(\.client) }) { await client.shutdown() }
    }
}
