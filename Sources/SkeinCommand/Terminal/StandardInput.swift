// Standard input while it comes, read by a thread of its own, since reading blocks.

import Foundation
import Skein

enum StandardInput {
    /// Its lines, without their ends, as bytes.
    static var lines: AsyncStream<[UInt8]> {
        AsyncStream { continuation in
            Thread.detachNewThread {
                var rest: [UInt8] = []
                read { piece in
                    var lines = (rest + piece).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                    rest = lines.popLast().map(Array.init) ?? []
                    for line in lines {
                        continuation.yield(Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line))
                    }
                }
                if !rest.isEmpty { continuation.yield(rest) }
                continuation.finish()
            }
        }
    }

    /// Its bytes, a piece at a time, and no faster than they are taken.
    static var pieces: Pieces { Pieces() }

    struct Pieces: AsyncSequence, Sendable {
        func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }

        struct AsyncIterator: AsyncIteratorProtocol {
            func next() async throws -> ByteBuffer? {
                await withCheckedContinuation { continuation in
                    Thread.detachNewThread { continuation.resume(returning: readPiece().map { ByteBuffer(bytes: $0) }) }
                }
            }
        }
    }

    private static func read(_ take: ([UInt8]) -> Void) {
        while let piece = readPiece() { take(piece) }
    }

    /// The next bytes; nil at the end.
    private static func readPiece() -> [UInt8]? {
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = piece.withUnsafeMutableBytes { Foundation.read(0, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            return count > 0 ? Array(piece[..<count]) : nil
        }
    }
}
