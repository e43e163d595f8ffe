// Aliases on the client.

import NIOCore
import SkeinCore
import SkeinTransport

extension SkeinClient {
    /// Registers a name for back ends: `try client.alias("@members", .http("10.0.0.1:5001 20", "10.0.0.2:5001 10"))`.
    ///
    /// From then on `@members/path` is accepted in place of a URL. Registering a name again changes its members;
    /// members that stay keep their statistics.
    /// - Parameters:
    ///   - name: begins with `@`; letters, digits, dots, hyphens and underscores follow.
    ///   - alias: the members, and how requests are spread over them.
    /// - Throws: code 701 for a name or a member that cannot be read.
    public func alias(_ name: String, _ alias: Alias) throws(SkeinError) {
        let shard = shards[0]
        let (state, number) = try http.aliases.register(name, alias, at: shard.now)
        if let check = alias.healthCheck { watch(state, check, number) }
        http.discoverMembers(of: state, number)
    }

    /// Removes an alias; requests in flight continue, and its health checks stop.
    public func removeAlias(_ name: String) { http.aliases.remove(name) }

    /// The alias of a name; nil when there is none.
    public func alias(_ name: String) -> Alias? { http.aliases[name]?.alias }

    /// The names of all aliases, in alphabetical order.
    public var aliasNames: [String] { http.aliases.all.map(\.name) }

    /// The state of an alias' members.
    /// - Throws: code 701 when there is no such alias.
    public func members(of name: String) throws(SkeinError) -> [AliasMemberStatus] {
        try http.aliases.find(name).status(at: shards[0].now)
    }

    /// Every member of an alias: `try await client.all("@search").get("/find?q=x").fetch()`.
    ///
    /// Each request, statement or call goes to all of them at once. No other member takes the place of one that fails.
    /// - Throws: code 701 when there is no such alias, 714 while DNS has not named a member of it.
    public func all(_ name: String) throws(SkeinError) -> EveryMember {
        let state = try http.aliases.find(name)
        guard state.count > 0 else { throw state.hasNoMember }
        return EveryMember(client: self, alias: state)
    }
}
