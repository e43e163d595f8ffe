import NIOCore
import PeerSupport
import SkeinCore
import Testing

@testable import SkeinEngine

/// Data that waits for a slow client, in memory and in a file, is read as it was written.
@Suite("Spill queue")
struct SpillQueueTests {
    /// A queue with its file.
    private struct Spill {
        var queue: SpillQueue
        var file: [UInt8] = []

        mutating func put(_ bytes: [UInt8]) -> SpillQueue.Place {
            let place = queue.arrives(ByteBuffer(bytes: bytes))
            if case .file(let offset) = place {
                if file.count < offset + bytes.count {
                    file += [UInt8](repeating: 0, count: offset + bytes.count - file.count)
                }
                file.replaceSubrange(offset..<offset + bytes.count, with: bytes)
            }
            return place
        }

        mutating func take() -> [UInt8]? {
            switch queue.next() {
            case .bytes(let bytes): return Array(bytes.readableBytesView)
            case .file(let offset, let count):
                queue.hasRead(count)
                return Array(file[offset..<offset + count])
            case .nothing: return nil
            }
        }
    }

    @Test("memory first, then the file, then memory again")
    func order() {
        var spill = Spill(queue: SpillQueue(memory: 4, disk: 6))
        #expect(spill.put([1, 2, 3]) == .memory)
        #expect(spill.put([4, 5]) == .file(at: 0))
        spill.queue.written(2)
        #expect(spill.put([6]) == .file(at: 2))  // in turn, although memory has room for it
        spill.queue.written(1)
        #expect(spill.put([7, 8, 9, 10]) == .full)
        #expect(spill.take() == [1, 2, 3])
        #expect(spill.take() == [4, 5, 6])
        #expect(spill.take() == nil && spill.queue.isEmpty)
        #expect(spill.put([7, 8, 9, 10, 11, 12, 13]) == .memory)  // larger than both, but all that there is
        #expect(spill.take() == [7, 8, 9, 10, 11, 12, 13])
    }

    @Test("a write that ends after all earlier bytes were read; a file that fails")
    func writing() {
        var spill = Spill(queue: SpillQueue(memory: 1, disk: 10))
        _ = spill.put([1])
        #expect(spill.put([2]) == .file(at: 0))
        spill.queue.written(1)
        #expect(spill.put([3]) == .file(at: 1))
        #expect(spill.take() == [1] && spill.take() == [2] && spill.take() == nil)
        spill.queue.written(1)
        #expect(spill.take() == [3] && spill.queue.isEmpty)
        _ = spill.put([4])
        #expect(spill.put([5]) == .file(at: 0))
        spill.queue.fileFailed()
        #expect(spill.put([5]) == .full)
        #expect(spill.take() == [4])
        #expect(spill.put([5]) == .memory && spill.take() == [5])
    }

    @Test("in any order of events, nothing is lost, duplicated or reordered", arguments: 1...200)
    func chance(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (memory, disk) = (Int.random(in: 0...20, using: &random), Int.random(in: 0...40, using: &random))
        var spill = Spill(queue: SpillQueue(memory: memory, disk: disk))
        var (sent, taken): ([UInt8], [UInt8]) = ([], [])
        var unwritten = 0
        for _ in 0..<500 {
            switch Int.random(in: 0..<3, using: &random) {
            case 0 where unwritten == 0:
                let bytes = (0..<Int.random(in: 1...9, using: &random)).map {
                    UInt8(truncatingIfNeeded: sent.count + $0)
                }
                switch spill.put(bytes) {
                case .memory: sent += bytes
                case .file:
                    sent += bytes
                    unwritten = bytes.count
                case .full: break
                }
            case 1 where unwritten > 0:
                spill.queue.written(unwritten)
                unwritten = 0
            default: taken += spill.take() ?? []
            }
            #expect(spill.queue.inMemory <= max(memory, 9) && spill.file.count <= disk)
        }
        if unwritten > 0 { spill.queue.written(unwritten) }
        while let bytes = spill.take() { taken += bytes }
        #expect(taken == sent && spill.queue.isEmpty)
    }
}
