// A peer that many tests share, started once, on its first use.

import Synchronization

/// Starts a peer once.
public actor SharedPeer<Peer: Sendable> {
    private let start: @Sendable () async throws -> Peer
    private var started: Task<Peer, any Error>?

    public init(_ start: @escaping @Sendable () async throws -> Peer) { self.start = start }

    /// The peer, running.
    public func get() async throws -> Peer {
        if let started { return try await started.value }
        let task = Task { [start] in try await start() }
        started = task
        return try await task.value
    }
}

/// A process that may be ended and started again.
final class CurrentProcess: Sendable {
    private let process: Mutex<PeerProcess>

    init(_ process: PeerProcess) { self.process = Mutex(process) }

    var current: PeerProcess { process.withLock { $0 } }
    func replace(with other: PeerProcess) { process.withLock { $0 = other } }
}
