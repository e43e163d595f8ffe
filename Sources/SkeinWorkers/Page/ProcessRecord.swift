// The shared page's record of one process.

import CSkeinWorkers

/// A process among those of a server, on the shared page.
package struct ProcessRecord: Sendable {
    package let page: SharedPage
    package let index: Int

    private var record: UnsafeMutablePointer<skein_record> { skein_page_record(page.page, CInt(index)) }

    private func read(_ field: KeyPath<skein_record, Int64>) -> Int { Int(record.pointee[keyPath: field]) }

    /// 0 while the record is free, and negative while its process is being started.
    package var processID: Int { Int(skein_load(&record.pointee.pid)) }
    package var slot: Int { read(\.slot) }
    package var generation: Int { read(\.generation) }
    /// Seconds since 1970.
    package var started: Int { read(\.started) }
    package var phase: SupervisorMachine.Phase? {
        get { .init(rawValue: Int(skein_load(&record.pointee.phase))) }
        nonmutating set { skein_store(&record.pointee.phase, Int64(newValue?.rawValue ?? 0)) }
    }
    /// Records that an event loop is alive; called by the loop itself.
    /// - Parameter now: nanoseconds of the monotonic clock.
    package func beat(ofShard shard: Int, at now: Int64) {
        numbers(\.threads)[min(shard, Self.maximumShards - 1)] = skein_thread()
        skein_store(numbers(\.heartbeats) + min(shard, Self.maximumShards - 1), now)
    }

    /// The event loop that has been silent for the longest time: since when, and its thread.
    var mostSilent: (since: Int64, thread: Int64)? {
        (0..<shards).map { (skein_load(numbers(\.heartbeats) + $0), numbers(\.threads)[$0]) }.min { $0.0 < $1.0 }
    }

    private func numbers<Numbers>(_ field: KeyPath<skein_record, Numbers>) -> UnsafeMutablePointer<Int64> {
        UnsafeMutableRawPointer(record).advanced(by: (MemoryLayout<skein_record>.offset(of: field) ?? 0))
            .assumingMemoryBound(to: Int64.self)
    }

    /// Connections open now.
    package var connections: UnsafeMutablePointer<Int64> { numbers(\.connections) }

    package var openConnections: Int { Int(skein_read(connections)) }

    /// The counters of an event loop; `maximumCounters` of them.
    package func counters(ofShard shard: Int) -> UnsafeMutablePointer<Int64> {
        numbers(\.counters).advanced(by: min(shard, Self.maximumShards - 1) * Self.maximumCounters)
    }

    /// The requests that an event loop answers; `maximumRequests` of them.
    package func requests(ofShard shard: Int) -> UnsafeMutablePointer<skein_request> {
        UnsafeMutableRawPointer(record).advanced(by: (MemoryLayout<skein_record>.offset(of: \.under_way) ?? 0))
            .assumingMemoryBound(to: skein_request.self)
            .advanced(by: min(shard, Self.maximumShards - 1) * Self.maximumRequests)
    }

    package static let maximumShards = SKEIN_SHARDS
    package static let maximumCounters = SKEIN_COUNTERS
    package static let maximumRequests = SKEIN_UNDER_WAY

    /// Event loops that have counters. Pages of others are not touched, so that they take no memory.
    package var shards: Int {
        get { min(max(0, Int(skein_load(&record.pointee.shards))), Self.maximumShards) }
        nonmutating set { skein_store(&record.pointee.shards, Int64(min(newValue, Self.maximumShards))) }
    }
    /// Whether another process serves in place of this one. Set before the signal to end.
    package var isReplaced: Bool {
        get { skein_load(&record.pointee.is_replaced) != 0 }
        nonmutating set { skein_store(&record.pointee.is_replaced, newValue ? 1 : 0) }
    }
    /// Resident bytes, as the master last measured them.
    package var memory: Int {
        get { Int(skein_load(&record.pointee.memory)) }
        nonmutating set { skein_store(&record.pointee.memory, Int64(newValue)) }
    }
    /// Thousandths of a core in the last second.
    package var cpu: Int {
        get { Int(skein_load(&record.pointee.cpu)) }
        nonmutating set { skein_store(&record.pointee.cpu, Int64(newValue)) }
    }

    /// One counter of all event loops together.
    package func sum(_ counter: Int) -> Int {
        (0..<shards).reduce(0) { $0 &+ Int(skein_read(counters(ofShard: $1) + counter)) }
    }

    /// Reserves the record for a process that is about to be started; false if another one has it.
    func take(slot: Int, generation: Int, at seconds: Int) -> Bool {
        guard skein_compare_and_set(&record.pointee.pid, 0, -1) else { return false }
        record.pointee.slot = Int64(slot)
        record.pointee.generation = Int64(generation)
        record.pointee.started = Int64(seconds)
        skein_store(connections, 0)
        (memory, cpu, shards) = (0, 0, 0)
        isReplaced = false
        phase = .starting
        return true
    }

    /// Records the process ID.
    func own(_ processID: Int32) { skein_store(&record.pointee.pid, Int64(processID)) }

    /// Adds the counters of the process to the totals, and frees the record.
    func end() { skein_page_fold(page.page, record) }
}
