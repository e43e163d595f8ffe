// An engine: its addresses, its mounts, and its common settings.

import ServiceLifecycle
import SkeinHTTP
import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A server of apps, files and any other ``App``, each at a path of its own.
///
///     var engine = Engine(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 8080)]))
///     engine.get("/hello/<name>") { "Hello, \(try $0.parameter("name", as: String.self))" }
///     engine.mount("/static", .directory("public"))
///     engine.mount("/v1", api)
///     try await engine.serve()
///
/// A request is handled by the mount with the longest matching path; of several at one path, by the first that does not
/// throw ``NotServed``. Mounts for one host take precedence over mounts for all hosts.
public struct Engine: Service, Routes {
    /// The threads that run an app's handlers.
    public enum Execution: Sendable, Hashable {
        /// On the loop of the request's connection; they must not block.
        case loops
        /// On threads of the app's own, which may block. Beyond the threads, a limited number of requests is queued;
        /// further ones are answered with 503.
        case threads(Int, queue: Int = 256)
    }

    private struct Place: Sendable {
        let path: String
        let host: String?
        let app: any App
    }

    /// Addresses, TLS, limits, logs.
    public var configuration: ServerConfiguration
    /// The engine's own error pages; nil, also returned from it, for the standard form: a page for browsers, a problem
    /// in JSON (RFC 9457) for other clients.
    public var errorPage: (@Sendable (ServerRequest, ServerError) -> ServerResponse?)?
    /// Also serves as a forward proxy: clients that use one send it URLs of other hosts, and CONNECT. Default: nil, no
    /// proxy.
    public var forwardProxy: ForwardProxyConfiguration?
    /// The middleware of all mounts, the first outermost: `engine.middleware = [CORS("*"), Gateway(tokens)]`. Default:
    /// none.
    public var middleware: [any Middleware] = []
    /// The challenges of a certificate authority, answered before all other handling. Default: none.
    public var challenges: CertificateChallenges?
    private var places: [Place] = []
    private var aliasPolicies: [(name: String, policy: AccessPolicy)] = []
    /// The engine's own routes, which come before apps mounted at its root.
    private var routes: Router?

    /// An engine without mounts.
    public init(_ configuration: ServerConfiguration = ServerConfiguration()) { self.configuration = configuration }

    /// Serves an app at a path and below.
    /// - Parameters:
    ///   - path: begins with a slash.
    ///   - host: a host name, or `*.example.org` for all subdomains. Default: every host.
    ///   - execution: the threads that run the app's handlers. Default: the event loops.
    ///   - access: the access policy; identities come from a ``Gateway`` in ``middleware``. Default: everybody.
    public mutating func mount(
        _ path: String, host: String? = nil, on execution: Execution = .loops, access: AccessPolicy? = nil,
        _ app: some App
    ) {
        var served: any App = app
        if case .threads(let count, let queue) = execution { served = ThreadedApp(app, threads: count, queue: queue) }
        if let access { served = LayeredApp(middleware: AccessControl(access), app: served) }
        places.append(Place(path: path, host: host, app: served))
    }

    /// Serves an app of any type wrapped in middleware, the first outermost.
    package mutating func mount(_ path: String, host: String?, _ app: any App, inside middleware: [any Middleware]) {
        places.append(Place(path: path, host: host, app: LayeredApp.wrap(app, in: middleware)))
    }

    /// Gives a name to back ends: `engine.alias("@search", try .http("10.0.0.1:5001 20", "10.0.0.2:5001 10"))`.
    /// Handlers send requests to it with `request.skein`, and ``UpstreamApp`` forwards requests to it.
    /// - Parameters:
    ///   - name: begins with `@`; letters, digits, dots, hyphens and underscores follow. With an invalid name, the
    ///     server does not start.
    ///   - alias: the members, and the load balancing between them.
    ///   - access: the policy for requests that an ``UpstreamApp`` forwards to it, wherever that is mounted. Default:
    ///     everybody. Requests of handlers are not restricted.
    public mutating func alias(_ name: String, _ alias: Alias, access: AccessPolicy? = nil) {
        configuration.aliases.append((name, alias))
        if let access { aliasPolicies.append((name, access)) }
    }

