// Middleware: answers requests itself, or changes requests and responses.

/// Wraps an app.
public protocol Middleware: Sendable {
    /// Answers a request.
    /// - Parameters:
    ///   - request: the request.
    ///   - next: the wrapped app.
    func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse

    /// Prepares the middleware, once, before the first request. Default: nothing.
    /// - Throws: an error that prevents the start of the server.
    func bootstrap(at mount: MountPoint) async throws -> any Middleware
}

extension Middleware {
    /// The middleware itself.
    public func bootstrap(at mount: MountPoint) async throws -> any Middleware { self }
}

/// Middleware from a closure.
public struct ClosureMiddleware: Middleware {
    private let closure: @Sendable (ServerRequest, any App) async throws -> ServerResponse

    /// Wraps a closure, which gets the request and the wrapped app.
    public init(_ closure: @escaping @Sendable (ServerRequest, any App) async throws -> ServerResponse) {
        self.closure = closure
    }

    /// Calls the closure.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        try await closure(request, next)
    }
}

extension App {
    /// The app wrapped in middleware, the first of which is the outermost.
    public func inside(_ middleware: any Middleware...) -> some App { inside(middleware) }

    /// The app wrapped in a list of middleware, the first of which is the outermost.
    public func inside(_ middleware: [any Middleware]) -> some App { AnyApp(LayeredApp.wrap(self, in: middleware)) }
}

/// An app wrapped in one middleware.
struct LayeredApp: App {
    let middleware: any Middleware
    let app: any App

    /// The app wrapped in all of them, the first the outermost.
    static func wrap(_ app: any App, in middleware: [any Middleware]) -> any App {
        middleware.reversed().reduce(app) { LayeredApp(middleware: $1, app: $0) }
    }

    func bootstrap(at mount: MountPoint) async throws -> any App {
        LayeredApp(middleware: try await middleware.bootstrap(at: mount), app: try await app.bootstrap(at: mount))
    }

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        try await middleware.respond(to: request, next: app)
    }
}

/// An app of any type.
struct AnyApp: App {
    private let app: any App

    init(_ app: any App) { self.app = app }

    func bootstrap(at mount: MountPoint) async throws -> any App { try await app.bootstrap(at: mount) }
    func respond(to request: ServerRequest) async throws -> ServerResponse { try await app.respond(to: request) }
}

extension [any Middleware] {
    /// All middleware, bootstrapped.
    func ready(at mount: MountPoint) async throws -> [any Middleware] {
        var all: [any Middleware] = []
        for one in self { all.append(try await one.bootstrap(at: mount)) }
        return all
    }
}
