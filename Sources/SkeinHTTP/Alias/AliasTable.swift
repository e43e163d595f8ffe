// The aliases of a client, by their names.

import NIOCore
import SkeinCore
import SkeinTransport
import Synchronization

/// The aliases of a client and of all views of it.
package final class AliasTable: Sendable {
    private let states = Mutex<ByteDictionary<AliasState>>([:])

    package init() {}

    package subscript(name: String) -> AliasState? { states.withLock { $0[name] } }

    package var all: [AliasState] { states.withLock { Array($0.values) }.sorted { $0.name < $1.name } }

    /// The alias of a name.
    /// - Throws: code 701, with the registered names, when it is unknown.
    package func find(_ name: String) throws(SkeinError) -> AliasState {
        if let state = self[name] { return state }
        let known = all.map(\.name).joined(separator: ", ")
        throw SkeinError(
            .exception,
            because: "there is no alias \(name); "
                + (known.isEmpty ? "register it with alias(_:_:)" : "known aliases are \(known)"))
    }

    /// Registers an alias. An alias of the same name gets the new members, and keeps its statistics if the rest is
    /// equal.
    /// - Returns: the alias, and the number of its health check.
    @discardableResult
    package func register(
        _ name: String, _ alias: Alias, at now: NIODeadline
    ) throws(SkeinError) -> (state: AliasState, watch: Int) {
        try Alias.check(name: name)
        if let state = self[name], state.scheme == alias.scheme, state.alias.balancing == alias.balancing {
            return (state, try state.set(alias, at: now))
        }
        let state = try AliasState(name, alias, at: now)
        states.withLock { $0[name] = state }
        return (state, 0)
    }

    /// Removes an alias; requests in flight continue.
    package func remove(_ name: String) { states.withLock { $0[name] = nil } }
}

extension Alias {
    /// - Throws: code 701 for a name that is not allowed.
    package static func check(name: String) throws(SkeinError) {
        guard name.hasBytePrefix("@"), name.utf8.count > 1,
            name.utf8.dropFirst().allSatisfy({ HTTPOrigin.isAliasByte($0) })
        else {
            throw SkeinError(
                .exception,
                because:
                    "\(name.debugDescription) is not an alias; write @ and letters, digits, dots, hyphens or underscores"
            )
        }
    }
}
