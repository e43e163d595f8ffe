// How long to wait before something is tried again: longer each time, and not as long as everybody else.

/// Growing waits. A value: which attempt it is, is for its user to know.
package struct Backoff: Sendable {
    /// What chance does to a wait, so that those who failed together do not come back together.
    package enum Jitter: Sendable {
        case none
        /// Between half of it and all of it.
        case half
        /// Between nothing and all of it.
        case full
    }

    package let first: Duration
    package let factor: Double
    package let longest: Duration
    package let jitter: Jitter

    /// - Parameters:
    ///   - first: before the second attempt.
    ///   - factor: how much longer each wait is than the one before.
    ///   - longest: the longest wait.
    package init(first: Duration, factor: Double = 2, longest: Duration, jitter: Jitter = .half) {
        self.first = first
        self.factor = factor
        self.longest = longest
        self.jitter = jitter
    }

    /// The wait behind an attempt.
    /// - Parameter attempt: from 1 on.
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

    /// Waits behind an attempt, unless the deadline of the task comes first.
    /// - Returns: false, at once, when it would.
    /// - Throws: `CancellationError` when the task is cancelled before.
    package func wait(after attempt: Int) async throws -> Bool { try await Self.wait(delay(after: attempt)) }

    /// Waits for a time, unless the deadline of the task comes first.
    package static func wait(_ time: Duration) async throws -> Bool {
        if let deadline = Deadline.current, deadline.remaining <= time { return false }
        try await Task.sleep(for: time)
        return true
    }
}