    /// Adds a route at the root: `engine.get("/hello/<name>") { "Hello, \(try $0.parameter("name", as: String.self))" }`.
    ///
    /// Like every mount at the root, it is used for paths that no longer mount matches.
    public mutating func add(_ method: HTTPMethod?, _ path: String, name: String?, app: any App) {
        var router = routes ?? Router()
        router.add(method, path, name: name, app: app)
        routes = router
    }

    /// Serves a closure at a path and below.
    public mutating func mount(
        _ path: String, host: String? = nil, on execution: Execution = .loops,
        _ handler: @escaping @Sendable (ServerRequest) async throws -> ServerResponse
    ) {
        mount(path, host: host, on: execution, ClosureApp(handler))
    }

    /// The server of this engine, to be started and stopped by the caller.
    public func server() -> HTTPServer { HTTPServer(served, app: Assembly(engine: self)) }

    private var served: ServerConfiguration {
        var configuration = configuration
        configuration.challenges = challenges
        return configuration
    }

    /// A server whose apps, middleware, aliases and caches can be replaced while it runs, by ``HTTPServer/replace(with:)``.
    public func replaceableServer() -> HTTPServer {
        HTTPServer(served, app: ReplaceableApp(Assembly(engine: self)))
    }

    /// The engine as one app, for tests.
    var app: some App { Assembly(engine: self) }

    /// Serves until the service group shuts down or the task is cancelled; then requests in flight are completed.
    /// - Throws: an error that prevents the start.
    public func run() async throws { try await server().run() }

    /// Serves until SIGTERM or SIGINT; then requests in flight are completed. SIGHUP reloads certificates and starts
    /// new log files.
    /// - Throws: an error that prevents the start.
    public func serve() async throws {
        try await serve(server()) { $0.reload() }
    }

    /// Serves a server of this engine until SIGTERM or SIGINT.
    /// - Parameter reload: the action on SIGHUP.
    package func serve(_ server: HTTPServer, reload: @escaping @Sendable (HTTPServer) async -> Void) async throws {
        // Installed here and not in a task: until then, the signal would end the process.
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in hangups { await reload(server) }
            }
            try await ServiceGroup(
                services: [server], gracefulShutdownSignals: [.sigint, .sigterm], logger: configuration.logger
            ).run()
            group.cancelAll()
        }
    }

    /// Bootstraps all apps.
    fileprivate func assemble(_ shutdown: ShutdownWork?) async throws -> EngineApp {
        var mounts: [Mount] = []
        let own = routes.map { [Place(path: "/", host: nil, app: $0)] } ?? []
        for place in own + places {
            var point = try MountPoint(place.path, host: place.host)
            point.aliasPolicies = aliasPolicies
            point.shutdown = shutdown
            let app = try await place.app.bootstrap(at: point)
            point.aliasPolicies = []
            point.shutdown = nil
            mounts.append(Mount(point: point, app: app))
        }
        let table = MountTable(mounts)
        var root = MountPoint.root(shutdown)
        root.aliasPolicies = aliasPolicies
        let ready = try await middleware.ready(at: root)
        return EngineApp(
            table: table, inner: ready.isEmpty ? nil : LayeredApp.wrap(MountedApps(table: table), in: ready),
            points: mounts.map(\.point), gate: Gate(configuration),
            pages: ErrorPages(custom: errorPage, logger: configuration.logger),
            forwardProxy: forwardProxy.map(ForwardProxy.init), challenges: challenges,
            aliases: configuration.aliases.map(\.name))
    }
}

extension Engine {
    /// A path relative to the program's executable, wherever it is started from.
    /// - Parameter path: relative to the folder of the executable.
    public static func resource(_ path: String) -> String {
        let real = realpath("/proc/self/exe", nil) ?? realpath(CommandLine.arguments[0], nil)
        defer { free(real) }
        let program = real.map { String(cString: $0) } ?? CommandLine.arguments[0]
        return "\(program.splitBytes(separator: "/").dropLast().reduce("") { "\($0)/\($1)" })/\(path)"
    }
}

/// An engine whose apps are not bootstrapped yet.
private struct Assembly: App {
    let engine: Engine

    func bootstrap(at mount: MountPoint) async throws -> any App { try await engine.assemble(mount.shutdown) }

    func respond(to request: ServerRequest) async throws -> ServerResponse { throw ServerError(.serviceUnavailable) }
}
