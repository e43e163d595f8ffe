// An event loop with a virtual clock, without a thread.

import DequeModule
import Dispatch
import HeapModule
import NIOCore

/// An event loop whose clock jumps to the next timer when no task is ready.
///
/// Unchecked: a simulation has one thread.
package final class SimulatedLoop: EventLoop, @unchecked Sendable {
    /// A timer in the heap, where it stays when it is cancelled.
    private struct Timer: Comparable {
        let deadline: NIODeadline
        let number: UInt64
        let job: Job

        static func == (left: Timer, right: Timer) -> Bool { left.number == right.number }
        static func < (left: Timer, right: Timer) -> Bool {
            left.deadline == right.deadline ? left.number < right.number : left.deadline < right.deadline
        }
    }

    /// Unchecked: as the loop.
    private final class Job: @unchecked Sendable {
        /// nil when it was cancelled.
        var work: (() -> Void)?
        init(_ work: @escaping () -> Void) { self.work = work }
    }

    package private(set) var now = NIODeadline.uptimeNanoseconds(3_600_000_000_000)
    private var ready = Deque<() -> Void>()
    private var timers = Heap<Timer>()
    private var numbers: UInt64 = 0
    /// The delay with which timers fire, as on a busy machine.
    package var lateness: () -> TimeAmount = { .zero }

    package init() {}

    // MARK: Running

    /// Runs tasks and timers until a moment, or until a condition holds.
    package func run(until end: NIODeadline, or isDone: () -> Bool = { false }) {
        while true {
            while let work = ready.popFirst() {
                work()
                if isDone() { return }
            }
            guard let next = timers.min, next.deadline <= end else { break }
            now = max(now, min(end, next.deadline + lateness()))
            while let due = timers.min, due.deadline <= now {
                timers.removeMin()
                guard let work = due.job.work else { continue }
                due.job.work = nil
                work()
            }
            if isDone() { return }
        }
        now = max(now, end)
    }

    // MARK: EventLoop

    package var inEventLoop: Bool { true }

    package func execute(_ task: @escaping @Sendable () -> Void) { ready.append(task) }

    /// Schedules work without a future and without cancellation, which is cheaper.
    package func at(_ moment: NIODeadline, _ work: @escaping () -> Void) {
        numbers += 1
        timers.insert(Timer(deadline: moment, number: numbers, job: Job(work)))
    }

    package func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        numbers += 1
        let job = Job { promise.assumeIsolated().completeWith(Result { try task() }) }
        timers.insert(Timer(deadline: deadline, number: numbers, job: job))
        return Scheduled(promise: promise) {
            guard job.work != nil else { return }
            job.work = nil
            promise.fail(EventLoopError.cancelled)
        }
    }

    package func scheduleTask<T>(in time: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + time, task)
    }

    package func preconditionInEventLoop(file: StaticString, line: UInt) {}
    package func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        callback(nil)
    }
}
