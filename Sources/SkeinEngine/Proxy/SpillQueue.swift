// Where the bytes of a response wait for a slow client: in memory, and behind that in a file.

import DequeModule
import NIOCore

/// A queue of bytes, the first of which are in memory and the others in a file: which of them comes next, and where a new one goes.
///
/// The file is used from its start again whenever it was read to its end.
struct SpillQueue {
    /// Where arriving bytes go.
    enum Place: Equatable {
        case memory
        /// To be written here; ``written(_:)`` follows.
        case file(at: Int)
        /// There is no room: wait for ``next()``.
        case full
    }

    /// What the client gets next.
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

    /// Bytes have arrived. One piece is always taken.
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

    /// Bytes are in the file, where ``arrives(_:)`` has sent them.
    mutating func written(_ count: Int) {
        writtenOffset += count
        isWriting = false
    }

    /// They are not, and the file takes no more; what is in it stays.
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
