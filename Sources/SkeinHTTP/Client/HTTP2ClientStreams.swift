// The client's state of each HTTP/2 stream, beside the engine's, without I/O: its request, the bytes that its reader has not consumed,
// whether its content waits for 100 (Continue), and when the server last sent something on it.

import NIOCore
import SkeinWire

/// The requests in flight on one connection, by the slots of their streams.
package struct HTTP2ClientStreams<Call: AnyObject> {
    /// The state of one stream.
    private struct Item {
        let call: Call
        let stream: HTTP2Stream
        /// Received bytes that the flow-control window does not count as consumed yet, since the reader is behind.
        var withheld = 0
        var lastActivity: NIODeadline
        /// Whether the content waits for 100 (Continue) (RFC 9110, section 10.1.1).
        var holdsContent = false
    }

    private var items: [Item?] = []

    package init() {}

    /// A request was sent on a stream.
    package mutating func add(_ call: Call, on stream: HTTP2Stream, at now: NIODeadline) {
        while items.count <= stream.slot { items.append(nil) }
        items[stream.slot] = Item(call: call, stream: stream, lastActivity: now)
    }

    /// The request on a stream; nil when it has ended, even if another stream has its slot now.
    package func call(on stream: HTTP2Stream) -> Call? { contains(stream) ? items[stream.slot]?.call : nil }

    private func contains(_ stream: HTTP2Stream) -> Bool {
        stream.slot < items.count && items[stream.slot]?.stream == stream
    }

    /// The server has sent something on a stream.
    package mutating func touch(_ stream: HTTP2Stream, at now: NIODeadline) -> Call? {
        guard contains(stream) else { return nil }
        items[stream.slot]?.lastActivity = now
        return items[stream.slot]?.call
    }

    /// A stream has ended, was abandoned, or was handed over.
    package mutating func remove(_ stream: HTTP2Stream) -> Call? {
        guard contains(stream) else { return nil }
        defer { items[stream.slot] = nil }
        return items[stream.slot]?.call
    }

    /// The connection has closed.
    package mutating func removeAll() -> [Call] {
        defer { items = [] }
        return items.compactMap { $0?.call }
    }

    /// The streams in flight.
    package var streams: [HTTP2Stream] { items.compactMap { $0?.stream } }

    /// The content of a request waits for 100 (Continue).
    package mutating func holdContent(on stream: HTTP2Stream) {
        if contains(stream) { items[stream.slot]?.holdsContent = true }
    }

    /// The server has sent 100 (Continue), or the time to wait for it is over.
    /// - Returns: the request whose content is sent now; nil when it does not wait.
    package mutating func releaseContent(on stream: HTTP2Stream) -> Call? {
        guard contains(stream), items[stream.slot]?.holdsContent == true else { return nil }
        items[stream.slot]?.holdsContent = false
        return items[stream.slot]?.call
    }

    /// The reader has not consumed bytes that were received.
    package mutating func withhold(_ count: Int, on stream: HTTP2Stream) {
        if contains(stream) { items[stream.slot]?.withheld += count }
    }

    /// The reader has caught up.
    /// - Returns: bytes by which the flow-control window is opened again.
    package mutating func release(_ stream: HTTP2Stream, at now: NIODeadline) -> Int {
        guard contains(stream), let withheld = items[stream.slot]?.withheld, withheld > 0 else { return 0 }
        items[stream.slot]?.withheld = 0
        items[stream.slot]?.lastActivity = now
        return withheld
    }

    /// The requests on whose streams the server has sent nothing since a moment, and whose readers are not behind.
    package func stalled(since moment: NIODeadline) -> [Call] {
        items.compactMap { item in
            guard let item, item.withheld == 0, item.lastActivity <= moment else { return nil }
            return item.call
        }
    }
}
