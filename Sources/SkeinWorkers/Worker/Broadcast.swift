// Messages to all workers.

/// A message to all workers of a server.
public struct Broadcast: Sendable, Equatable {
    /// The subject.
    public var topic: String
    /// Its content.
    public var bytes: [UInt8]
    /// How many messages of the same sender were lost before this one, because this worker had not read earlier ones.
    /// Usually 0.
    public var missed = 0

    package init(topic: String, bytes: [UInt8], missed: Int = 0) {
        self.topic = topic
        self.bytes = bytes
        self.missed = missed
    }

    /// Bytes of the content and the topic together.
    static let maximumSize = ControlSocket.maximumMessage - 64

    /// The encoding: the sender, its number among the sender's messages, the topic's length, the topic, the content.
    package func encoded(from sender: UInt64, number: UInt64) -> [UInt8] {
        var all: [UInt8] = []
        all.reserveCapacity(20 + topic.utf8.count + bytes.count)
        for value in [sender, number] { withUnsafeBytes(of: value.bigEndian) { all.append(contentsOf: $0) } }
        withUnsafeBytes(of: UInt16(truncatingIfNeeded: topic.utf8.count).bigEndian) { all.append(contentsOf: $0) }
        return all + Array(topic.utf8) + bytes
    }

    /// Decodes a message; nil for bytes that no worker sends.
    package static func decode(_ all: [UInt8]) -> (broadcast: Broadcast, sender: UInt64, number: UInt64)? {
        func number(_ range: Range<Int>) -> UInt64 { all[range].reduce(0) { $0 << 8 | UInt64($1) } }
        guard all.count >= 18 else { return nil }
        let length = Int(number(16..<18))
        guard all.count >= 18 + length else { return nil }
        let broadcast = Broadcast(
            topic: String(decoding: all[18..<18 + length], as: UTF8.self), bytes: Array(all[(18 + length)...]))
        return (broadcast, number(0..<8), number(8..<16))
    }
}

/// Finds gaps in the numbers of each sender's messages.
package struct BroadcastOrder {
    /// The last number of each sender; the oldest senders are forgotten beyond a number.
    private var last: [UInt64: UInt64] = [:]
    private var senders: [UInt64] = []

    package init() {}

    /// A message was received.
    /// - Returns: how many messages of its sender are missing before it.
    package mutating func receive(_ number: UInt64, from sender: UInt64) -> Int {
        defer { last[sender] = max(number, last[sender] ?? 0) }
        guard let before = last[sender] else {
            senders.append(sender)
            if senders.count > 512 { last[senders.removeFirst()] = nil }
            return 0  // It may have begun before this worker did.
        }
        return number > before ? Int(clamping: number - before - 1) : 0
    }
}
