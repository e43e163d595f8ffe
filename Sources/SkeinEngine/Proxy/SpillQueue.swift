// The buffer of a response for a slow client: in memory, and beyond a limit in a file.

import DequeModule
import NIOCore

/// A queue of bytes, the first of which are in memory and the others in a file: decides which are read next, and where
/// new ones go.
///
/// The file is reused from its start when it was read to its end.
struct SpillQueue {
    /// The place for arriving bytes.
    enum Place: Equatable {
        case memory
        /// To be written to the file; ``written(_:)`` follows.
        case file(at: Int)
        /// No room: wait for ``next()``.
        case full
    }

    /// The next bytes for the client.
    enum Next: Equatable {
        case bytes(ByteBuffer)
        /// To be read from the file; ``hasRead(_:)`` follows.
        case file(at: Int, count: Int)
        case nothing
    }

    private static let largestRead = 128 << 10

    private let memory: Int
    private var disk: Int
    private var pieces = Deque<ByteBuffer>()
    private(set) var inMemory = 0
    private var readOffset = 0
    private var writtenOffset = 0
    private var isWriting = false

    init(memory: Int, disk: Int) {
        self.memory = memory
        self.disk = disk
    }

    var inFile: Int { writtenOffset - readOffset }
    var isEmpty: Bool { pieces.isEmpty && inFile == 0 }

    /// Bytes have arrived. One piece is always accepted.
    mutating func arrives(_ bytes: ByteBuffer) -> Place {
        let count = bytes.readableBytes
        if inFile == 0, pieces.isEmpty || inMemory + count <= memory {
            pieces.append(bytes)
            inMemory += count
            return .memory
        }
        guard writtenOffset + count <= disk else { return .full }
        isWriting = true
        return .file(at: writtenOffset)
    }

    /// Bytes were written to the file, at the offset from ``arrives(_:)``.
    mutating func written(_ count: Int) {
        writtenOffset += count
        isWriting = false
    }

    /// Writing has failed, and nothing more is written to the file; its contents stay readable.
    mutating func fileFailed() {
        disk = 0
        isWriting = false
    }

    mutating func next() -> Next {
        if let piece = pieces.popFirst() {
            inMemory -= piece.readableBytes
            return .bytes(piece)
        }
        return inFile > 0 ? .file(at: readOffset, count: min(inFile, Self.largestRead)) : .nothing
    }

    /// Bytes were read from the file.
    mutating func hasRead(_ count: Int) {
        readOffset += count
        if readOffset == writtenOffset, !isWriting { (readOffset, writtenOffset) = (0, 0) }
    }
}
