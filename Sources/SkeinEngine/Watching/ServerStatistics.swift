// Statistics of a server: one set of counters per loop, so that loops do not contend.

import CSkeinWorkers
import NIOCore
import SkeinWorkers

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The counters of one loop. Written there, read from any thread.
///
/// Under a master they are on the shared page, so that they outlive the worker.
///
/// Unchecked: the memory is written by the loop, with atomic stores.
final class ShardStatistics: @unchecked Sendable {
    /// The upper bounds of the duration buckets, in milliseconds; one more bucket is for the rest.
    static let bounds: [Int64] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000]

    /// The index of a counter in a loop's set.
    enum Place {
        /// By status class: 1xx to 5xx.
        static let statuses = 0..<5
        static let durations = 5..<5 + bounds.count + 1
        static let nanoseconds = durations.upperBound
        static let bytesReceived = nanoseconds + 1
        static let bytesSent = bytesReceived + 1
        static let connections = bytesSent + 1
        static let refused = connections + 1
        static let count = refused + 1
    }

    /// A counter.
    struct Counter {
        let place: UnsafeMutablePointer<Int64>

        /// Only the loop writes, so a non-atomic read-modify-write loses nothing.
        func add(_ number: Int) { skein_count(place, Int64(number)) }
    }

    private let places: UnsafeMutablePointer<Int64>
    private let record: ProcessRecord?

    init(_ record: ProcessRecord?, shard: Int) {
        self.record = record
        if let record {
            places = record.counters(ofShard: shard)
        } else {
            // More than a cache line between loops.
            places = .allocate(capacity: ProcessRecord.maximumCounters)
            places.initialize(repeating: 0, count: ProcessRecord.maximumCounters)
        }
    }

    deinit { if record == nil { places.deallocate() } }

    private subscript(place: Int) -> Counter { Counter(place: places + place) }

    var connections: Counter { self[Place.connections] }
    var refused: Counter { self[Place.refused] }

    /// The current values.
    var counts: [Int] { (0..<Place.count).map { Int(skein_read(places + $0)) } }

    /// Counts a response.
    func add(_ scope: RequestScope, finished: NIODeadline) {
        let code = scope.status?.code ?? 499
        self[Place.statuses.lowerBound + min(max(code / 100, 1), 5) - 1].add(1)
        self[Place.bytesReceived].add(scope.bytesReceived)
        self[Place.bytesSent].add(scope.bytesSent)
        let time = (finished - scope.received).nanoseconds
        self[Place.nanoseconds].add(Int(time))
        let milliseconds = time / 1_000_000
        let duration = Self.bounds.firstIndex { milliseconds < $0 } ?? Self.bounds.count
        self[Place.durations.lowerBound + duration].add(1)
    }
}

/// The sum of the counters of all loops; under a master, of all workers, including ended ones.
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
        let counts: [Int]
        if let page = context.worker?.page {
            counts = page.sums(ShardStatistics.Place.count)
            openConnections = page.records.reduce(0) { $0 &+ $1.openConnections }
            uptime = .seconds(max(0, time(nil) &- page[.started]))
        } else {
            let shards = context.statistics.map(\.counts)
            counts = (0..<ShardStatistics.Place.count).map { place in shards.reduce(0) { $0 + $1[place] } }
            openConnections = context.connectionCount
            uptime = .nanoseconds((NIODeadline.now() - context.started).nanoseconds)
        }
        connections = counts[ShardStatistics.Place.connections]
        refused = counts[ShardStatistics.Place.refused]
        statuses = Array(counts[ShardStatistics.Place.statuses])
        durations = Array(counts[ShardStatistics.Place.durations])
        seconds = Double(counts[ShardStatistics.Place.nanoseconds]) / 1e9
        bytesReceived = counts[ShardStatistics.Place.bytesReceived]
        bytesSent = counts[ShardStatistics.Place.bytesSent]
    }

    var requests: Int { statuses.reduce(0, +) }

    /// The quantile of the durations, as text.
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
