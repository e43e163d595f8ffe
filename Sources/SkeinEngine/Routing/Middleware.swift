// What stands between requests and apps: values that may answer themselves, or change what goes in and comes out.

/// Stands around an app.
public protocol Middleware: Sendable {
    /// Answers a request.
    /// - Parameters:
    ///   - request: what is asked for.
    ///   - next: what is inside.
    func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse

    /// Makes the middleware ready, once, before the first request. Default: it is.
    /// - Throws: what keeps the server from starting.
    func bootstrap(at mount: MountPoint) async throws -> any Middleware
}

extension Middleware {
    /// The middleware itself.
    public func bootstrap(at mount: MountPoint) async throws -> any Middleware { self }
}

/// Middleware made of a closure.
public struct ClosureMiddleware: Middleware {
    private let closure: @Sendable (ServerRequest, any App) async throws -> ServerResponse

    /// Wraps a closure, which gets the request and what is inside.
    public init(_ closure: @escaping @Sendable (ServerRequest, any App) async throws -> ServerResponse) {
        self.closure = closure
    }

    /// Calls the closure.
    public func respond(to request: ServerRequest, next: any App) async throws -> ServerResponse {
        try await closure(request, next)
    }
}

extension App {
    /// The app inside of middleware, the first of which is the outermost.
    public func inside(_ middleware: any Middleware...) -> some App { inside(middleware) }

    /// The app inside of a list of middleware, the first of which is the outermost.
    public func inside(_ middleware: [any Middleware]) -> some App { AnyApp(LayeredApp.wrap(self, in: middleware)) }
}

/// An app inside of one middleware.
struct LayeredApp: App {
    let middleware: any Middleware
    let app: any App

    /// The app inside of all of them, the first the outermost.
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
    /// All made ready.
    func ready(at mount: MountPoint) async throws -> [any Middleware] {
        var all: [any Middleware] = []
        for one in self { all.append(try await one.bootstrap(at: mount)) }
        return all
    }
}
