// The same for each member of an alias: requests, and what other modules add to them.

import NIOCore
import SkeinCore

/// All members of an alias, each of which is asked.
///
///     let found = try client.all("@search").get("/find?q=x")
///     let rows = try client.all("@shards").postgres { $0.execute("SELECT count(*) FROM post") }
///     let (first, _) = (await found.dispatch(quorum: 2), try await rows.fetch())
///
/// The corequests are in the order of the members; `dispatch()` returns all their responses, failures included, and `dispatch(quorum:)` waits for
/// as many successes as are needed.
public struct EveryMember: Sendable {
    package let client: SkeinClient
    package let alias: AliasState

    /// Starts a GET on every member.
    public func get(
        _ path: String, parameters: Parameters = [:], headers: Headers = Headers(), timeout: Duration? = nil
    ) -> CorequestGroup<HTTPResponse> {
        request(.get, path, parameters: parameters, headers: headers, timeout: timeout)
    }

    /// Starts a POST on every member.
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
    /// - Returns: the corequests in the order of the members; they end with code 701 when the alias is not one of HTTP.
    public func request(
        _ method: HTTPMethod, _ path: String, body: HTTPBody = .none, parameters: Parameters = [:],
        headers: Headers = Headers(), timeout: Duration? = nil
    ) -> CorequestGroup<HTTPResponse> {
        do throws(SkeinError) {
            guard alias.scheme.isHTTP else { throw alias.isNotHTTP }
            let url = try HTTPURL(alias.name + path, parameters: parameters)
            let request = HTTPRequest(method, url, headers: headers, body: body, timeout: timeout)
            return CorequestGroup(senders.map { $0(request, nil) })
        } catch {
            let request = HTTPRequest(method, .unusable(path), headers: headers, body: body)
            return CorequestGroup([client.http.fail(request, error)])
        }
    }

    /// Sends requests to one member each, and tells the balancer how they went.
    package typealias Sender = @Sendable (HTTPRequest, SkeinClient.Callback?) -> Corequest<HTTPResponse>

    /// A sender for each member, in their order.
    package var senders: [Sender] {
        alias.targets.map { [client, alias] id, target in
            { request, callback in
                let shard = client.shards[0]
                let attempt = alias.begin(on: id, at: shard.now)
                return client.start(target.request(request)) { response in
                    if let attempt {
                        alias.end(attempt, AliasState.outcome(response), since: response.began, at: shard.now)
                    }
                    (callback ?? client.sessionCallback)?(response)
                }
            }
        }
    }

    /// The members, in their order.
    package var targets: [AliasTarget] { alias.targets.map(\.target) }
}
