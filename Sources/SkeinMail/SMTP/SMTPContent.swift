// The content of a message for a server, piece by piece.

import NIOCore
import NIOPosix
import SkeinCore

/// The source of a message's bytes.
protocol SMTPContent: AnyObject {
    /// The total size in bytes.
    var size: Int { get }
    /// The next piece; nil at the end. Called on the loop, again only after the previous piece was returned.
    func next(on loop: any EventLoop) -> EventLoopFuture<ByteBuffer?>
}

/// A message in memory. Used on one loop.
final class MemoryContent: SMTPContent {
    let size: Int
    private var rest: [ByteBuffer]

    init(_ pieces: [ByteBuffer]) {
        rest = pieces.reversed()
        size = pieces.reduce(0) { $0 + $1.readableBytes }
    }

    func next(on loop: any EventLoop) -> EventLoopFuture<ByteBuffer?> { loop.makeSucceededFuture(rest.popLast()) }
}
