// The minimum rate of a body, against slow-read and slow-write attacks.

import NIOCore
import SkeinWire

/// The minimum rate of a body.
struct BodyRate: Sendable {
    /// The rate is not checked before this time.
    static let grace = TimeAmount.seconds(10)

    /// Bytes a second; 0 for none.
    let minimum: Int

    /// Whether a number of bytes is too small for a time.
    func isTooSlow(_ bytes: Int, within time: TimeAmount) -> Bool {
        guard minimum > 0, time > Self.grace else { return false }
        return Double(bytes) * 1e9 < Double(minimum) * Double(time.nanoseconds)
    }

    func isTooSlow(_ bytes: Int, since begun: NIODeadline, at now: NIODeadline) -> Bool {
        begun < now && isTooSlow(bytes, within: now - begun)
    }
}

extension ServerContext {
    /// The size limit of a request's content; forms with files have a limit of their own.
    func maximumSize(of head: RequestHead) -> Int {
        guard head.bodyLength != .none, head.headers.known.contains(.contentType),
            let type = head.headers["Content-Type"]?.lowercased(), type.hasBytePrefix("multipart/form-data")
        else { return maximumBodySize }
        return max(maximumBodySize, configuration.maximumMultipartSize)
    }
}
