// When the exchange with a program ends, without I/O: the time and what has happened are passed in.

/// The end of a program's output.
///
/// A program that has ended may leave output in its pipes, which its reader takes at its own speed, and child processes that keep the pipes
/// open. A program that is cancelled has a second to end, and its pipes are left a second later, whatever child processes have left its group.
struct ProcessExchange {
    enum Action: Equatable {
        case goOn
        /// Kill the process group.
        case kill
        /// The rest of the output is not waited for.
        case leave
    }

    private enum Phase: Equatable {
        case running
        /// The program has ended; its pipes are read until they have been silent for a second.
        case ended(lastOutput: ContinuousClock.Instant)
        case cancelled(since: ContinuousClock.Instant)
    }

    private static let grace = Duration.seconds(1)

    private var phase = Phase.running
    /// Whether the output is not read, because its reader is behind.
    private(set) var isPaused = false

    /// The reader is behind.
    mutating func pause() { if case .cancelled = phase {} else { isPaused = true } }

    /// The reader wants more: what is left in the pipe has not been seen yet.
    mutating func resume(at now: ContinuousClock.Instant) {
        isPaused = false
        if case .ended = phase { phase = .ended(lastOutput: now) }
    }

    /// One turn of reading and writing has taken place.
    /// - Parameters:
    ///   - isOver: whether the program has ended.
    ///   - isCancelled: whether it is to end.
    ///   - hasRead: whether output was read in this turn.
    mutating func step(
        isOver: Bool, isCancelled: Bool, hasRead: Bool, at now: ContinuousClock.Instant
    ) -> Action {
        if isCancelled {
            guard case .cancelled(let since) = phase else {
                phase = .cancelled(since: now)
                isPaused = false
                return .goOn
            }
            let time = since.duration(to: now)
            return time > Self.grace * 2 ? .leave : time > Self.grace ? .kill : .goOn
        }
        switch phase {
        case .running where isOver: phase = .ended(lastOutput: now)
        case .ended where isPaused || hasRead: phase = .ended(lastOutput: now)
        case .ended(let lastOutput): return lastOutput.duration(to: now) > Self.grace ? .leave : .goOn
        case .running, .cancelled: break
        }
        return .goOn
    }
}
