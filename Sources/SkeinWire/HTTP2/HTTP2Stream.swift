// The streams of a connection: the state of each, and the lookup.

import DequeModule
import NIOCore

/// Identifies a stream for the owner of the engine; after the stream has ended, it is invalid.
package struct HTTP2Stream: Hashable, Sendable {
    /// The stream ID.
    package let id: UInt32
    /// A small number that is unique among open streams: an index for the owner's own state.
    package let slot: Int

    package init(id: UInt32, slot: Int) {
        self.id = id
        self.slot = slot
    }
}

/// The state of one direction of a stream (RFC 9113, section 5.1).
enum StreamHalf {
    /// The head is expected.
    case head
    /// Content or trailers may follow.
    case body
    case ended
}

/// One open stream.
struct StreamRecord {
    var id: UInt32
    var isOurs: Bool
    var receiving: StreamHalf
    var sending: StreamHalf
    var sendWindow: FlowWindow
    var receiveWindow: FlowWindow
    /// The time of the last content, in either direction.
    var progress: NIODeadline
    /// Bytes of content sent.
    var sent = 0
    /// The start of the current period with pending content, and the bytes sent before it.
    var rateMark: (at: NIODeadline, sent: Int)?
    /// Consumed bytes that were not announced to the peer yet.
    var unannounced = 0
    /// The rest of the announced content.
    var expected: Int?
    /// Whether the request was HEAD, so that the response has no content.
    var isHead = false
    /// Whether it is exempt from the checks for silence.
    var mayRest = false
    var priority = StreamPriority.standard
    /// Whether it is in the sender's schedule.
    var isScheduled = false
    /// Pending output; most streams never have any.
    var outgoing: Outgoing?

    /// Content that waits for a window, for its turn or for the socket.
    final class Outgoing {
        var pieces = Deque<ByteBuffer>()
        var bytes = 0
        var isComplete = false
        var trailers: Headers?
        /// Whether the owner has requested an event when few bytes are left.
        var ownerWaits = false
    }
}

extension StreamRecord.Outgoing: @unchecked Sendable {}  // part of the engine's value; never shared between engines

/// The open streams of a connection, in reusable slots.
struct StreamTable {
    private(set) var records: [StreamRecord] = []
    private var free: [Int] = []
    /// Slots whose owner may not know yet that the stream has ended.
    private var retired: [Int] = []
    private var slots: [UInt32: Int] = [:]
    // Consecutive frames usually belong to one stream.
    private var latestID = UInt32.max
    private var latestSlot = 0

    var count: Int { slots.count }
    private(set) var oursCount = 0
    var theirsCount: Int { count - oursCount }

    mutating func insert(_ record: StreamRecord) -> Int {
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            records[slot] = record
        } else {
            slot = records.count
            records.append(record)
        }
        slots[record.id] = slot
        latestID = record.id
        latestSlot = slot
        if record.isOurs { oursCount += 1 }
        return slot
    }

    mutating func slot(of id: UInt32) -> Int? {
        if id == latestID { return latestSlot }
        guard let slot = slots[id] else { return nil }
        latestID = id
        latestSlot = slot
        return slot
    }

    /// The slot of a stream, if it is still open.
    func slot(of stream: HTTP2Stream) -> Int? {
        stream.slot < records.count && records[stream.slot].id == stream.id ? stream.slot : nil
    }

    mutating func remove(_ slot: Int) {
        let id = records[slot].id
        if records[slot].isOurs { oursCount -= 1 }
        records[slot].id = 0
        records[slot].outgoing = nil
        slots[id] = nil
        retired.append(slot)
        if latestID == id { latestID = .max }
    }

    /// Makes the slots of ended streams reusable: the owner knows of the end.
    mutating func recycle() {
        guard !retired.isEmpty else { return }
        free += retired
        retired.removeAll(keepingCapacity: true)
    }

    /// The open streams, by ID.
    var open: [HTTP2Stream] {
        slots.map { HTTP2Stream(id: $0.key, slot: $0.value) }.sorted { $0.id < $1.id }
    }

    subscript(slot: Int) -> StreamRecord {
        _read { yield records[slot] }
        _modify { yield &records[slot] }
    }
}
