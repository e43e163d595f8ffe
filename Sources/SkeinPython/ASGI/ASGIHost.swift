// An ASGI app as an app of the engine.

import CSkeinPython
import Logging
import SkeinCore
import SkeinEngine
import Synchronization

/// Passes requests to an ASGI app.
///
/// Unchecked: scopes and exchanges are used on Python's loop only.
final class ASGIHost: PythonHost, @unchecked Sendable {
    private let app: PythonObjectAddress
    private let loop: ASGILoop
    let configuration: PythonConfiguration
    let logger: Logger
    private var scopes: ASGIScopes
    /// The state that the app's lifespan sets for requests; nil if it has none.
    private var state: PythonObject?
    private var lifespan: PythonObject?
    private var exchanges: [ObjectIdentifier: ASGIExchange] = [:]
    private let running = Atomic<Int>(0)

    private init(
        _ app: PythonObjectAddress, _ loop: ASGILoop, _ scopes: ASGIScopes, _ configuration: PythonConfiguration,
        _ logger: Logger
    ) {
        self.app = app
        self.loop = loop
        self.scopes = scopes
        self.configuration = configuration
        self.logger = logger
    }

    /// Prepares an app: its lifespan has started.
    static func start(
        _ app: PythonObjectAddress, _ interpreter: PythonInterpreter, _ configuration: PythonConfiguration,
        _ mount: MountPoint,
        _ logger: Logger
    ) async throws -> ASGIHost {
        let loop = try await ASGILoop.started(interpreter)
        let host = try await interpreter.onMain {
            let root = String(decoding: Percent.lenientBytes(mount.path), as: UTF8.self)
            return ASGIHost(app, loop, try ASGIScopes(loop.words, root: root), configuration, logger)
        }
        if let problem = try await host.startLifespan(interpreter) {
            throw SkeinError(.exception, because: "the app does not start: \(problem)")
        }
        return host
    }

    var words: ASGIWords { loop.words }
    /// The app itself; borrowed.
    var callable: PythonObject { app.object }

    // MARK: Lifespan

    private func startLifespan(_ interpreter: PythonInterpreter) async throws -> String? {
        try await withCheckedThrowingContinuation { continuation in
            interpreter.enqueue {
                do throws(PythonError) {
                    guard let lifespan = PythonModule.function(.lifespan) else { throw PythonError.taken() }
                    let state = try PythonReference(PyDict_New())
                    let report = try Report.make { continuation.resume(returning: $0) }
                    self.state = PythonReference(to: state.object).release()
                    self.lifespan = try Python.call(lifespan, [self.callable, state.object, report.object]).release()
                } catch {
                    continuation.resume(throwing: SkeinError(.exception, because: error.message))
                }
            }
        }
    }

    /// Ends the app's lifespan, and cancels the coroutines that still run.
    func end(within timeout: Duration) async {
        // Coroutines may continue after their response, as background tasks do.
        let end = ContinuousClock.now + timeout
        while running.load(ordering: .relaxed) > 0, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(20))
        }
        try? await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            loop.interpreter.enqueue {
                for exchange in self.exchanges.values { exchange.cancel() }
                do {
                    guard let lifespan = self.lifespan else { return continuation.resume() }
                    let stop = try PythonReference(PyObject_GetAttrString(lifespan, "stop"))
                    let report = try Report.make { _ in continuation.resume() }
                    _ = try Python.call(stop.object, report)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    func metrics(mount: String) -> [AppMetric] {
        [AppMetric("skein_python_coroutines", mount: mount, Double(running.load(ordering: .relaxed)))]
    }

    // MARK: Requests

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        let facts = RequestFacts(request)
        request.endWithClient()
        if request.wantsWebSocket { return try await SocketCall(request, facts, self).answer(on: loop) }
        return try await HTTPCall(request, facts, self).answer(on: loop)
    }

    /// On Python's loop.
    func makeScope(_ request: ServerRequest, _ facts: RequestFacts) throws(PythonError) -> PythonReference {
        try scopes.make(request, facts, state: state)
    }

    func began(_ exchange: ASGIExchange) {
        exchanges[ObjectIdentifier(exchange)] = exchange
        running.add(1, ordering: .relaxed)
    }

    func ended(_ exchange: ASGIExchange) {
        if exchanges.removeValue(forKey: ObjectIdentifier(exchange)) != nil { running.subtract(1, ordering: .relaxed) }
    }

    /// The response to the client when an app fails.
    func errorPage(_ error: PythonError) -> ServerResponse {
        .text(
            (configuration.showsTracebacks ? error.traceback : "Internal Server Error") + "\n",
            status: .internalServerError)
    }

    /// A function that Python calls once, with a string or None.
    private final class Report {
        private let closure: (String?) -> Void

        private init(_ closure: @escaping (String?) -> Void) { self.closure = closure }

        static func make(_ closure: @escaping (String?) -> Void) throws(PythonError) -> PythonReference {
            let own = try PythonReference(
                PyCapsule_New(Unmanaged.passRetained(Report(closure)).toOpaque(), nil) { capsule in
                    if let pointer = PyCapsule_GetPointer(capsule, nil) {
                        Unmanaged<Report>.fromOpaque(pointer).release()
                    }
                })
            return try PythonReference(definition.make(self: own.object))
        }

        private static let definition = PythonDefinition("report") { own, arguments, count in
            guard let own, let pointer = PyCapsule_GetPointer(own, nil), count == 1, let arguments else { return nil }
            let report = Unmanaged<Report>.fromOpaque(pointer).takeUnretainedValue()
            report.closure(Python.isNone(arguments[0]) ? nil : Python.string(arguments[0]) ?? "")
            return skein_py_none()
        }
    }
}
