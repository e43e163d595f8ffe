// An app that can be replaced while the server runs.

import SkeinCore
import SkeinHTTP
import Synchronization

/// Responds with the current app. Requests in flight finish with the app that they started with.
final class ReplaceableApp: App {
    private let current: Mutex<any App>

    init(_ app: any App) { current = Mutex(app) }

    var app: any App {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    func bootstrap(at mount: MountPoint) async throws -> any App {
        app = try await app.bootstrap(at: mount)
        return self
    }

    func respond(to request: ServerRequest) async throws -> ServerResponse { try await app.respond(to: request) }
}

extension HTTPServer {
    /// Replaces what is served: mounts, middleware, aliases, caches, the forward proxy. Connections stay open, and
    /// requests in flight finish with the old apps. An alias of both engines keeps its statistics; one that only the
    /// old engine has is removed after a minute.
    ///
    /// Addresses, certificate paths, limits, threads and the log do not change: see
    /// ``ServerConfiguration/changesForRestart(to:)``.
    /// - Throws: a bootstrap error of an app, and code 701 for a server that does not run or was not made by
    ///   ``Engine/replaceableServer()``; the old apps are served on.
    public func replace(with engine: Engine) async throws {
        guard let replaceable, let client = skein else {
            throw SkeinError(
                .exception, because: "only the apps of a running Engine.replaceableServer() can be replaced")
        }
        let shutdown = ShutdownWork(client, within: context.configuration.shutdownTimeout)
        do {
            let app = try await engine.app.bootstrap(at: .root(shutdown))
            for name in engine.configuration.aliases.map(\.name) { try Alias.check(name: name) }
            for (name, alias) in engine.configuration.aliases { try client.alias(name, alias) }
            replaceable.app = app
            context.work = shutdown
            show(app)
        } catch {
            await shutdown.run()
            throw error
        }
        let before = state.withLock { state in
            defer { state.shutdown = [shutdown] + state.shutdown }
            return state.shutdown
        }
        let names = engine.configuration.aliases.map(\.name)
        let gone = client.aliasNames.filter { name in !names.contains { $0.equalsBytes(name) } }
        // Requests that started with the old apps may still use them for a while.
        Task {
            try await Task.sleep(for: .seconds(60))
            for work in before { await work.run() }
            let inUse = (replaceable.app as? EngineApp)?.aliases ?? []
            for name in gone where !inUse.contains(where: { $0.equalsBytes(name) }) { client.removeAlias(name) }
        }
    }
}
