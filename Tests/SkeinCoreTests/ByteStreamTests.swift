import NIOCore
import Synchronization
import Testing

@testable import SkeinCore

/// Counts a stream's requests to its source.
private final class Source: ByteStreamSource {
    let wanted = Atomic<Int>(0)
    let cancelled = Atomic<Int>(0)

    func streamWantsMore() { wanted.wrappingAdd(1, ordering: .relaxed) }
    func streamWasCancelled() { cancelled.wrappingAdd(1, ordering: .relaxed) }
}

@Suite("Byte stream")
struct ByteStreamTests {
    private func text(_ bytes: ByteBuffer) -> String { String(buffer: bytes) }

    @Test("pieces arrive in order, then the end with its data")
    func order() async throws {
        let stream = ByteStream<Int>(source: nil)
        stream.push(ByteBuffer(string: "a"))
        stream.push(ByteBuffer(string: "b"))
        stream.finish(7)
        var pieces: [String] = []
        for try await piece in stream { pieces.append(text(piece)) }
        #expect(pieces == ["a", "b"])
        #expect(stream.ending == 7)
    }

    @Test("a second pass is a clear error")
    func once() async throws {
        let stream = ByteStream<Void>(source: nil)
        stream.push(ByteBuffer(string: "a"))
        stream.finish(())
        #expect(text(try await stream.collect(upTo: 10)) == "a")
        let error = await #expect(throws: SkeinError.self) { try await stream.collect(upTo: 10) }
        #expect(error?.code == .exception)
    }

    @Test("the source pauses above the high-water mark and is resumed below half of it")
    func backPressure() async throws {
        let source = Source()
        let stream = ByteStream<Void>(highWater: 4, source: source)
        #expect(stream.push(ByteBuffer(string: "ab")))
        #expect(!stream.push(ByteBuffer(string: "cd")))
        var iterator = stream.makeAsyncIterator()
        let wantedAtStart = source.wanted.load(ordering: .relaxed)
        _ = try await iterator.next()
        #expect(source.wanted.load(ordering: .relaxed) == wantedAtStart + 1)
        _ = try await iterator.next()
        #expect(source.wanted.load(ordering: .relaxed) == wantedAtStart + 1)
    }

    @Test("a paused source stays paused until it is resumed")
    func pauseLasts() async throws {
        let source = Source()
        let stream = ByteStream<Void>(highWater: 8, source: source)
        var iterator = stream.makeAsyncIterator()
        for _ in 0..<3 { #expect(stream.push(ByteBuffer(string: "ab"))) }
        #expect(!stream.push(ByteBuffer(string: "ab")))
        let wanted = source.wanted.load(ordering: .relaxed)
        _ = try await iterator.next()
        #expect(!stream.push(ByteBuffer(string: "a")))
        #expect(source.wanted.load(ordering: .relaxed) == wanted)
        for _ in 0..<2 { _ = try await iterator.next() }
        #expect(source.wanted.load(ordering: .relaxed) == wanted + 1)
    }

    @Test("an error is delivered after the data that arrived before it")
    func failure() async throws {
        let stream = ByteStream<Void>(source: nil)
        stream.push(ByteBuffer(string: "a"))
        stream.fail(SkeinError(.bodyError, because: "cut"))
        var iterator = stream.makeAsyncIterator()
        #expect(try await iterator.next() == ByteBuffer(string: "a"))
        await #expect(throws: SkeinError.self) { _ = try await iterator.next() }
    }

    @Test("too large a body is code 719, and the source is told")
    func tooLarge() async throws {
        let source = Source()
        let stream = ByteStream<Void>(source: source)
        stream.push(ByteBuffer(string: "abcdef"))
        let error = await #expect(throws: SkeinError.self) { try await stream.collect(upTo: 3) }
        #expect(error?.code == .contentTooLarge)
        #expect(source.cancelled.load(ordering: .relaxed) == 1)
    }

    @Test("a waiting consumer gets the next piece, and a cancelled one does not wait for ever")
    func waiting() async throws {
        let stream = ByteStream<Void>(source: nil)
        async let whole = stream.collect(upTo: 10)
        stream.push(ByteBuffer(string: "x"))
        stream.finish(())
        #expect(text(try await whole) == "x")

        let silent = ByteStream<Void>(source: nil)
        let task = Task { try await silent.collect(upTo: 10) }
        task.cancel()
        await #expect(throws: SkeinError.self) { try await task.value }
    }
}
