// Asynchronous standard input: read by a dedicated thread, because reading blocks, and no faster than it is consumed.

import Foundation
import NIOCore
import Skein
import SkeinCore

enum StandardInput {
    /// Its bytes, a piece at a time.
    static var pieces: Pieces { Pieces() }
    /// Its lines, without their ends, as bytes.
    static var lines: Lines { Lines() }

    struct Pieces: AsyncSequence, Sendable {
        func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }

        struct AsyncIterator: AsyncIteratorProtocol {
            /// - Throws: code 701 when it cannot be read; the end of the input is not an error.
            func next() async throws -> ByteBuffer? {
                let piece = await withCheckedContinuation { continuation in
                    Thread.detachNewThread { continuation.resume(returning: FileDescriptorInput.read(0)) }
                }
                guard let piece else { throw SkeinError(.exception, because: "standard input cannot be read") }
                return piece.isEmpty ? nil : ByteBuffer(bytes: piece)
            }
        }
    }

    struct Lines: AsyncSequence, Sendable {
        func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }

        struct AsyncIterator: AsyncIteratorProtocol {
            private let pieces = Pieces.AsyncIterator()
            private var buffer = ByteBuffer()
            /// Bytes of the buffer in which no line ends.
            private var searched = 0

            mutating func next() async throws -> [UInt8]? {
                while true {
                    let view = buffer.readableBytesView
                    if let end = view.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) {
                        let line = Array(view[..<end])
                        buffer.moveReaderIndex(forwardBy: line.count + 1)
                        searched = 0
                        return line.last == UInt8(ascii: "\r") ? line.dropLast() : line
                    }
                    searched = view.count
                    guard let piece = try await pieces.next() else {
                        defer { buffer.clear() }
                        searched = 0
                        return view.isEmpty ? nil : Array(view)
                    }
                    buffer.discardReadBytes()
                    buffer.writeImmutableBuffer(piece)
                }
            }
        }
    }
}
