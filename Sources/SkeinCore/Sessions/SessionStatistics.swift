// The statistics of a session, counted without locks, and their summary.

import NIOCore
import Synchronization

/// Counters that every shard adds to.
package final class SessionStatistics: Sendable {
    private let tasks = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)
    private let connects = Atomic<Int>(0)
    private let open = Atomic<Int>(0)
    private let peak = Atomic<Int>(0)
    private let live = Atomic<Int>(0)
    private let since = Atomic<UInt64>(0)

    package func started() {
        live.wrappingAdd(1, ordering: .relaxed)
        if since.load(ordering: .relaxed) == 0 {
            _ = since.compareExchange(expected: 0, desired: NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
        }
    }

    package func ended(bytes count: Int, failed: Bool) {
        live.wrappingSubtract(1, ordering: .relaxed)
        tasks.wrappingAdd(1, ordering: .relaxed)
        bytes.wrappingAdd(count, ordering: .relaxed)
        if failed { failures.wrappingAdd(1, ordering: .relaxed) }
    }

    package func connected() {
        connects.wrappingAdd(1, ordering: .relaxed)
        let now = open.wrappingAdd(1, ordering: .relaxed).newValue
        if now > peak.load(ordering: .relaxed) { peak.store(now, ordering: .relaxed) }
    }

    package func disconnected() { open.wrappingSubtract(1, ordering: .relaxed) }

    /// Connections opened since the session began.
    package var connectCount: Int { connects.load(ordering: .relaxed) }
    /// Open connections.
    package var openConnections: Int { open.load(ordering: .relaxed) }
    /// Exchanges queued or in flight.
    package var liveExchanges: Int { live.load(ordering: .relaxed) }

    /// The statistics since the last summary; the counters are reset.
    package func takeSummary() -> SessionSummary {
        let start = since.exchange(0, ordering: .relaxed)
        let now = NIODeadline.now().uptimeNanoseconds
        return SessionSummary(
            tasks: tasks.exchange(0, ordering: .relaxed), failures: failures.exchange(0, ordering: .relaxed),
            seconds: start == 0 ? 0 : Double(now - start) / 1e9, bytes: bytes.exchange(0, ordering: .relaxed),
            connections: peak.exchange(open.load(ordering: .relaxed), ordering: .relaxed))
    }
}

/// The statistics of a series of requests.
public struct SessionSummary: Sendable, CustomStringConvertible {
    /// Requests that ended, successful or not.
    public let tasks: Int
    /// Requests that failed with a code of 7xx.
    public let failures: Int
    /// From the first request to the end of the last.
    public let seconds: Double
    /// Bytes of content received.
    public let bytes: Int
    /// The maximum of concurrent connections.
    public let connections: Int

    /// Requests ended per second.
    public var tasksPerSecond: Double { seconds > 0 ? Double(tasks) / seconds : 0 }
    /// Bytes of content per second.
    public var bytesPerSecond: Double { seconds > 0 ? Double(bytes) / seconds : 0 }

    /// One line with all of it.
    public var description: String {
        """
        \(tasks) tasks in \(seconds.rounded(to: 3)) s (\(Int(tasksPerSecond.rounded())) tasks/s), \(failures) failed, \
        \(bytes) bytes (\(Int(bytesPerSecond.rounded())) bytes/s), \(connections) connections at most
        """
    }
}

extension Double {
    /// The value rounded to a number of decimal places.
    package func rounded(to digits: Int) -> Double {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        return (self * scale).rounded() / scale
    }
}
