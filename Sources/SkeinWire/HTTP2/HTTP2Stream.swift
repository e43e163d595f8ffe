// The streams of a connection: what is known of each, and how they are found.

import DequeModule
import NIOCore

/// Names a stream to the owner of the engine; a name whose stream has ended names nothing.
package struct HTTP2Stream: Hashable, Sendable {
    /// The number on the wire.
    package let id: UInt32
    /// A small number that no other open stream has: the place for what the owner keeps about it.
    package let slot: Int

    package init(id: UInt32, slot: Int) {
        self.id = id
        self.slot = slot
    }
}

/// Where one direction of a stream stands (RFC 9113, section 5.1).
enum StreamHalf {
    /// The head is still to come.
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
    /// When content last moved, in either direction.
    var progress: NIODeadline
    /// Bytes of content that were sent.
    var sent = 0
    /// Since when content has waited without a break, and what was sent before.
    var rateMark: (at: NIODeadline, sent: Int)?
    /// Bytes that the owner has consumed and the peer does not know of.
    var unannounced = 0
    /// What is left of the announced content.
    var expected: Int?
    /// Whether the request was HEAD, so that the answer has no content whatever it announces.
    var isHead = false
    /// Whether the peer may be silent on it as long as it likes.
    var mayRest = false
    var priority = StreamPriority.standard
    /// Whether it stands in the sender's schedule.
    var isScheduled = false
    /// What waits to be sent; most streams never have any.
    var outgoing: Outgoing?

    /// Content that has to wait for a window, for its turn or for the socket.
    final class Outgoing {
        var pieces = Deque<ByteBuffer>()
        var bytes = 0
        var isComplete = false
        var trailers: Headers?
        /// Whether the owner wants to hear when little is left.
        var ownerWaits = false
    }
}

extension StreamRecord.Outgoing: @unchecked Sendable {}  // part of the engine's value; never shared between engines

/// The open streams of a connection, each in a slot that is used again.
struct StreamTable {
    private(set) var records: [StreamRecord] = []
    private var free: [Int] = []
    /// Slots whose owner may not have heard yet that its stream has ended.
    private var retired: [Int] = []
    private var slots: [UInt32: Int] = [:]
    // Frames of one stream mostly come one behind the other.
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

    /// The slot of a name, if its stream is still open.
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

    /// Gives the slots of ended streams to new ones: everybody has heard of the end.
    mutating func recycle() {
        guard !retired.isEmpty else { return }
        free += retired
        retired.removeAll(keepingCapacity: true)
    }

    /// Every open stream, in the order of their numbers.
    var open: [HTTP2Stream] {
        slots.map { HTTP2Stream(id: $0.key, slot: $0.value) }.sorted { $0.id < $1.id }
    }

    subscript(slot: Int) -> StreamRecord {
        _read { yield records[slot] }
        _modify { yield &records[slot] }
    }
}
