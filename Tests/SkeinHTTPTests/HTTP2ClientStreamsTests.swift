import NIOCore
import SkeinHTTP
import SkeinWire
import Testing

/// The client's records of the streams of an HTTP/2 connection.
@Suite("HTTP/2 client streams")
struct HTTP2ClientStreamsTests {
    final class Call {}

    private func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(1_000_000_000) + .seconds(seconds) }
    private let first = HTTP2Stream(id: 1, slot: 0)
    private let third = HTTP2Stream(id: 5, slot: 2)
    private let call = Call()
    private let other = Call()

    private func streams() -> HTTP2ClientStreams<Call> {
        var streams = HTTP2ClientStreams<Call>()
        streams.add(call, on: first, at: at(0))
        streams.add(other, on: third, at: at(5))
        return streams
    }

    @Test("a reused slot is not mistaken for the earlier stream")
    func slots() {
        var streams = streams()
        let next = HTTP2Stream(id: 7, slot: 0)
        #expect(streams.call(on: first) === call && streams.call(on: next) == nil)
        #expect(streams.call(on: HTTP2Stream(id: 9, slot: 90)) == nil)
        #expect(streams.remove(first) === call)
        #expect(streams.remove(first) == nil)
        streams.add(other, on: next, at: at(1))
        #expect(streams.call(on: first) == nil && streams.call(on: next) === other)
        streams.withhold(10, on: first)
        streams.holdContent(on: first)
        #expect(streams.release(next, at: at(1)) == 0)
        #expect(streams.releaseContent(on: next) == nil)
        #expect(streams.touch(first, at: at(1)) == nil)
    }

    @Test("waiting content is released once")
    func held() {
        var streams = streams()
        #expect(streams.releaseContent(on: first) == nil)
        streams.holdContent(on: first)
        #expect(streams.releaseContent(on: first) === call)
        #expect(streams.releaseContent(on: first) == nil)
    }

    @Test("unconsumed bytes are returned to the window once")
    func withheld() {
        var streams = streams()
        streams.withhold(10, on: first)
        streams.withhold(5, on: first)
        #expect(streams.release(first, at: at(1)) == 15)
        #expect(streams.release(first, at: at(1)) == 0)
    }

    @Test("silence counts only when the server may send and the reader has consumed everything")
    func stalled() {
        var streams = streams()
        #expect(streams.stalled(since: at(0)).map { $0 === call } == [true])
        #expect(streams.stalled(since: at(5)).count == 2)
        streams.withhold(1, on: first)
        #expect(streams.stalled(since: at(0)).isEmpty, "its reader is behind")
        _ = streams.release(first, at: at(20))
        #expect(streams.stalled(since: at(19)).map { $0 === other } == [true])
        #expect(streams.touch(third, at: at(30)) === other)
        #expect(streams.stalled(since: at(29)).map { $0 === call } == [true])
    }

    @Test("all streams end with the connection")
    func removed() {
        var streams = streams()
        #expect(streams.streams == [first, third])
        #expect(streams.removeAll().count == 2)
        #expect(streams.streams.isEmpty && streams.removeAll().isEmpty)
    }
}
