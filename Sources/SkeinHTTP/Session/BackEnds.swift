// The databases and stores that a session has clients of: one for each address, however often it is asked for.

import SkeinCore
import Synchronization

/// The clients, by what they were asked for with.
package final class BackEnds: Sendable {
    private let clients = Mutex<ByteDictionary<any BackEnd>>([:])
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
        if let client = clients.withLock({ $0[address] }) as? Client { return client }
        let made = try make()
        return clients.withLock { clients in
            if let client = clients[address] as? Client { return client }  // somebody was faster
            clients[address] = made
            return made
        }
    }

    func shutdown() async {
        let all = clients.withLock { clients in
            defer { clients = [:] }
            return Array(clients.values)
        }
        for client in all + others.withLock({ $0.compactMap(\.client) }) { await client.shutdown() }
    }
}
