// What a server counts of its own: one set of counters a loop, so that loops do not meet.

import NIOCore
import Synchronization

/// The counters of one loop. Written there, read from anywhere.
final class ShardStatistics: Sendable {
    /// The upper ends of the classes of durations, in milliseconds; one more is for the rest.
    static let bounds: [Int64] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000]

    /// A counter in a place of its own.
    final class Counter: Sendable {
        private let value = Atomic<Int>(0)

        var count: Int { value.load(ordering: .relaxed) }

        /// Only the loop writes, so that nothing is lost between reading and writing.
        func add(_ number: Int) { value.store(count &+ number, ordering: .relaxed) }
    }

    /// By the hundreds of the status: 1xx to 5xx.
    let statuses = (0..<5).map { _ in Counter() }
    let durations = (0...ShardStatistics.bounds.count).map { _ in Counter() }
    let nanoseconds = Counter()
    let bytesReceived = Counter()
    let bytesSent = Counter()
    let connections = Counter()
    let refused = Counter()

    /// Counts an answer.
    func add(_ scope: RequestScope, finished: NIODeadline) {
        let code = scope.status?.code ?? 499
        statuses[min(max(code / 100, 1), 5) - 1].add(1)
        bytesReceived.add(scope.bytesReceived)
        bytesSent.add(scope.bytesSent)
        let time = (finished - scope.received).nanoseconds
        nanoseconds.add(Int(time))
        let milliseconds = time / 1_000_000
        durations[Self.bounds.firstIndex { milliseconds < $0 } ?? Self.bounds.count].add(1)
    }
}

/// The counters of all loops together.
struct ServerStatistics: Sendable {
    let uptime: Duration
    let openConnections: Int
    let connections: Int
    let refused: Int
    let statuses: [Int]
    let durations: [Int]
    let seconds: Double
    let bytesReceived: Int
    let bytesSent: Int

    init(_ context: ServerContext) {
        let shards = context.statistics
        func sum(_ counter: (ShardStatistics) -> ShardStatistics.Counter) -> Int {
            shards.reduce(0) { $0 + counter($1).count }
        }
        uptime = .nanoseconds((NIODeadline.now() - context.started).nanoseconds)
        openConnections = context.connectionCount
        connections = sum(\.connections)
        refused = sum(\.refused)
        statuses = (0..<5).map { index in sum { $0.statuses[index] } }
        durations = (0...ShardStatistics.bounds.count).map { index in sum { $0.durations[index] } }
        seconds = Double(sum(\.nanoseconds)) / 1e9
        bytesReceived = sum(\.bytesReceived)
        bytesSent = sum(\.bytesSent)
    }

    var requests: Int { statuses.reduce(0, +) }

    /// The duration below which so many of a hundred answers were given, as text.
    func quantile(_ percent: Int) -> String {
        var rest = (requests * percent + 99) / 100
        guard rest > 0 else { return "–" }
        for (count, bound) in zip(durations, ShardStatistics.bounds) {
            rest -= count
            if rest <= 0 { return "< \(bound) ms" }
        }
        return "> 10 s"
    }
}
