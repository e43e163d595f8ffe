// An event loop without a thread and without a clock of its own: the simulation runs it, and time passes when it says so.

import DequeModule
import Dispatch
import HeapModule
import NIOCore

/// An event loop whose time stands still while there is work, and jumps to the next timer when there is none.
///
/// Unchecked: a simulation has one thread, on which everything happens.
package final class SimulatedLoop: EventLoop, @unchecked Sendable {
    /// A timer in the heap, which is not taken out when it is cancelled.
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
    /// How late the loop comes to a timer: what a thread that has too much to do, or too little of the processor, is like.
    package var lateness: () -> TimeAmount = { .zero }
    /// Called between any two pieces of work.
    package var afterEach: () -> Void = {}

    package init() {}

    // MARK: Running

    /// Runs until nothing is left to do, a moment has come, or a condition holds.
    package func run(until end: NIODeadline, or isDone: () -> Bool = { false }) {
        while true {
            while let work = ready.popFirst() {
                work()
                afterEach()
                if isDone() { return }
            }
            guard let next = timers.min, next.deadline <= end else { break }
            now = max(now, min(end, next.deadline + lateness()))
            while let due = timers.min, due.deadline <= now {
                timers.removeMin()
                guard let work = due.job.work else { continue }
                due.job.work = nil
                work()
                afterEach()
            }
            if isDone() { return }
        }
        now = max(now, end)
    }

    // MARK: EventLoop

    package var inEventLoop: Bool { true }

    package func execute(_ task: @escaping @Sendable () -> Void) { ready.append(task) }

    /// Does something at a moment, which nobody takes back or waits for.
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
