// Work at intervals.

import Logging
import SkeinCore

/// Where work at an interval is done.
public enum MaintenanceScope: Sendable {
    /// In each worker.
    case eachWorker
    /// In one worker of all; when that ends, in another one.
    case oneWorker
}

/// Work at an interval.
struct Maintenance: Sendable {
    let name: String
    let interval: Duration
    let scope: MaintenanceScope
    let work: @Sendable (Shared) async throws -> Void

    /// Works until the task is cancelled. An error is logged, and the next turn comes.
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
    /// Makes integers that all processes of the server share: `engine.defineStates("cluster.num-nodes")`.
    /// - Parameter names: of 88 bytes at most; 1024 names at most.
    public mutating func defineStates(_ names: String...) { configuration.sharing.states += names }

    /// Runs something when a process of the server has sent a message, this one included. Messages of one sender come in order.
    /// - Parameters:
    ///   - topic: of the message.
    ///   - handler: runs in every process, for one message after the other. ``Broadcast/missed`` tells of messages that were lost, since
    ///     this process has not taken them in time.
    public mutating func onBroadcast(
        _ topic: String, _ handler: @escaping @Sendable (_ message: Broadcast, _ shared: Shared) async -> Void
    ) {
        configuration.sharing.handlers.append((topic, handler))
    }

    /// Runs something in every process when ``Shared/touch(_:)`` says that a thing has changed.
    public mutating func onChange(of name: String, _ handler: @escaping @Sendable (_ shared: Shared) async -> Void) {
        onBroadcast(Shared.changes + name) { _, shared in await handler(shared) }
    }

    /// Does something again and again while the server runs: `engine.maintain(every: .seconds(60)) { shared in … }`.
    /// - Parameters:
    ///   - interval: between the end of a turn and the next one.
    ///   - scope: whether each worker does it, or one of them. Default: each.
    ///   - name: by which workers know that it is the same. Default: its place among the engine's.
    ///   - work: an error is logged, and the next turn comes.
    public mutating func maintain(
        every interval: Duration, in scope: MaintenanceScope = .eachWorker, name: String? = nil,
        _ work: @escaping @Sendable (_ shared: Shared) async throws -> Void
    ) {
        let name = name ?? "\(configuration.sharing.maintenance.count)"
        configuration.sharing.maintenance.append(
            Maintenance(name: name, interval: interval, scope: scope, work: work))
    }
}
