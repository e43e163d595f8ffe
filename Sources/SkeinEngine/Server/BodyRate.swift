// How slow a client may be with a body before it is taken for one that means harm.

import NIOCore
import SkeinWire

/// The slowest rate of a body.
struct BodyRate: Sendable {
    /// Nobody is judged before this time.
    static let grace = TimeAmount.seconds(10)

    /// Bytes a second; 0 for none.
    let minimum: Int

    /// Whether so many bytes are too few for a time.
    func isTooSlow(_ bytes: Int, within time: TimeAmount) -> Bool {
        guard minimum > 0, time > Self.grace else { return false }
        return Double(bytes) * 1e9 < Double(minimum) * Double(time.nanoseconds)
    }

    func isTooSlow(_ bytes: Int, since begun: NIODeadline, at now: NIODeadline) -> Bool {
        begun < now && isTooSlow(bytes, within: now - begun)
    }
}

extension ServerContext {
    /// Bytes of a request's content at most; forms with files have a limit of their own.
    func maximumSize(of head: RequestHead) -> Int {
        guard head.bodyLength != .none, head.headers.known.contains(.contentType),
            let type = head.headers["Content-Type"]?.lowercased(), type.hasBytePrefix("multipart/form-data")
        else { return maximumBodySize }
        return max(maximumBodySize, configuration.maximumMultipartSize)
    }
}
