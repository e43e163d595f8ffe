// Routes of a program. A router is a value: it is configured, and then mounted.

import SkeinHTTP

/// An app that dispatches by method and path.
///
///     var blog = Router()
///     blog.get("/posts/<int:id>", name: "post") { request in
///         .text("post \(try request.parameter("id", as: Int.self)) is at \(request.url("/posts"))")
///     }
///
/// Segments are literal, `<name>`, `<int:name>`, `<float:name>`, `<uuid:name>`, `*` for any single segment, and at the
/// end `<path:name>` or `**` for the rest of the path. Literal segments take precedence, then stricter types. HEAD is
/// handled like GET; OPTIONS returns the allowed methods; any other method gets 405. A path without a route is passed
/// on, and results in 404 if no app serves it.
public struct Router: App, Routes {
    private struct Definition: Sendable {
        let method: HTTPMethod?
        let path: String
        let name: String?
        let app: any App
        /// Whether the app is mounted here, and not a route.
        var isMount = false
        /// Whether it is an alternative spelling of a route, with lower precedence than explicit routes.
        var isAlias = false
    }

    private var definitions: [Definition] = []
    private var middleware: [any Middleware] = []
    private let prefix: String

    /// A router without routes.
    /// - Parameter middleware: wraps all routes, the first the outermost. Default: none.
    public init(_ middleware: any Middleware...) {
        self.middleware = middleware
        prefix = ""
    }

    private init(prefix: String, middleware: [any Middleware]) {
        self.prefix = prefix
        self.middleware = middleware
    }

    /// Wraps all routes of the router in middleware, including those added before; the first is the outermost.
    public mutating func use(_ middleware: any Middleware...) { self.middleware += middleware }

    /// Adds a route.
    /// - Parameters:
    ///   - method: nil for all.
    ///   - path: the pattern; with an invalid one, the server does not start.
    ///   - name: the name for ``ServerRequest/url(to:_:)``. Default: none.
    ///   - middleware: wraps this route. Default: none.
    public mutating func on(
        _ method: HTTPMethod?, _ path: String, name: String? = nil, _ middleware: any Middleware..., app: some App
    ) {
        definitions.append(
            Definition(method: method, path: prefix + path, name: name, app: LayeredApp.wrap(app, in: middleware)))
    }

    /// Adds a route with a closure.
    public mutating func on(
        _ method: HTTPMethod?, _ path: String, name: String? = nil, _ middleware: any Middleware...,
        handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) {
        definitions.append(
            Definition(
                method: method, path: prefix + path, name: name,
                app: LayeredApp.wrap(ClosureApp(handler), in: middleware)))
    }

    /// Adds a route without its own middleware.
    public mutating func add(_ method: HTTPMethod?, _ path: String, name: String?, app: any App) {
        definitions.append(Definition(method: method, path: prefix + path, name: name, app: app))
    }

    /// Adds routes with a common prefix and middleware.
    public mutating func group(
        _ path: String, _ middleware: any Middleware..., routes: (inout Router) throws -> Void
    ) rethrows {
        var inner = Router(prefix: prefix + path, middleware: middleware)
        try routes(&inner)
        // "/" in a group is the path of the group itself, with or without a trailing slash.
        if !inner.prefix.isEmpty {
            inner.definitions += inner.definitions.filter { $0.path == inner.prefix + "/" && !$0.isMount }.map {
                Definition(method: $0.method, path: inner.prefix, name: nil, app: $0.app, isAlias: true)
            }
        }
        definitions += inner.definitions.map { definition in
            Definition(
                method: definition.method, path: definition.path, name: definition.name,
                app: LayeredApp.wrap(definition.app, in: inner.middleware), isMount: definition.isMount,
                isAlias: definition.isAlias)
        }
    }

    /// Serves another app at a path of this one and below; that path is its mount point.
    public mutating func mount(_ path: String, _ middleware: any Middleware..., app: some App) {
        definitions.append(
            Definition(
                method: nil, path: prefix + path, name: nil, app: LayeredApp.wrap(app, in: middleware), isMount: true))
    }

    /// Builds the tree.
    /// - Throws: code 701 for an invalid route, and the errors of the apps.
    public func bootstrap(at mount: MountPoint) async throws -> any App {
        var entries: [(segments: ArraySlice<RoutePattern.Segment>, route: Route)] = []
        var named: [String: RoutePattern] = [:]
        for definition in definitions.filter({ !$0.isAlias }) + definitions.filter(\.isAlias) {
            if definition.isMount {
                guard try RoutePattern(definition.path).segments.allSatisfy(\.isLiteral) else {
                    throw SkeinError(
                        .exception,
                        because:
                            "\(definition.path.debugDescription) cannot be a mount path: a mount has no parameters; write the "
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

    /// Fails: a router can respond only after bootstrap, which an engine and an `HTTPServer` perform when they start.
    public func respond(to request: ServerRequest) async throws -> ServerResponse {
        throw SkeinError(
            .exception,
            because:
                "the router is not ready; mount it, or call bootstrap(at:) and use the app that it returns"
        )
    }
}
