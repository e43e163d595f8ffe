// A WSGI app as an app of the engine.

import CSkeinPython
import Logging
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinWorkers

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Passes requests to the threads that call a WSGI app.
final class WSGIHost: PythonHost {
    private let app: PythonObjectAddress
    private let base: PythonObjectAddress
    let configuration: PythonConfiguration
    let logger: Logger
    let pool: PythonThreadPool

    private init(
        _ app: PythonObjectAddress, base: PythonObjectAddress, _ configuration: PythonConfiguration, _ logger: Logger,
        _ pool: PythonThreadPool
    ) {
        self.app = app
        self.base = base
        self.configuration = configuration
        self.logger = logger
        self.pool = pool
    }

    func end(within timeout: Duration) async {
        await pool.untilIdle(within: timeout)
        pool.end()
    }

    func metrics(mount: String) -> [AppMetric] {
        let counts = pool.counts
        return [
            AppMetric("skein_python_threads", mount: mount, Double(counts.threads)),
            AppMetric("skein_python_idle_threads", mount: mount, Double(counts.idle)),
            AppMetric("skein_python_hanging_threads", mount: mount, Double(counts.lost)),
            AppMetric("skein_python_queued_requests", mount: mount, Double(counts.waiting)),
            AppMetric("skein_python_calls_total", isCounter: true, mount: mount, Double(counts.calls)),
            AppMetric("skein_python_lock_wait_seconds_total", isCounter: true, mount: mount, counts.lockWait),
        ]
    }

    static func make(
        _ app: PythonObjectAddress, _ interpreter: PythonInterpreter, _ configuration: PythonConfiguration,
        _ mount: MountPoint,
        _ logger: Logger
    ) async throws -> WSGIHost {
        let base = try await interpreter.onMain {
            let root = String(decoding: Percent.lenientBytes(mount.path), as: UTF8.self)
            return PythonObjectAddress(
                try EnvironBuilder.base(root: root, isMultiprocess: WorkerLink.current != nil).release())
        }
        let parallelism = try await interpreter.onMain {
            guard let function = PythonModule.function(.parallelism) else { throw PythonError.taken() }
            let count = try Python.call(function)
            return Int(PyLong_AsLongLong(count.object))
        }
        let threads = max(1, configuration.threads ?? parallelism)
        let limits = ThreadPoolMachine.Limits(
            minimum: threads, maximum: max(threads, configuration.maximumThreads ?? 64), queue: configuration.queue,
            parallelism: max(1, parallelism))
        let pool = PythonThreadPool(
            limits, name: "python \(mount.path.isEmpty ? "/" : mount.path)",
            requestTimeout: configuration.requestTimeout,
            logger: logger
        ) { call in
            Hang.report(call.request, logger) {
                call.answer(.failure(ServerError(504, "the app did not answer in time")))
            }
        }
        return WSGIHost(app, base: base, configuration, logger, pool)
    }

    /// The app itself; borrowed.
    var callable: PythonObject { app.object }
    /// The common entries of all environs; borrowed.
    var environ: PythonObject { base.object }

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        let facts = RequestFacts(request)
        let content = try await RequestContent.read(
            request, memory: configuration.contentInMemory, folder: configuration.buffering.folder)
        request.endWithClient()
        return try await WSGICall(request, facts, content, self).answer(by: pool)
    }

    /// The response to the client when an app fails.
    func errorPage(_ error: PythonError) -> ServerResponse {
        configuration.showsTracebacks
            ? .text(error.traceback + "\n", status: .internalServerError)
            : .text("Internal Server Error\n", status: .internalServerError)
    }
}
