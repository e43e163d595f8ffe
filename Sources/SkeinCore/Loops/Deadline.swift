// Deadlines. They are propagated with the task, so that a call on behalf of another one never waits longer than that
// one may.

import NIOCore

/// A moment on the monotonic clock.
public struct Deadline: Hashable, Comparable, Sendable {
    package let moment: NIODeadline

    package init(_ moment: NIODeadline) { self.moment = moment }

    /// The moment after a span of time from now.
    public static func after(_ span: Duration) -> Deadline { Deadline(.now() + TimeAmount(span)) }

    /// The deadline of the running task, when one was set by ``withDeadline(_:operation:)`` or by the engine.
    @TaskLocal public static var current: Deadline?

    /// Whether it has passed.
    public var hasPassed: Bool { moment <= .now() }

    /// The remaining time, zero when it has passed.
    public var remaining: Duration { .nanoseconds(max(0, (moment - .now()).nanoseconds)) }

    /// The earlier one is the smaller.
    public static func < (left: Deadline, right: Deadline) -> Bool { left.moment < right.moment }
}

/// Runs an operation whose corequests, at any depth, end by a deadline; an earlier one in force stays in force.
/// - Parameters:
///   - deadline: the deadline; corequests that are not complete by then end with code 702.
///   - operation: the operation.
public func withDeadline<T>(
    _ deadline: Deadline, isolation: isolated (any Actor)? = #isolation, operation: () async throws -> T
) async rethrows -> T {
    let earlier = Deadline.current.map { min($0, deadline) } ?? deadline
    return try await Deadline.$current.withValue(earlier, operation: operation)
}
