// Something that answers requests, and what can be put around it.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// Sends requests: the client itself, or the client inside of layers.
public struct HTTPService: Sendable {
    let context: HTTPClientContext
    private let call: @Sendable (HTTPRequest) async -> HTTPResponse

    init(_ context: HTTPClientContext, _ call: @escaping @Sendable (HTTPRequest) async -> HTTPResponse) {
        self.context = context
        self.call = call
    }

    /// Sends a request and waits for its response. Never throws: a failure is a response with a code of 7xx.
    public func send(_ request: HTTPRequest) async -> HTTPResponse { await call(request) }

    /// A response that no server has sent.
    public func answer(
        _ request: HTTPRequest, _ status: HTTPStatus, headers: Headers = Headers(), content: ByteBuffer = ByteBuffer()
    ) -> HTTPResponse {
        let answer = HTTPAnswer(request, context)
        let length: BodyLength = content.readableBytes == 0 ? .none : .known(content.readableBytes)
        answer.head = ResponseHead(
            status: status, reason: status.reason, version: .http1_1, headers: headers, bodyLength: length)
        answer.body = content
        return HTTPResponse(answer).streamedIfAsked
    }

    /// A request that fails before it is sent.
    public func fail(_ request: HTTPRequest, _ error: SkeinError) -> HTTPResponse {
        let answer = HTTPAnswer(request, context)
        answer.failure = error
        return HTTPResponse(answer)
    }

    /// The client as an exchange sees it that needs an answer before it can go on: without a place in the queue, since the
    /// exchange has one.
    static func within(_ pools: ShardPools) -> HTTPService {
        HTTPService(pools.context) { request in
            let corequest = Corequest<HTTPResponse>(shard: pools.shard)
            let exchange = HTTPExchange(request, pools: pools, corequest: corequest, callback: nil)
            corequest.setDriver(exchange)
            pools.shard.run { exchange.startWithinAnother() }
            return await corequest.dispatch()
        }
    }

    /// The service inside of layers, the first of which is the outermost.
    func inside(_ layers: [any HTTPLayer]) -> HTTPService {
        layers.reversed().reduce(self) { next, layer in
            HTTPService(context) { await layer.send($0, next: next) }
        }
    }
}

/// Something that stands between a caller and the client: it may change the request, send it again, not send it at all, or
/// change the response.
///
/// The layers of a session are values in a list, the first the outermost: `[RetryLayer(), CircuitBreakerLayer()]` asks the
/// breaker for each attempt.
public protocol HTTPLayer: Sendable {
    /// Answers a request.
    /// - Parameters:
    ///   - request: what is asked for.
    ///   - next: what is inside of this layer.
    func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse
}
