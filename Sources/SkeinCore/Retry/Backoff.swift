// The delays between attempts: exponential, with jitter.

/// Exponential back-off. The user counts the attempts.
package struct Backoff: Sendable {
    /// The random part of a delay, so that clients that failed together do not retry together.
    package enum Jitter: Sendable {
        case none
        /// A random delay from half of the full one to the full one.
        case half
        /// A random delay from zero to the full one.
        case full
    }

    package let first: Duration
    package let factor: Double
    package let longest: Duration
    package let jitter: Jitter

    /// - Parameters:
    ///   - first: the delay before the second attempt.
    ///   - factor: by which each delay grows.
    ///   - longest: the longest delay.
    package init(first: Duration, factor: Double = 2, longest: Duration, jitter: Jitter = .half) {
        self.first = first
        self.factor = factor
        self.longest = longest
        self.jitter = jitter
    }

    /// The delay after an attempt.
    /// - Parameter attempt: its number, from 1.
    package func delay(after attempt: Int) -> Duration {
        var wait = first
        for _ in 1..<max(1, min(attempt, 64)) where wait < longest { wait = wait * factor }
        wait = min(wait, longest)
        return switch jitter {
        case .none: wait
        case .half: wait * Double.random(in: 0.5...1)
        case .full: wait * Double.random(in: 0...1)
        }
    }

    /// Waits for the delay after an attempt.
    /// - Returns: false, without waiting, when the task's deadline comes before the end of the delay.
    /// - Throws: `CancellationError` when the task is cancelled before.
    package func wait(after attempt: Int) async throws -> Bool { try await Self.wait(delay(after: attempt)) }

    /// Waits for a time.
    /// - Returns: false, without waiting, when the task's deadline comes before the end of it.
    /// - Throws: `CancellationError` when the task is cancelled before.
    package static func wait(_ time: Duration) async throws -> Bool {
        if let deadline = Deadline.current, deadline.remaining <= time { return false }
        try await Task.sleep(for: time)
        return true
    }
}
