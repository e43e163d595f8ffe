// The content of a message on its way to a server, a piece at a time.

import NIOCore
import NIOPosix
import SkeinCore

/// Where the bytes of a message come from.
protocol SMTPContent: AnyObject {
    /// All bytes of it.
    var size: Int { get }
    /// The next piece; nil at the end. Called on the loop, again only when the piece before was given.
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
