// What is known of an answer, however it came: from a server, from a cache, from a layer, or not at all.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// What a response shows.
///
/// Unchecked: while it is made, one loop or task touches it; then it is published and never changes again.
package class HTTPAnswer: @unchecked Sendable {
    final let context: HTTPClientContext
    @exclusivity(unchecked) final package var request: HTTPRequest
    @exclusivity(unchecked) final var head: ResponseHead?
    @exclusivity(unchecked) final var body = ByteBuffer()
    @exclusivity(unchecked) final var stream: BodyStream?
    final var trailers: Headers?
    final var history: [HTTPHop] = []
    @exclusivity(unchecked) final var tls: TLSInfo?
    final var failure: SkeinError?
    final var timings: HTTPTimings?
    final var cacheUse: CacheUse?
    /// When the request left the client's queue; 0 when it did not wait there.
    @exclusivity(unchecked) final var began = NIODeadline.uptimeNanoseconds(0)

    init(_ request: HTTPRequest, _ context: HTTPClientContext) {
        self.request = request
        self.context = context
    }

    /// As much as is known right now, for somebody who looks at it while it is made.
    final var snapshot: HTTPAnswer {
        let copy = HTTPAnswer(request, context)
        copy.head = head
        copy.body = body
        copy.history = history
        copy.tls = tls
        copy.trailers = trailers
        copy.timings = timings
        copy.cacheUse = cacheUse
        copy.began = began
        return copy
    }
}

/// Where the time of a request went. Each span is there when it took place.
public struct HTTPTimings: Sendable {
    /// Waiting for a slot in the session.
    public var queued = Duration.zero
    /// The name became an address.
    public var dns: Duration?
    /// The connection was made, through a proxy if there is one; nil when one was there.
    public var connect: Duration?
    /// The TLS handshake.
    public var tls: Duration?
    /// From the moment it got its slot to the head of the last answer, connection and redirects included.
    public var firstByte: Duration?
    /// From the moment it got its slot to the last byte; nil for an answer that is streamed, which is handed out before.
    public var total: Duration?
}
