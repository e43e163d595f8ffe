// Methods that add routes to a router or an engine.

import SkeinHTTP

/// A type that routes can be added to.
public protocol Routes {
    /// Adds a route.
    /// - Parameters:
    ///   - method: nil for all.
    ///   - path: the pattern, such as `/posts/<int:id>`; with an invalid one, the server does not start.
    ///   - name: the name for ``ServerRequest/url(to:_:)``.
    ///   - app: handles the requests.
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
    ///   - origins: the allowed origins, such as `https://example.org`; `*` for any. Clients other than browsers send
    ///     no origin, and are allowed. Default: the same host.
    ///   - serve: uses the socket, which is closed when it returns.
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
    /// The response for a handler's value.
    fileprivate init(value: some Encodable) {
        if let text = value as? String { self = .text(text) } else { self = .json(value) }
    }
}
