// What a client keeps of each stream of an HTTP/2 connection beside what the engine does, without I/O: whose stream it is, what its
// reader has not caught up with, whether its content waits, and how long the server has been silent on it.

import NIOCore
import SkeinWire

/// The requests under way on one connection, by the slots of their streams.
package struct HTTP2ClientStreams<Call: AnyObject> {
    /// How a request's stream is doing.
    private struct Item {
        let call: Call
        let stream: HTTP2Stream
        /// Bytes that the reader has not caught up with: the server may not send as many more.
        var withheld = 0
        var lastActivity: NIODeadline
        /// Whether the content waits until the server asks for it (RFC 9110, section 10.1.1).
        var holdsContent = false
    }

    private var items: [Item?] = []

    package init() {}

    /// A request has a stream.
    package mutating func add(_ call: Call, on stream: HTTP2Stream, at now: NIODeadline) {
        while items.count <= stream.slot { items.append(nil) }
        items[stream.slot] = Item(call: call, stream: stream, lastActivity: now)
    }

    /// Whose stream it is; nil when its request is over. A slot may be another stream's by now.
    package func call(on stream: HTTP2Stream) -> Call? { contains(stream) ? items[stream.slot]?.call : nil }

    private func contains(_ stream: HTTP2Stream) -> Bool {
        stream.slot < items.count && items[stream.slot]?.stream == stream
    }

    /// The server has said something on a stream.
    package mutating func touch(_ stream: HTTP2Stream, at now: NIODeadline) -> Call? {
        guard contains(stream) else { return nil }
        items[stream.slot]?.lastActivity = now
        return items[stream.slot]?.call
    }

    /// A stream is over, or not this request's any more.
    package mutating func remove(_ stream: HTTP2Stream) -> Call? {
        guard contains(stream) else { return nil }
        defer { items[stream.slot] = nil }
        return items[stream.slot]?.call
    }

    /// The connection is over.
    package mutating func removeAll() -> [Call] {
        defer { items = [] }
        return items.compactMap { $0?.call }
    }

    /// The streams under way.
    package var streams: [HTTP2Stream] { items.compactMap { $0?.stream } }

    /// The content of a request waits for the server's word.
    package mutating func holdContent(on stream: HTTP2Stream) {
        if contains(stream) { items[stream.slot]?.holdsContent = true }
    }

    /// The server asks for the content, or has been silent for long enough.
    /// - Returns: the request whose content is sent now; nil when it does not wait.
    package mutating func releaseContent(on stream: HTTP2Stream) -> Call? {
        guard contains(stream), items[stream.slot]?.holdsContent == true else { return nil }
        items[stream.slot]?.holdsContent = false
        return items[stream.slot]?.call
    }

    /// The reader is behind.
    package mutating func withhold(_ count: Int, on stream: HTTP2Stream) {
        if contains(stream) { items[stream.slot]?.withheld += count }
    }

    /// The reader has caught up.
    /// - Returns: bytes that the server may send in place of those.
    package mutating func release(_ stream: HTTP2Stream, at now: NIODeadline) -> Int {
        guard contains(stream), let withheld = items[stream.slot]?.withheld, withheld > 0 else { return 0 }
        items[stream.slot]?.withheld = 0
        items[stream.slot]?.lastActivity = now
        return withheld
    }

    /// The requests to which the server has said nothing since a moment, though it might.
    package func stalled(since moment: NIODeadline) -> [Call] {
        items.compactMap { item in
            guard let item, item.withheld == 0, item.lastActivity <= moment else { return nil }
            return item.call
        }
    }
}
