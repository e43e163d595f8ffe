// A reverse proxy: an app that forwards requests to a back end and streams its responses back.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// Forwards requests to a back end, or to the members of an alias.
///
///     var engine = Engine()
///     engine.alias("@search", try .http("10.0.0.1:5001 20", "10.0.0.2:5001 10"))
///     engine.mount("/search", .upstream("@search/search"))
///     engine.mount("/", .upstream("http://127.0.0.1:9000"))
///
/// Content is streamed in both directions with back-pressure. WebSockets, interim responses, trailers and gRPC are supported, with HTTP/1.1
/// or HTTP/2 on either side. A failed back end results in 502, a timeout in 504, and an alias without a usable member in 503; the cause is
/// logged. When a back end fails in the middle of a response, the client's connection or stream is closed abnormally.
public struct UpstreamApp: App {
    private let url: String
    let configuration: UpstreamConfiguration
    let fields: ForwardedFields
    private let origin: HTTPOrigin?
    private let mapping: PathMapping?
    private let policies: [AccessPolicy]

    /// A proxy for one URL.
    /// - Parameters:
    ///   - url: `http://host:port/path`, `https://…`, `http+unix://%2Frun%2Fapp.sock/path`, or `@alias/path` for an alias of the engine.
    ///   - configuration: paths, fields, time limits.
    public init(_ url: String, _ configuration: UpstreamConfiguration = UpstreamConfiguration()) {
        self.init(url, configuration, origin: nil, mapping: nil, policies: [])
    }

    private init(
        _ url: String, _ configuration: UpstreamConfiguration, origin: HTTPOrigin?, mapping: PathMapping?,
        policies: [AccessPolicy]
    ) {
        self.url = url
        self.configuration = configuration
        self.origin = origin
        self.mapping = mapping
        self.policies = policies
        fields = ForwardedFields(configuration)
    }

    /// Reads the URL.
    /// - Throws: code 701 when the URL, a pattern or a field of the options cannot be used.
    public func bootstrap(at mount: MountPoint) async throws -> any App {
        let target = try HTTPURL(url)
        guard target.target.firstByte("?") == nil else {
            throw SkeinError(
                .exception, because: "\(url) has a query; the URL of a back end may have a path, but not a query")
        }
        if let problem = configuration.requestHeaders.problem ?? configuration.responseHeaders.problem {
            throw SkeinError(.exception, because: problem.description, cause: problem)
        }
        let mapping = try PathMapping(base: target.target, configuration)
        let name = url.prefix(before: "/")
        let policies = mount.aliasPolicies.filter { $0.name.equalsBytes(name) }.map(\.policy)
        return UpstreamApp(url, configuration, origin: target.origin, mapping: mapping, policies: policies)
    }

    /// Forwards a request.
    public func respond(to request: ServerRequest) async throws -> ServerResponse {
        // The back end may decode slashes before it resolves dots.
        if let plain = RequestPath.readWithSlashes(request.scope.path) { try RequestPath.refuseDots(plain) }
        for policy in policies { try policy.require(request) }
        if request.shard.isCurrent { request.channel?.endsWithClient() }
        if let name = upgrade(of: request) { return try await forward(request, upgradingTo: name) }
        switch request.method {
        case .connect: throw ServerError(.methodNotAllowed, "this server does not open tunnels")
        case "PURGE": if let cache = configuration.cache { return try await purge(cache, request) }
        case .options where request.headers["Max-Forwards"] == "0": return Self.ownOptions
        case .trace: throw ServerError(.methodNotAllowed, "TRACE is not forwarded")
        default: break
        }
        guard request.query?.containsBytes("#") != true else {
            throw ServerError(.badRequest, "the query holds a fragment")
        }
        let headers = try fields.request(request)
        let content = HTTPBody.forwarding(request, keeping: configuration.replayedContent)
        let outgoing = outgoing(request.method, request, headers, content)
        if let cache = configuration.cache {
            return answer(try await sendCached(cache, outgoing, for: request), to: request)
        }
        return answer(try await send(outgoing, for: request), to: request)
    }

    /// The response to OPTIONS with `Max-Forwards: 0` (RFC 9110, section 7.6.2).
    private static let ownOptions = ServerResponse(
        .noContent, headers: ["Allow": "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"])

    /// The request for the back end.
    func outgoing(_ method: HTTPMethod, _ request: ServerRequest, _ headers: Headers, _ content: HTTPBody)
        -> HTTPRequest
    {
        .forwarded(
            method, url(for: request), headers: headers, body: content, timeout: configuration.responseTimeout,
            interimResponses: request.version == .http1_0 ? nil : request.channel, http2: configuration.http2,
            times: ConnectionTimes(connect: configuration.connectTimeout, silence: configuration.readTimeout))
    }

    // MARK: The cache

