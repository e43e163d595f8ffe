// An engine as a program describes it: where it listens, what it serves at which path, and what it does about the rest.

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

/// A server of apps, files and whatever else is an ``App``, each at a path of its own.
///
///     var engine = Engine(ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 8080)]))
///     engine.get("/hello/<name>") { "Hello, \(try $0.parameter("name", as: String.self))" }
///     engine.mount("/static", .directory("public"))
///     engine.mount("/v1", api)
///     try await engine.serve()
///
/// The mount with the longest path that holds a request's path answers it; of several at one path, the first that does not throw
/// ``NotServed``. What is mounted for a host goes before what is mounted for all.
public struct Engine: Service, Routes {
    /// Where an app's handlers run.
    public enum Execution: Sendable, Hashable {
        /// On the loop of the request's connection; they must not block.
        case loops
        /// On threads of the app's own, which may block. A request finds a free thread, or waits among so many others, or is
        /// answered with 503.
        case threads(Int, queue: Int = 256)
    }

    private struct Place: Sendable {
        let path: String
        let host: String?
        let app: any App
    }

    /// Addresses, TLS, limits, logs.
    public var configuration: ServerConfiguration
    /// The engine's own page for an error; nil from it, and by default, for the standard form: a page for browsers, a problem in
    /// JSON (RFC 9457) for others.
    public var errorPage: (@Sendable (ServerRequest, ServerError) -> ServerResponse?)?
    /// Serves as a forward proxy, too: clients that are set up for one send it the URLs of others, and CONNECT. Default: nil, it does not.
    public var forwardProxy: ForwardProxyConfiguration?
    /// What stands around everything that is mounted, the first outermost: `engine.middleware = [CORS("*"), Gateway(tokens)]`. Default: none.
    public var middleware: [any Middleware] = []
    /// The challenges of a certificate authority, answered before anything else. Default: none.
    public var challenges: CertificateChallenges?
    private var places: [Place] = []
    private var aliasPolicies: [(name: String, policy: AccessPolicy)] = []
    /// Routes of the engine's own, which come before what is mounted at its root.
    private var routes: Router?

    /// An engine that serves nothing yet.
    public init(_ configuration: ServerConfiguration = ServerConfiguration()) { self.configuration = configuration }

    /// Serves an app at a path and below.
    /// - Parameters:
    ///   - path: begins with a slash.
    ///   - host: a name, or `*.example.org` for all below it. Default: every host.
    ///   - execution: where the app's handlers run. Default: on the loops.
    ///   - access: who may use it; identities come from a ``Gateway`` in ``middleware``. Default: everybody.
    public mutating func mount(
        _ path: String, host: String? = nil, on execution: Execution = .loops, access: AccessPolicy? = nil,
        _ app: some App
    ) {
        var served: any App = app
        if case .threads(let count, let queue) = execution { served = ThreadedApp(app, threads: count, queue: queue) }
        if let access { served = LayeredApp(middleware: AccessControl(access), app: served) }
        places.append(Place(path: path, host: host, app: served))
    }

    /// Serves an app of any type inside of middleware, the first outermost.
    package mutating func mount(_ path: String, host: String?, _ app: any App, inside middleware: [any Middleware]) {
        places.append(Place(path: path, host: host, app: LayeredApp.wrap(app, in: middleware)))
    }

    /// Gives a name to back ends: `engine.alias("@search", try .http("10.0.0.1:5001 20", "10.0.0.2:5001 10"))`. Handlers ask them by
    /// `request.skein`, and ``UpstreamApp`` passes requests on to them.
    /// - Parameters:
    ///   - name: begins with `@`; letters, digits, dots, hyphens and underscores follow. One that cannot be read keeps the server from
    ///     starting.
    ///   - alias: the members, and how requests are spread over them.
    ///   - access: whose requests ``UpstreamApp`` passes on to it, wherever it is mounted. Default: everybody's. What handlers ask by
    ///     themselves is not restricted.
    public mutating func alias(_ name: String, _ alias: Alias, access: AccessPolicy? = nil) {
        configuration.aliases.append((name, alias))
        if let access { aliasPolicies.append((name, access)) }
    }

    /// Adds a route at the root: `engine.get("/hello/<name>") { "Hello, \(try $0.parameter("name", as: String.self))" }`.
    ///
    /// As all that is mounted at the root, it is asked for a path that no mount with a longer one holds.
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

    /// The server of this engine, which is started and stopped by whoever asks for it.
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

    /// Serves until the service group shuts down or the task is cancelled; then what is under way is finished.
    /// - Throws: what keeps the server from starting.
    public func run() async throws { try await server().run() }

    /// Serves until SIGTERM or SIGINT; then what is under way is finished. SIGHUP reads certificates again and begins new log files.
    /// - Throws: what keeps the server from starting.
    public func serve() async throws {
        try await serve(server()) { $0.reload() }
    }

    /// Serves a server of this engine until SIGTERM or SIGINT.
    /// - Parameter reload: what SIGHUP does.
    package func serve(_ server: HTTPServer, reload: @escaping @Sendable (HTTPServer) async -> Void) async throws {
        // From here on, and not when a task has begun: before, the signal would end the process.
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

    /// Makes every app ready.
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
    /// A path beside the program: where its own files are, wherever it is started from.
    /// - Parameter path: relative to the folder of the executable.
    public static func resource(_ path: String) -> String {
        let real = realpath("/proc/self/exe", nil) ?? realpath(CommandLine.arguments[0], nil)
        defer { free(real) }
        let program = real.map { String(cString: $0) } ?? CommandLine.arguments[0]
        return "\(program.splitBytes(separator: "/").dropLast().reduce("") { "\($0)/\($1)" })/\(path)"
    }
}

/// An engine before its apps are ready.
private struct Assembly: App {
    let engine: Engine

    func bootstrap(at mount: MountPoint) async throws -> any App { try await engine.assemble(mount.shutdown) }

    func respond(to request: ServerRequest) async throws -> ServerResponse { throw ServerError(.serviceUnavailable) }
}
