// An app that another one replaces while it runs.

import SkeinCore
import SkeinHTTP
import Synchronization

/// Answers with the app that was set last. Requests that are under way end with the app that they began with.
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
    /// Replaces what is served: mounts, middleware, aliases, caches, the forward proxy. Connections stay open, and requests under way end as
    /// they began. An alias that both engines have keeps what was learned of its members; one that is gone is forgotten after a minute.
    ///
    /// Addresses, certificates' paths, limits, threads and the log stay as they are: see ``ServerConfiguration/changesForRestart(to:)``.
    /// - Throws: what keeps an app from being ready, and code 701 for a server that does not come of ``Engine/replaceableServer()`` or does not
    ///   run; what was served before is served on.
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
        // Requests that began with the apps before may go on for a while, and ask what is gone.
        Task {
            try await Task.sleep(for: .seconds(60))
            for work in before { await work.run() }
            let inUse = (replaceable.app as? EngineApp)?.aliases ?? []
            for name in gone where !inUse.contains(where: { $0.equalsBytes(name) }) { client.removeAlias(name) }
        }
    }
}
