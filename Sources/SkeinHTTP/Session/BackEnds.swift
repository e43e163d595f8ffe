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
        _ key: String, _ make: () throws(SkeinError) -> Client
    ) throws(SkeinError) -> Client {
        if let client = clients.withLock({ $0?[key] }) as? Client { return client }
        let made = try make()
        let kept: Client? = clients.withLock { clients in
            guard clients != nil else { return nil }
            if let client = clients?[key] as? Client { return client }  // somebody was faster
            clients?[key] = made
            return made
        }
        guard let kept else { throw SkeinError(.shuttingDown, because: "the client is shut down") }
        return kept
    }

    /// Puts a client in the place of whatever would be made for an address.
    package func set(_ client: any BackEnd, as key: String) { clients.withLock { $0?[key] = client } }

    func shutdown() async {
        let all = clients.withLock { clients in
            defer { clients = nil }
            return clients.map { Array($0.values) } ?? []
        }
        for client in all + others.withLock({ $0.compactMap(\.client) }) { await client.shutdown() }
    }
}

extension SkeinClient {
    /// The client of an address, made when it is asked for first; for the name of an alias, that of the member whose turn it is.
    /// - Parameters:
    ///   - address: a URL, or `@name`.
    ///   - scheme: what members of the alias have to speak.
    ///   - make: makes a client, which connects by the dialer.
    /// - Throws: code 701 for an address that cannot be read, or an alias that is not there or of another protocol.
    package func backEnd<Client: BackEnd>(
        _ address: String, _ scheme: Alias.Scheme,
        _ make: (_ url: String, _ dialer: Dialer) throws(SkeinError) -> Client
    ) throws(SkeinError) -> Client {
        var dialer = http.dialer
        guard address.hasBytePrefix("@") else {
            return try backEnds.client("\(scheme) \(address)") { () throws(SkeinError) in try make(address, dialer) }
        }
        let state = try http.aliases.find(address)
        guard state.scheme == scheme else {
            throw SkeinError(.exception, because: "\(address) is an alias for \(state.scheme), not for \(scheme)")
        }
        guard let url = state.choose(at: shards[0].now)?.url else {
            throw SkeinError(.connectionFailed, peer: address, because: "\(address) has no members")
        }
        dialer.observer = { [weak state] error in state?.noteConnect(url, error, at: .now()) }
        return try backEnds.client("\(address) \(url)") { () throws(SkeinError) in try make(url, dialer) }
    }
}
