// The methods by which routes are added, to a router or to an engine.

import SkeinHTTP

/// What routes are added to.
public protocol Routes {
    /// Adds a route.
    /// - Parameters:
    ///   - method: nil for all.
    ///   - path: the pattern, such as `/posts/<int:id>`; a wrong one keeps the server from starting.
    ///   - name: by which ``ServerRequest/url(to:_:)`` finds it.
    ///   - app: answers its requests.
    mutating func add(_ method: HTTPMethod?, _ path: String, name: String?, app: any App)
}

extension Routes {
    /// Adds a route for GET and HEAD.
    public mutating func get(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { add(.get, path, name: name, app: ClosureApp(handler)) }

    /// Adds a route for GET and HEAD whose handler returns a value: text is sent as text, any other as JSON.
    public mutating func get<Value: Encodable & Sendable>(
        _ path: String, name: String? = nil, _ handler: @escaping @Sendable (ServerRequest) async throws -> Value
    ) { add(.get, path, name: name, app: ClosureApp { ServerResponse(value: try await handler($0)) }) }

    /// Adds a route for POST.
    public mutating func post(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { add(.post, path, name: name, app: ClosureApp(handler)) }

    /// Adds a route for POST whose handler returns a value: text is sent as text, any other as JSON.
    public mutating func post<Value: Encodable & Sendable>(
        _ path: String, name: String? = nil, _ handler: @escaping @Sendable (ServerRequest) async throws -> Value
    ) { add(.post, path, name: name, app: ClosureApp { ServerResponse(value: try await handler($0)) }) }

    /// Adds a route for PUT.
    public mutating func put(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { add(.put, path, name: name, app: ClosureApp(handler)) }

    /// Adds a route for PUT whose handler returns a value: text is sent as text, any other as JSON.
    public mutating func put<Value: Encodable & Sendable>(
        _ path: String, name: String? = nil, _ handler: @escaping @Sendable (ServerRequest) async throws -> Value
    ) { add(.put, path, name: name, app: ClosureApp { ServerResponse(value: try await handler($0)) }) }

    /// Adds a route for PATCH.
    public mutating func patch(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { add(.patch, path, name: name, app: ClosureApp(handler)) }

    /// Adds a route for PATCH whose handler returns a value: text is sent as text, any other as JSON.
    public mutating func patch<Value: Encodable & Sendable>(
        _ path: String, name: String? = nil, _ handler: @escaping @Sendable (ServerRequest) async throws -> Value
    ) { add(.patch, path, name: name, app: ClosureApp { ServerResponse(value: try await handler($0)) }) }

    /// Adds a route for DELETE.
    public mutating func delete(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { add(.delete, path, name: name, app: ClosureApp(handler)) }

    /// Adds a route for DELETE whose handler returns a value: text is sent as text, any other as JSON.
    public mutating func delete<Value: Encodable & Sendable>(
        _ path: String, name: String? = nil, _ handler: @escaping @Sendable (ServerRequest) async throws -> Value
    ) { add(.delete, path, name: name, app: ClosureApp { ServerResponse(value: try await handler($0)) }) }

    /// Adds a route that opens a WebSocket, by GET over HTTP/1.1 and by CONNECT over HTTP/2.
    /// - Parameters:
    ///   - origins: whose pages may open one, such as `https://example.org`; `*` for any. Clients that are no browsers say nothing of an
    ///     origin, and may. Default: pages of the same host.
    ///   - serve: has the socket as long as it runs.
    public mutating func webSocket(
        _ path: String, _ configuration: WebSocketConfiguration = WebSocketConfiguration(), origins: [String] = [],
        serve: @escaping @Sendable (WebSocket, ServerRequest) async throws -> Void
    ) {
        let app = ClosureApp { request in
            try request.webSocket(configuration, origins: origins) { try await serve($0, request) }
        }
        add(.get, path, name: nil, app: app)
        add(.connect, path, name: nil, app: app)
    }
}

extension ServerResponse {
    /// What a handler's value is sent as.
    fileprivate init(value: some Encodable) {
        if let text = value as? String { self = .text(text) } else { self = .json(value) }
    }
}
