// What apps do when the server that serves them has stopped.

import SkeinHTTP
import Synchronization

/// Work for the end, in the reverse order of its registration: what was made ready first may be needed last.
final class ShutdownWork: Sendable {
    private let work = Mutex<[@Sendable () async -> Void]>([])
    private let numbers = Mutex<[@Sendable () -> [AppMetric]]>([])
    /// The client of the server, which is there as long as this work is not done.
    let client: SkeinClient?

    /// How long it may take.
    let timeout: Duration

    init(_ client: SkeinClient?, within timeout: Duration) {
        self.client = client
        self.timeout = timeout
    }

    func add(_ piece: @escaping @Sendable () async -> Void) { work.withLock { $0.append(piece) } }

    func add(_ metrics: @escaping @Sendable () -> [AppMetric]) { numbers.withLock { $0.append(metrics) } }

    /// The numbers of the apps, as they are now.
    var metrics: [AppMetric] { numbers.withLock { $0 }.flatMap { $0() } }

    /// Does it all, once. What takes longer than the timeout and some seconds is not waited for.
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

    /// Whichever comes first.
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

/// A number of an app, for Prometheus.
package struct AppMetric: Sendable {
    let name: String
    let kind: String
    let labels: [String]
    let value: Double

    /// - Parameters:
    ///   - name: as Prometheus has it, with its unit: `skein_python_threads`.
    ///   - isCounter: whether it only grows.
    ///   - mount: where the app is.
    package init(_ name: String, isCounter: Bool = false, mount: String, _ value: Double) {
        self.name = name
        kind = isCounter ? "counter" : "gauge"
        labels = ["mount=\"\(PrometheusText.escape(mount.isEmpty ? "/" : mount))\""]
        self.value = value
    }
}

extension MountPoint {
    /// How long the server lets apps end.
    package var shutdownTimeout: Duration { shutdown?.timeout ?? .seconds(10) }

    /// Shows numbers of an app that is being made ready on the page of metrics.
    package func addMetrics(_ metrics: @escaping @Sendable () -> [AppMetric]) { shutdown?.add(metrics) }

    /// Registers work for the end of the server, for an app that is being made ready: `bootstrap(at:)` opens, this closes.
    ///
    /// It begins when the last request has been answered, and the server waits for it. Apps that were replaced end a minute later.
    ///
    /// It is not waited for much longer than ``ServerConfiguration/shutdownTimeout``.
    public func atShutdown(_ work: @escaping @Sendable () async -> Void) { shutdown?.add(work) }
}