    /// Sends a request to the back end, unless the cache has the response.
    private func sendCached(_ cache: HTTPCache, _ outgoing: HTTPRequest, for request: ServerRequest) async throws
        -> HTTPResponse
    {
        var outgoing = outgoing
        outgoing.cacheKey = Self.cacheKey(request)
        outgoing.isPersonal = request.identity != nil || request.headers.contains("Authorization")
        let client = request.scope.owner.skein.http
        let shown = outgoing
        let response = await within(configuration.timeout) { await cache.send(shown, next: client.service) }
        return try checked(response)
    }

    /// The URL as the client requests it, before path mapping.
    private static func cacheKey(_ request: ServerRequest) -> String {
        let host = request.isFromTrustedProxy ? request.headers["X-Forwarded-Host"] : nil
        let named = host.map { "\(request.isSecure ? "https" : "http")://\($0)" } ?? ownURL(request)
        return named.lowercased() + String(buffer: request.scope.path) + (request.query.map { "?\($0)" } ?? "")
    }

    private func purge(_ cache: HTTPCache, _ request: ServerRequest) async throws -> ServerResponse {
        try Watchers.local.require(request)
        if let tag = request.headers["Cache-Tag"] { return .text("\(await cache.purge(tag: tag))\n") }
        var key = Self.cacheKey(request)
        if key.hasByteSuffix("*") {
            key.removeLast()
            return .text("\(await cache.purge(prefix: key))\n")
        }
        await cache.purge(key)
        return ServerResponse(.noContent)
    }

    private func url(for request: ServerRequest) -> HTTPURL {
        guard let origin, let mapping else { return .unusable(url) }
        let path = mapping.path(request.scope.path, localStart: request.scope.localStart)
        return HTTPURL(origin: origin, target: request.query.map { "\(path)?\($0)" } ?? path)
    }

    /// Sends a request to the back end and waits for the head of the response.
    func send(_ outgoing: HTTPRequest, for request: ServerRequest) async throws -> HTTPResponse {
        let client = request.scope.owner.skein.http
        return try checked(await within(configuration.timeout) { await client.start(outgoing).dispatch() })
    }

    private func within(_ timeout: Duration?, _ work: () async -> HTTPResponse) async -> HTTPResponse {
        guard let timeout else { return await work() }
        return await Deadline.$current.withValue(.after(timeout), operation: work)
    }

    private func checked(_ response: HTTPResponse) throws -> HTTPResponse {
        guard let failure = response.failure else { return response }
        // The client has left, or its content is incomplete.
        if Task.isCancelled { throw CancellationError() }
        if let refusal = failure.cause as? ServerError { throw refusal }
        throw failure
    }

    /// The response for the client.
    func answer(_ response: HTTPResponse, to request: ServerRequest) -> ServerResponse {
        var headers = fields.response(response.headers)
        if configuration.rewritesLocations { rewriteLocations(&headers, request) }
        let status = (200...599).contains(response.statusCode) ? HTTPStatus(response.statusCode) : HTTPStatus(502)
        let body = HTTPBody.forwarding(response, to: request, buffering: configuration.responseBuffering)
        return ServerResponse(status, headers: headers, body: body)
    }

    private func rewriteLocations(_ headers: inout Headers, _ request: ServerRequest) {
        guard headers.contains("Location") || headers.contains("Content-Location") else { return }
        guard let origin, let mapping, !mapping.isIdentity(mount: request.mount.path) || !origin.isAlias else { return }
        for name in ["Location", "Content-Location"] {
            guard let value = headers[name] else { continue }
            var path = value[...]
            if !path.hasBytePrefix("/") {
                // Only the back end's own URL is translated; a URL of the client's view is right already.
                let own = "\(origin)"
                guard !origin.isAlias, path.hasBytePrefix(own), !own.equalsBytes(Self.ownURL(request)) else { continue }
                path = path.droppingBytes(first: own.utf8.count)
                if path.isEmpty { path = "/" }
                guard path.hasBytePrefix("/") else { continue }
            } else if path.hasBytePrefix("//") {
                continue
            }
            guard let original = mapping.original(path, mount: request.mount.path) else { continue }
            headers[name] = original.isEmpty ? "/" : original
        }
    }

    private static func ownURL(_ request: ServerRequest) -> String {
        "\(request.isSecure ? "https" : "http")://\(request.targetAuthority ?? request.headers["Host"] ?? "")"
    }
}

extension App where Self == UpstreamApp {
    /// A back end, or the members of an alias: `engine.mount("/search", .upstream("@search/search"))`.
    /// - Parameters:
    ///   - url: `http://host:port/path`, `https://…`, `http+unix://%2Frun%2Fapp.sock/path`, or `@alias/path`.
    ///   - configuration: paths, fields, time limits.
    public static func upstream(_ url: String, _ configuration: UpstreamConfiguration = UpstreamConfiguration())
        -> UpstreamApp
    {
        UpstreamApp(url, configuration)
    }
}
