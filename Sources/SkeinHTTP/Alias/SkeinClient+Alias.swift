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
        try http.aliases.register(name, alias, at: shard.now)
        if let check = alias.healthCheck { http.watch(try http.aliases.find(name), check) }
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

    /// Starts a request on every member of an alias at once: `try await client.all("@search").get("/find?q=x").fetch()`.
    ///
    /// - Throws: code 701 when there is no such alias, or its members do not speak HTTP.
    public func all(_ name: String) throws(SkeinError) -> EveryMember {
        let state = try http.aliases.find(name)
        guard state.scheme.isHTTP else { throw state.isNotHTTP }
        return EveryMember(client: self, alias: state)
    }
}

/// All members of an alias, each of which gets a request of its own.
public struct EveryMember: Sendable {
    fileprivate let client: SkeinClient
    fileprivate let alias: AliasState

    /// Starts a GET on every member.
    /// - Returns: the corequests in the order of the members; `dispatch()` returns all their responses, failures included.
    public func get(
        _ path: String, parameters: Parameters = [:], headers: Headers = Headers(), timeout: Duration? = nil
    ) -> CorequestGroup<HTTPResponse> {
        request(.get, path, parameters: parameters, headers: headers, timeout: timeout)
    }

    /// Starts a POST on every member.
    /// - Returns: the corequests in the order of the members.
    public func post(
        _ path: String, body: HTTPBody, headers: Headers = Headers(), timeout: Duration? = nil
    ) -> CorequestGroup<HTTPResponse> {
        request(.post, path, body: body, headers: headers, timeout: timeout)
    }

    /// Starts a request on every member.
    /// - Parameters:
    ///   - method: the method.
    ///   - path: the path, which begins with a slash, and the query.
    ///   - body: the content, sent to each.
    ///   - parameters: query parameters to append.
    ///   - headers: header fields.
    ///   - timeout: for each request. Default: the session's.
    /// - Returns: the corequests in the order of the members.
    public func request(
        _ method: HTTPMethod, _ path: String, body: HTTPBody = .none, parameters: Parameters = [:],
        headers: Headers = Headers(), timeout: Duration? = nil
    ) -> CorequestGroup<HTTPResponse> {
        let now = client.shards[0].now
        return CorequestGroup(
            alias.everyAttempt(at: now).map { attempt in
                let end: @Sendable (HTTPResponse) -> Void = { [alias] response in
                    alias.end(attempt, AliasState.outcome(response), at: .now())
                }
                do throws(SkeinError) {
                    let url = try HTTPURL(alias.name + path, parameters: parameters)
                    let request = HTTPRequest(method, url, headers: headers, body: body, timeout: timeout)
                    return client.start(attempt.target.request(request), callback: end)
                } catch {
                    let request = HTTPRequest(method, .unusable(path), headers: headers, body: body)
                    return client.http.fail(request, error, callback: end)
                }
            })
    }
}
