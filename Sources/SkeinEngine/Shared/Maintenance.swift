// Periodic work.

import Logging
import SkeinCore

/// Where periodic work runs.
public enum MaintenanceScope: Sendable {
    /// In each worker.
    case eachWorker
    /// In one of the workers; when that ends, in another one.
    case oneWorker
}

/// Periodic work.
struct Maintenance: Sendable {
    let name: String
    let interval: Duration
    let scope: MaintenanceScope
    let work: @Sendable (Shared) async throws -> Void

    /// Runs until the task is cancelled. An error is logged, and the work continues at the next interval.
    func run(_ shared: Shared, _ logger: Logger) async {
        var lock: (any SharedLock)?
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: interval)
                if scope == .oneWorker {
                    if let held = lock, !held.isHeld { lock = nil }
                    if lock == nil { lock = try await shared.core.backend.tryLock("maintain:\(name)") }
                    guard lock != nil else { continue }
                }
                try await work(shared)
            } catch is CancellationError {
                break
            } catch {
                logger.error("the maintenance task \(name) failed: \(error)")
            }
        }
        await lock?.release()
    }
}

extension Engine {
    /// Defines integers that all processes of the server share: `engine.defineStates("cluster.num-nodes")`.
    /// - Parameter names: at most 88 bytes each; at most 1024 names.
    public mutating func defineStates(_ names: String...) { configuration.sharing.states += names }

    /// Runs a handler for each message of any process of the server, this one included. Messages of one sender arrive
    /// in order.
    /// - Parameters:
    ///   - topic: the topic of the messages.
    ///   - handler: runs in every process, for one message after the other. ``Broadcast/missed`` counts messages that
    ///     were lost because this process was too slow.
    public mutating func onBroadcast(
        _ topic: String, _ handler: @escaping @Sendable (_ message: Broadcast, _ shared: Shared) async -> Void
    ) {
        configuration.sharing.handlers.append((topic, handler))
    }

    /// Runs a handler in every process when ``Shared/touch(_:)`` reports a change.
    public mutating func onChange(of name: String, _ handler: @escaping @Sendable (_ shared: Shared) async -> Void) {
        onBroadcast(Shared.changes + name) { _, shared in await handler(shared) }
    }

    /// Runs work periodically while the server runs: `engine.maintain(every: .seconds(60)) { shared in … }`.
    /// - Parameters:
    ///   - interval: the time between the end of a run and the next one.
    ///   - scope: whether it runs in each worker, or in one of them. Default: each.
    ///   - name: identifies the work across workers. Default: its index in the engine.
    ///   - work: the work; an error is logged, and the work continues at the next interval.
    public mutating func maintain(
        every interval: Duration, in scope: MaintenanceScope = .eachWorker, name: String? = nil,
        _ work: @escaping @Sendable (_ shared: Shared) async throws -> Void
    ) {
        let name = name ?? "\(configuration.sharing.maintenance.count)"
        configuration.sharing.maintenance.append(
            Maintenance(name: name, interval: interval, scope: scope, work: work))
    }
}
