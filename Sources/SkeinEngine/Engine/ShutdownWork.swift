// Work of apps after the server has stopped.

import SkeinHTTP
import Synchronization

/// Shutdown work, run in the reverse order of registration.
final class ShutdownWork: Sendable {
    private let work = Mutex<[@Sendable () async -> Void]>([])
    private let numbers = Mutex<[@Sendable () -> [AppMetric]]>([])
    /// The client of the server, which exists until this work is done.
    let client: SkeinClient?

    /// The time limit.
    let timeout: Duration

    init(_ client: SkeinClient?, within timeout: Duration) {
        self.client = client
        self.timeout = timeout
    }

    func add(_ piece: @escaping @Sendable () async -> Void) { work.withLock { $0.append(piece) } }

    func add(_ metrics: @escaping @Sendable () -> [AppMetric]) { numbers.withLock { $0.append(metrics) } }

    /// The metrics of the apps, with their current values.
    var metrics: [AppMetric] { numbers.withLock { $0 }.flatMap { $0() } }

    /// Runs all work, once. It is not waited for longer than the timeout and some seconds.
    func run() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let end = End(continuation)
            Task {
                await doAll()
                end.reach()
            }
            Task {
                try? await Task.sleep(for: timeout + .seconds(3))
                end.reach()
            }
        }
    }

    /// Resumes on the first of two events.
    private final class End: Sendable {
        private let continuation: Mutex<CheckedContinuation<Void, Never>?>

        init(_ continuation: CheckedContinuation<Void, Never>) { self.continuation = Mutex(continuation) }

        func reach() {
            let first = continuation.withLock { continuation in
                defer { continuation = nil }
                return continuation
            }
            first?.resume()
        }
    }

    private func doAll() async {
        let pieces = work.withLock { work in
            defer { work = [] }
            return work
        }
        for piece in pieces.reversed() { await piece() }
    }
}

/// A metric of an app, for Prometheus.
package struct AppMetric: Sendable {
    let name: String
    let kind: String
    let labels: [String]
    let value: Double

    /// - Parameters:
    ///   - name: the Prometheus name, with its unit: `skein_python_threads`.
    ///   - isCounter: whether it is a counter.
    ///   - mount: the mount point of the app.
    package init(_ name: String, isCounter: Bool = false, mount: String, _ value: Double) {
        self.name = name
        kind = isCounter ? "counter" : "gauge"
        labels = ["mount=\"\(PrometheusText.escape(mount.isEmpty ? "/" : mount))\""]
        self.value = value
    }
}

extension MountPoint {
    /// The time limit for the shutdown of apps.
    package var shutdownTimeout: Duration { shutdown?.timeout ?? .seconds(10) }

    /// Adds metrics of an app that is being bootstrapped to the metrics page.
    package func addMetrics(_ metrics: @escaping @Sendable () -> [AppMetric]) { shutdown?.add(metrics) }

    /// Registers shutdown work of an app that is being bootstrapped: `bootstrap(at:)` opens resources, this closes
    /// them.
    ///
    /// It starts when the last request has been answered, and the server waits for it. For a replaced app, it starts a
    /// minute later.
    ///
    /// The server does not wait much longer than ``ServerConfiguration/shutdownTimeout``.
    public func atShutdown(_ work: @escaping @Sendable () async -> Void) { shutdown?.add(work) }
}
