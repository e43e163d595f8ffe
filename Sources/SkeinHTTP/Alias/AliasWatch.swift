// Periodic work for an alias, which keeps neither the alias nor its client alive.

import SkeinCore

/// A client and one of its aliases, held weakly.
final class AliasReferences: Sendable {
    private weak let client: HTTPClient?
    private weak let state: AliasState?

    init(_ client: HTTPClient, _ state: AliasState) {
        self.client = client
        self.state = state
    }

    /// The client and the alias; nil when the client was shut down or released, or the alias was removed or replaced.
    var current: (client: HTTPClient, state: AliasState)? {
        guard let client, let state, !client.isOver, client.aliases[state.name] === state else { return nil }
        return (client, state)
    }
}

/// Identifies the periodic work of one registration of an alias; another registration ends it.
struct AliasWatch: Sendable {
    private let references: AliasReferences
    let number: Int

    init(_ client: HTTPClient, _ state: AliasState, _ number: Int) {
        references = AliasReferences(client, state)
        self.number = number
    }

    /// The client and the alias; nil when the work is to end.
    var current: (client: HTTPClient, state: AliasState)? {
        references.current.flatMap { $0.state.watch == number ? $0 : nil }
    }
}
