// The data of a response, whether from a server, a cache, a layer, or a failure.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// The data behind ``HTTPResponse``.
///
/// Unchecked: until it is complete, only one loop or task uses it; then it is published and never changes again.
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

    /// A copy of the current state, for event handlers during the exchange.
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

/// The timings of a request. A span is nil if it did not take place.
public struct HTTPTimings: Sendable {
    /// Waiting for a slot in the session.
    public var queued = Duration.zero
    /// Name resolution.
    public var dns: Duration?
    /// Establishing the connection, including a proxy's tunnel; nil when a connection was reused.
    public var connect: Duration?
    /// The TLS handshake.
    public var tls: Duration?
    /// From the moment it got its slot to the head of the last response, connection and redirects included.
    public var firstByte: Duration?
    /// From the moment it got its slot to the last byte; nil for a streamed response.
    public var total: Duration?
}
