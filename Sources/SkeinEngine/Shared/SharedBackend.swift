// What processes of a server have in common, wherever it is kept.

import SkeinCore
import SkeinWorkers
import Synchronization

/// Keeps integers, times of changes, locks and meters for all processes of a server, and passes messages between them.
///
/// On one machine it is memory of all workers; others stand on a server that several machines reach.
public protocol SharedBackend: Sendable {
    /// The value of a state; 0 when it was never set.
    func value(_ state: String) async throws -> Int
    /// Sets a state.
    func set(_ state: String, _ value: Int) async throws
    /// Adds to a state, in one step.
    /// - Returns: the new value; beyond 64 bits it wraps around.
    func add(_ number: Int, to state: String) async throws -> Int
    /// Sets a state if it has the expected value, in one step.
    func compareAndSet(_ state: String, expected: Int, _ value: Int) async throws -> Bool
    /// Notes that something has changed now.
    func touch(_ name: String) async throws
    /// When something was changed last, in seconds since 1970; nil for never.
    func lastChange(_ name: String) async throws -> Double?
    /// Takes a lock if nobody has it.
    func tryLock(_ name: String) async throws -> (any SharedLock)?
    /// Sends a message to the other processes.
    func broadcast(_ message: Broadcast) async throws
    /// Begins to receive messages of other processes. Called once.
    func listen(_ receive: @escaping @Sendable (Broadcast) -> Void) async throws
    /// Meters for limits of requests.
    var rates: any RateStore { get }
    /// Lets go of everything.
    func close() async
}

/// A lock that is held.
public protocol SharedLock: Sendable {
    /// A number that grows with each holder of the lock. A store that has seen a larger one refuses the writes of an earlier holder.
    var fence: Int { get }
    /// Gives the lock back.
    func release() async
    /// Whether it is still held, as far as the holder can know.
    var isHeld: Bool { get }
}

/// What the processes of one machine share: memory that all of them have, and the master that passes messages on.
struct PageBackend: SharedBackend {
    private let page: SharedPage
    private let locks: NamedLocks
    private let worker: WorkerLink?
    let rates: any RateStore

    /// The memory of the master, or of this process alone when there is none.
    /// - Throws: code 701 when the system has no memory to share.
    init(worker: WorkerLink?) throws(SkeinError) {
        self.worker = worker
        if let worker { page = worker.page } else { page = try SharedPage() }
        locks = try NamedLocks(page)
        rates = PageRateStore(page)
    }

    /// Makes the states that are defined, so that other names do not take their room.
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

        /// One that is forgotten is free.
        deinit { if isHeld { locks.release(hold) } }

        var fence: Int { hold.fence }
        var isHeld: Bool { held.load(ordering: .acquiring) }

        /// Once: afterwards, another task may have it.
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
