// The interface of backends for shared state.

import SkeinCore
import SkeinWorkers
import Synchronization

/// Stores integers, times of changes, locks and counts for all processes of a server, and passes messages between them.
///
/// On one machine it is memory shared by all workers; other backends use a server that several machines reach.
public protocol SharedBackend: Sendable {
    /// The value of a state; 0 when it was never set.
    func value(_ state: String) async throws -> Int
    /// Sets a state.
    func set(_ state: String, _ value: Int) async throws
    /// Adds to a state, atomically.
    /// - Returns: the new value; beyond 64 bits it wraps around.
    func add(_ number: Int, to state: String) async throws -> Int
    /// Sets a state if it has the expected value, atomically.
    func compareAndSet(_ state: String, expected: Int, _ value: Int) async throws -> Bool
    /// Records a change now.
    func touch(_ name: String) async throws
    /// The time of the last change, in seconds since 1970; nil for never.
    func lastChange(_ name: String) async throws -> Double?
    /// Acquires a lock if it is free.
    func tryLock(_ name: String) async throws -> (any SharedLock)?
    /// Sends a message to the other processes.
    func broadcast(_ message: Broadcast) async throws
    /// Starts to receive messages of other processes. Called once.
    func listen(_ receive: @escaping @Sendable (Broadcast) -> Void) async throws
    /// The store of rate limits.
    var rates: any RateStore { get }
    /// Closes the backend.
    func close() async
}

/// A lock that is held.
public protocol SharedLock: Sendable {
    /// A number that increases with each holder of the lock. A store that has seen a larger one refuses the writes of
    /// an earlier holder.
    var fence: Int { get }
    /// Releases the lock.
    func release() async
    /// Whether it is still held, as far as the holder can know.
    var isHeld: Bool { get }
}

/// The shared state of one machine: shared memory, and the master, which forwards messages.
struct PageBackend: SharedBackend {
    private let page: SharedPage
    private let locks: NamedLocks
    private let worker: WorkerLink?
    let rates: any RateStore

    /// The memory of the master, or of this process alone without a master.
    /// - Throws: code 701 when no shared memory is available.
    init(worker: WorkerLink?) throws(SkeinError) {
        self.worker = worker
        if let worker { page = worker.page } else { page = try SharedPage() }
        locks = try NamedLocks(page)
        rates = PageRateStore(page)
    }

    /// Reserves the defined states, so that other names do not take their place.
    func reserve(_ states: [String]) throws(SkeinError) { for state in states { _ = try page.value(of: state) } }

    func value(_ state: String) throws -> Int { try page.value(of: state) }
    func set(_ state: String, _ value: Int) throws { try page.set(state, to: value) }
    func add(_ number: Int, to state: String) throws -> Int { try page.add(number, to: state) }
    func compareAndSet(_ state: String, expected: Int, _ value: Int) throws -> Bool {
        try page.compareAndSet(state, expected: expected, to: value)
    }
    func touch(_ name: String) throws { try page.touch(name) }
    func lastChange(_ name: String) throws -> Double? { try page.lastChange(of: name) }

    private final class Lock: SharedLock {
        private let locks: NamedLocks
        private let hold: NamedLocks.Hold
        private let held = Atomic<Bool>(true)

        init(_ locks: NamedLocks, _ hold: NamedLocks.Hold) {
            self.locks = locks
            self.hold = hold
        }

        /// A lock that is dropped is released.
        deinit { if isHeld { locks.release(hold) } }

        var fence: Int { hold.fence }
        var isHeld: Bool { held.load(ordering: .acquiring) }

        /// Once: afterwards, another task may hold it.
        func release() async {
            if held.exchange(false, ordering: .acquiringAndReleasing) { locks.release(hold) }
        }
    }

    func tryLock(_ name: String) throws -> (any SharedLock)? {
        try locks.tryLock(name).map { Lock(locks, $0) }
    }

    func broadcast(_ message: Broadcast) throws { try worker?.send(message) }

    func listen(_ receive: @escaping @Sendable (Broadcast) -> Void) { worker?.onBroadcast(receive) }

    func close() {}
}
