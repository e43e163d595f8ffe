// How many Python threads exist, and which are woken: few while calls compute, because only one holds the interpreter's
// lock at a time, and more while calls wait without it.

/// The threads of one pool and the calls that wait for them.
///
/// A woken thread waits for the lock first, and then takes the oldest call. So a call is never held by a thread that
/// cannot run it, and one thread on its way to the queue is enough: it gets the lock as soon as the running call waits
/// for anything. While calls are short, no other thread is woken as long as one works: it would find no call when it
/// has the lock.
struct ThreadPoolMachine {
    struct Limits: Equatable {
        /// Threads that always exist.
        var minimum: Int
        /// The maximum number of threads.
        var maximum: Int
        /// The maximum number of waiting calls.
        var queue: Int
        /// Threads that can run Python at the same time: 1 with the lock, the cores without it.
        var parallelism = 1
    }

    enum Action: Equatable {
        case none
        case wake
        case spawn
        /// Too many calls wait.
        case refuse
    }

    /// The action of a thread without a call.
    enum Rest: Equatable {
        case sleep
        case end
    }

    let limits: Limits
    /// Threads that exist or are starting.
    private(set) var threads = 0
    /// Threads that sleep, and have not been woken.
    private(set) var idle = 0
    /// Threads that were woken or are starting, and have not reached the queue yet.
    private(set) var coming = 0
    /// Calls that wait.
    private(set) var waiting = 0
    /// Threads whose call has taken too long; they do not count until they return.
    private(set) var lost = 0
    /// How long calls take, as a moving average in nanoseconds.
    private var typical = 0.0
    /// Calls taken in total, and as of the last tick.
    private(set) var taken = 0
    private var takenBefore = -1

    /// Calls shorter than this are short, in nanoseconds.
    private static let short = 200_000.0

    init(_ limits: Limits) { self.limits = limits }

    /// Whether calls wait, and another thread might help.
    var isStarving: Bool { waiting > 0 && coming == 0 && idle == 0 && threads < limits.maximum }

    /// A call was submitted.
    mutating func submitted() -> Action {
        guard waiting < limits.queue else { return .refuse }
        waiting += 1
        return call()
    }

    /// A call is no longer needed, and was removed from the queue.
    mutating func withdrawn() { waiting -= 1 }

    /// A thread that was woken, or has started, has the lock.
    mutating func arrived() { coming -= 1 }

    /// A thread has taken a call.
    mutating func took() -> Action {
        waiting -= 1
        taken += 1
        return call()
    }

    /// A call has taken so many nanoseconds.
    mutating func returned(after time: Int64) { typical += (Double(min(time, 1_000_000_000)) - typical) / 16 }

    /// Some time has passed. When no call was taken in it, the one that runs is not short.
    mutating func tick() -> Action {
        defer { takenBefore = taken }
        return taken == takenBefore ? call(isLate: true) : .none
    }

    /// A thread finds no call.
    mutating func rests() { idle += 1 }

    /// A thread has slept for long and was not woken.
    mutating func sleptLong() -> Rest {
        // If no idle thread is left, the one that was woken is this one, or an equivalent one.
        guard idle > 0, threads > limits.minimum else { return .sleep }
        idle -= 1
        threads -= 1
        return .end
    }

    /// How much Python has computed while calls waited: 1 if some thread always did.
    /// - Returns: how many threads start now.
    mutating func measured(load: Double) -> Int {
        guard isStarving, load < 0.8 * Double(limits.parallelism) else { return 0 }
        let more = min(waiting, max(1, threads), limits.maximum - threads, 2 * limits.maximum - threads - lost)
        guard more > 0 else { return 0 }
        threads += more
        coming += more
        return more
    }

    /// A thread's call has taken too long: another thread takes its place.
    mutating func lose() -> Action {
        lost += 1
        threads -= 1
        return call()
    }

    /// A lost thread has returned.
    mutating func find() {
        lost -= 1
        threads += 1
    }

    /// Whether the next call follows immediately and will not take long, so that a response may wait for the next one.
    var isShortOfTime: Bool { waiting > 0 && typical < Self.short }

    private var working: Int { threads - idle - coming }

    private mutating func call(isLate: Bool = false) -> Action {
        guard waiting > 0, coming < min(waiting, limits.parallelism) else { return .none }
        if limits.parallelism == 1, working > 0, typical < Self.short, !isLate { return .none }
        if idle > 0 {
            idle -= 1
            coming += 1
            return .wake
        }
        guard threads < limits.minimum, threads + lost < 2 * limits.maximum else { return .none }
        threads += 1
        coming += 1
        return .spawn
    }
}
