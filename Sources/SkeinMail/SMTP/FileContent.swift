// The content of a message that is too large for memory, read while it is sent.

import NIOCore
import NIOPosix
import SkeinCore

/// A message in the spool, piece by piece. When the checksum is wrong, the content fails before its last piece, so that
/// no server accepts it as complete. Used on one loop.
final class FileContent: SMTPContent, @unchecked Sendable {
    private static let pieceLength = 256 << 10

    let size: Int
    private let file: SpoolFile
    private let pool: NIOThreadPool
    private var prefix: ByteBuffer?
    private var offset = 0
    private var check = SpoolFile.Check()
    /// Whether the checksum was wrong.
    private(set) var isBroken = false

    init(_ file: SpoolFile, _ pool: NIOThreadPool) {
        self.file = file
        self.pool = pool
        size = file.size
        let fields = file.envelope.prefix
        prefix = fields.isEmpty ? nil : ByteBuffer(string: fields)
    }

    func next(on loop: any EventLoop) -> EventLoopFuture<ByteBuffer?> {
        if let prefix {
            self.prefix = nil
            return loop.makeSucceededFuture(prefix)
        }
        // The next call comes after this one has ended, so that only one thread uses the state.
        return pool.runIfActive(eventLoop: loop) {
            let bytes = try self.file.content(at: self.offset, count: Self.pieceLength)
            self.offset += bytes.count
            self.check.update(bytes)
            // The last piece is held back until the checksum was verified.
            if self.offset == self.file.contentLength, !self.file.isIntact(self.check) {
                self.isBroken = true
                throw SkeinError(.bodyError, because: "the message in the spool differs from what was stored")
            }
            return bytes.isEmpty ? nil : ByteBuffer(bytes: bytes)
        }
    }
}
