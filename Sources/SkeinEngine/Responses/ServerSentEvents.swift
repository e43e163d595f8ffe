// Server-sent events (WHATWG HTML, section 9.2).

import NIOCore
import SkeinHTTP

/// An event of an event stream.
public struct ServerSentEvent: Sendable, Hashable {
    /// The data; line breaks are preserved.
    public var data: String
    /// The event name that a page listens for. Default: `message`.
    public var name: String?
    /// The ID that a reconnecting page sends as `Last-Event-ID`.
    public var id: String?
    /// The delay before a page reconnects.
    public var retry: Duration?

    /// An event. Line breaks in its name and ID are removed.
    public init(_ data: String, name: String? = nil, id: String? = nil, retry: Duration? = nil) {
        self.data = data
        self.name = name
        self.id = id
        self.retry = retry
    }

    /// The encoded event.
    var bytes: ByteBuffer {
        func line(_ text: String) -> String {
            String(text.unicodeScalars.filter { !"\r\n\0".unicodeScalars.contains($0) })
        }
        var text = ""
        if let id { text += "id: \(line(id))\n" }
        if let name { text += "event: \(line(name))\n" }
        if let retry { text += "retry: \(Int(retry / .milliseconds(1)))\n" }
        let lines = data.replacingBytes("\r\n", with: "\n").replacingBytes("\r", with: "\n")
        for part in lines.splitBytes(separator: "\n", omittingEmptySubsequences: false) { text += "data: \(part)\n" }
        return ByteBuffer(string: text + "\n")
    }
}

extension ServerResponse {
    /// A response of events, sent as they occur. Periodic comments keep proxies from closing the connection.
    /// - Parameters:
    ///   - events: the events; when the sequence ends, the response ends, and the page reconnects. It also ends when
    ///     the server shuts down.
    ///   - heartbeat: the silence after which a comment is sent. Default: 15 s.
    public static func events<Events: AsyncSequence & Sendable>(
        _ events: Events, heartbeat: Duration = .seconds(15)
    ) -> ServerResponse where Events.Element == ServerSentEvent {
        var response = ServerResponse.stream(
            Heartbeat(events: events, interval: heartbeat), contentType: "text/event-stream")
        response.isEndless = true
        response.headers = ["Cache-Control": "no-store", "X-Accel-Buffering": "no"]
        return response
    }
}

/// Events with comments in the pauses, no faster than the client reads them.
private struct Heartbeat<Events: AsyncSequence & Sendable>: AsyncSequence, Sendable
where Events.Element == ServerSentEvent {
    let events: Events
    let interval: Duration

    struct AsyncIterator: AsyncIteratorProtocol {
        var pieces: AsyncThrowingStream<ByteBuffer, any Error>.Iterator
        let asked: AsyncStream<Void>.Continuation

        mutating func next() async throws -> ByteBuffer? {
            asked.yield()
            return try await pieces.next()
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        let (pieces, out) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
        let (asking, asked) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let task = Task { [events, interval] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    var asking = asking.makeAsyncIterator()
                    do {
                        for try await event in events {
                            out.yield(event.bytes)
                            await asking.next()
                        }
                        out.finish()
                    } catch {
                        out.finish(throwing: error)
                    }
                }
                group.addTask {
                    while (try? await Task.sleep(for: interval)) != nil {
                        out.yield(ByteBuffer(string: ":\n\n"))
                    }
                }
                await group.next()
                group.cancelAll()
            }
        }
        out.onTermination = { _ in task.cancel() }
        return AsyncIterator(pieces: pieces.makeAsyncIterator(), asked: asked)
    }
}
