// Routes as a program writes them. A router is a value: it is put together, and mounted.

import SkeinHTTP

/// An app that chooses by method and path.
///
///     var blog = Router()
///     blog.get("/posts/<int:id>", name: "post") { request in
///         .text("post \(try request.parameter("id", as: Int.self)) is at \(request.url("/posts"))")
///     }
///
/// Segments are literal, `<name>`, `<int:name>`, `<float:name>`, `<uuid:name>`, `*` for any one, and at the end `<path:name>` or `**`
/// for all that is left. Literal ones go first, then the stricter kinds. HEAD is answered as GET is, OPTIONS with the methods that
/// are there, another method with 405; a path without a route is passed on, and is 404 in the end.
public struct Router: App {
    private struct Definition: Sendable {
        let method: HTTPMethod?
        let path: String
        let name: String?
        let app: any App
        /// Whether the app has a mount of its own here, and not a route.
        var isMount = false
    }

    private var definitions: [Definition] = []
    private var middleware: [any Middleware] = []
    private let prefix: String

    /// A router without routes.
    /// - Parameter middleware: stands around all routes, the first the outermost. Default: none.
    public init(_ middleware: any Middleware...) {
        self.middleware = middleware
        prefix = ""
    }

    private init(prefix: String, middleware: [any Middleware]) {
        self.prefix = prefix
        self.middleware = middleware
    }

    /// Puts middleware around all routes of the router, those too that are there already; the first is the outermost.
    public mutating func use(_ middleware: any Middleware...) { self.middleware += middleware }

    /// Adds a route.
    /// - Parameters:
    ///   - method: nil for all.
    ///   - path: the pattern; a wrong one keeps the server from starting.
    ///   - name: by which ``ServerRequest/url(to:_:)`` finds it. Default: none.
    ///   - middleware: stands around this route. Default: none.
    public mutating func on(
        _ method: HTTPMethod?, _ path: String, name: String? = nil, _ middleware: any Middleware..., app: some App
    ) {
        definitions.append(
            Definition(method: method, path: prefix + path, name: name, app: LayeredApp.wrap(app, in: middleware)))
    }

    /// Adds a route of a closure.
    public mutating func on(
        _ method: HTTPMethod?, _ path: String, name: String? = nil, _ middleware: any Middleware...,
        handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) {
        definitions.append(
            Definition(
                method: method, path: prefix + path, name: name,
                app: LayeredApp.wrap(ClosureApp(handler), in: middleware)))
    }

    /// Adds routes with a prefix, and middleware around them.
    public mutating func group(
        _ path: String, _ middleware: any Middleware..., routes: (inout Router) throws -> Void
    ) rethrows {
        var inner = Router(prefix: prefix + path, middleware: middleware)
        try routes(&inner)
        definitions += inner.definitions.map { definition in
            Definition(
                method: definition.method, path: definition.path, name: definition.name,
                app: LayeredApp.wrap(definition.app, in: inner.middleware), isMount: definition.isMount)
        }
    }

    /// Serves another app at a path of this one and below; it knows that path as its mount.
    public mutating func mount(_ path: String, _ middleware: any Middleware..., app: some App) {
        definitions.append(
            Definition(
                method: nil, path: prefix + path, name: nil, app: LayeredApp.wrap(app, in: middleware), isMount: true))
    }

    /// Builds the tree.
    /// - Throws: code 701 for a route that is none, and what the apps throw.
    public func bootstrap(at mount: MountPoint) async throws -> any App {
        var entries: [(segments: ArraySlice<RoutePattern.Segment>, route: Route)] = []
        var named: [String: RoutePattern] = [:]
        for definition in definitions {
            if definition.isMount {
                guard try RoutePattern(definition.path).segments.allSatisfy(\.isLiteral) else {
                    throw SkeinError(
                        .exception,
                        because:
                            "\(definition.path.debugDescription) cannot be mounted at: a mount has no parameters; write the "
                            + "whole route, such as \"/users/<id>/files/<path:name>\"")
                }
                let point = try mount.below(definition.path)
                let app = MountedApp(app: try await definition.app.bootstrap(at: point), point: point)
                let path = String(point.path.dropFirst(mount.path.count))
                for pattern in [path, path + "/**"] where !pattern.isEmpty {
                    entries.append(
                        (try RoutePattern(pattern).segments[...], Route(method: nil, names: [], app: app)))
                }
                continue
            }
            let pattern = try RoutePattern(definition.path)
            if let name = definition.name { named[name] = pattern }
            let app = try await definition.app.bootstrap(at: mount)
            entries.append((pattern.segments[...], Route(method: definition.method, names: pattern.names, app: app)))
        }
        let tree = RoutedApp(root: RouteNode(entries), names: RouteNames(patterns: named))
        return LayeredApp.wrap(tree, in: try await middleware.ready(at: mount))
    }

    /// Says that a router answers once it was made ready: an engine and an `HTTPServer` do so when they start.
    public func respond(to request: ServerRequest) async throws -> ServerResponse {
        throw SkeinError(
            .exception,
            because:
                "a router answers requests once it is ready; mount it, or call bootstrap(at:) and use what that returns"
        )
    }
}

extension Router {
    /// Adds a route for GET and HEAD.
    public mutating func get(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { on(.get, path, name: name, handler: handler) }

    /// Adds a route for POST.
    public mutating func post(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { on(.post, path, name: name, handler: handler) }

    /// Adds a route for PUT.
    public mutating func put(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { on(.put, path, name: name, handler: handler) }

    /// Adds a route for PATCH.
    public mutating func patch(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { on(.patch, path, name: name, handler: handler) }

    /// Adds a route for DELETE.
    public mutating func delete(
        _ path: String, name: String? = nil,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) { on(.delete, path, name: name, handler: handler) }

    /// Adds a route that opens a WebSocket, by GET over HTTP/1.1 and by CONNECT over HTTP/2.
    /// - Parameters:
    ///   - origins: whose pages may open one, such as `https://example.org`; `*` for any. Clients that are no browsers say nothing of an
    ///     origin, and may. Default: pages of the same host.
    ///   - serve: has the socket as long as it runs.
    public mutating func webSocket(
        _ path: String, _ options: WebSocketOptions = WebSocketOptions(), origins: [String] = [],
        serve: @escaping @Sendable (WebSocket, ServerRequest) async throws -> Void
    ) {
        let app = ClosureApp { request in
            try request.webSocket(options, origins: origins) { try await serve($0, request) }
        }
        on(.get, path, app: app)
        on(.connect, path, app: app)
    }
}
