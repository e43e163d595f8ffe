// The database clients of a session: one for each address.

import SkeinCore
import SkeinTransport
import Synchronization

/// The clients, by their addresses.
package final class BackEnds: Sendable {
    /// nil from the shutdown on.
    private let clients = Mutex<ByteDictionary<any BackEnd>?>([:])
    /// Clients made from settings; they end with the session, or earlier with their last user.
    private let others = Mutex<[Weak]>([])

    /// The versions of the aliases whose clients are kept.
    private let versions = Mutex<[String: Int]>([:])

    private struct Weak: Sendable {
        weak let client: (any BackEnd)?
    }

    /// Registers a client that ends with the session.
    package func keep<Client: BackEnd>(_ client: Client) -> Client {
        others.withLock { others in
            others.removeAll { $0.client == nil }
            others.append(Weak(client: client))
        }
        return client
    }

    /// The client of an address, created on first use.
    package func client<Client: BackEnd>(
        _ key: String, _ make: () throws(SkeinError) -> Client
    ) throws(SkeinError) -> Client {
        if let client = clients.withLock({ $0?[key] }) as? Client { return client }
        let made = try make()
        let kept: Client? = clients.withLock { clients in
            guard clients != nil else { return nil }
            if let client = clients?[key] as? Client { return client }  // another task was faster
            clients?[key] = made
            return made
        }
        guard let kept else { throw SkeinError(.shuttingDown, because: "the client is shut down") }
        return kept
    }

    /// Sets the client of an address.
    package func set(_ client: any BackEnd, as key: String) { clients.withLock { $0?[key] = client } }

    func shutdown() async {
        let all = clients.withLock { clients in
            defer { clients = nil }
            return clients.map { Array($0.values) } ?? []
        }
        for client in all + others.withLock({ $0.compactMap(\.client) }) { await client.shutdown() }
    }
}

/// A database client that is made for a URL, so that it can stand for a member of an alias.
package protocol MemberClient: BackEnd {
    /// The protocol of the members.
    static var scheme: Alias.Scheme { get }
    /// A client that connects through a dialer.
    /// - Throws: code 701 for a malformed URL, 714 when it cannot be opened.
    init(_ url: String, _ dialer: Dialer, _ session: Session) throws(SkeinError)
}

extension BackEnds {
    /// A client that checks a member of an alias, and only that one; nil before the first request for a client of the alias.
    /// - Throws: when it cannot be made, for example because its file does not exist.
    func checker(_ state: AliasState, _ target: AliasTarget) throws -> (any BackEnd)? {
        guard let make = state.maker else { return nil }
        drop(state)
        let key = "check \(state.name) \(target.url)"
        if let client = clients.withLock({ $0?[key] }) { return client }
        let made = try make(target)
        return clients.withLock { clients in
            guard clients != nil else { return nil }
            clients?[key] = made
            return made
        }
    }

    /// Releases the clients of members that were removed from an alias; a caller that holds one can still use it.
    func drop(_ state: AliasState) {
        let (version, urls) = state.versionedURLs
        let isKnown = versions.withLock { versions in
            defer { versions[state.name] = version }
            return versions[state.name] == version
        }
        guard !isKnown else { return }
        clients.withLock { clients in
            guard let known = clients else { return }
            for (key, _) in known {
                let words = key.splitBytes(separator: " ", maxSplits: key.hasBytePrefix("@") ? 1 : 2)
                guard let url = words.last, words.dropLast().last.map({ $0.equalsBytes(state.name) }) ?? false else {
                    continue
                }
                if !urls.contains(String(url)) { clients?[key] = nil }
            }
        }
    }
}

extension SkeinClient {
    /// The client of an address, created on first use; for an alias, the client of the member that the balancer picks.
    /// - Parameters:
    /// - Parameter address: a URL, or `@name`.
    /// - Throws: code 701 for a malformed address, or an alias that is unknown or has another protocol.
    package func backEnd<Client: MemberClient>(_ address: String) throws(SkeinError) -> Client {
        let (dialer, session) = (http.dialer, session)
        guard address.hasBytePrefix("@") else {
            return try backEnds.client("\(Client.scheme) \(address)") { () throws(SkeinError) in
                try Client(address, dialer, session)
            }
        }
        let state = try alias(address, of: Client.scheme)
        backEnds.drop(state)
        state.maker = { (target) throws(SkeinError) in
            try Client(target.url, dialer.named(target.serverName), session)
        }
        var failure = state.hasNoMember
        for _ in 0..<max(1, state.count) {
            guard let target = state.choose(at: shards[0].now) else { break }
            do throws(SkeinError) {
                return try backEnds.client("\(address) \(target.url)") { () throws(SkeinError) in
                    try Client(target.url, dialer.of(target, in: address, Client.scheme, of: http), session)
                }
            } catch {
                guard error.code == .connectionFailed else { throw error }
                state.noteConnect(target.url, error, at: shards[0].now)
                failure = error
            }
        }
        throw failure
    }

    /// The clients of every member of an alias, in the order of the members; none of them fails over.
    /// - Throws: code 701 for an alias that is unknown or has another protocol, and the error of a client that cannot be made.
    fileprivate func everyBackEnd<Client: MemberClient>(_ name: String) throws(SkeinError) -> [Client] {
        let (dialer, session) = (http.dialer, session)
        let state = try alias(name, of: Client.scheme)
        var clients: [Client] = []
        backEnds.drop(state)
        for (_, target) in state.targets {
            clients.append(
                try backEnds.client("every \(name) \(target.url)") { () throws(SkeinError) in
                    try Client(target.url, dialer.named(target.serverName), session)
                })
        }
        return clients
    }

    private func alias(_ name: String, of scheme: Alias.Scheme) throws(SkeinError) -> AliasState {
        let state = try http.aliases.find(name)
        guard state.scheme == scheme else {
            throw SkeinError(.exception, because: "\(name) is an alias of \(state.scheme), not of \(scheme)")
        }
        return state
    }
}

extension EveryMember {
    /// Starts a corequest on the client of each member.
    package func each<Client: MemberClient, Result: Response>(
        _ start: (Client) -> Corequest<Result>
    ) throws(SkeinError) -> CorequestGroup<Result> {
        CorequestGroup(try client.everyBackEnd(alias.name).map(start))
    }
}

extension Dialer {
    /// The dialer for a server whose certificate has this name.
    fileprivate func named(_ serverName: String?) -> Dialer {
        var dialer = self
        dialer.serverName = serverName
        return dialer
    }

    /// The dialer of a member's client: the balancer hears how attempts went, and other members are the alternatives. The alias is found by
    /// its name, since it may be registered again.
    fileprivate func of(
        _ target: AliasTarget, in name: String, _ scheme: Alias.Scheme, of http: HTTPClient
    ) -> Dialer {
        let plain = self
        @Sendable func observed(_ target: AliasTarget) -> Dialer {
            var dialer = plain.named(target.serverName)
            dialer.observer = { [weak http] error in http?.aliases[name]?.noteConnect(target.url, error, at: .now()) }
            return dialer
        }
        var dialer = observed(target)
        // A deployment of MongoDB chooses among its servers itself, and a file is there or not.
        guard scheme == .postgres || scheme == .redis else { return dialer }
        dialer.alternatives = { [weak http] in
            http?.aliases[name]?.others(than: target.url, at: .now()).map {
                Alternative(url: $0.url, dialer: observed($0))
            } ?? []
        }
        return dialer
    }
}
