// The interface of services and layers.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// Sends requests: the client itself, or the client with layers around it.
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

    /// The client for an exchange that needs another response before it can continue: without a slot in the queue,
    /// since the exchange has one.
    static func within(_ pools: ShardPools) -> HTTPService {
        HTTPService(pools.context) { request in
            let corequest = Corequest<HTTPResponse>(shard: pools.shard)
            let exchange = HTTPExchange(request, pools: pools, corequest: corequest, callback: nil)
            corequest.setDriver(exchange)
            pools.shard.run { exchange.startWithinAnother() }
            return await corequest.dispatch()
        }
    }

    /// The service wrapped in layers, the first of which is the outermost.
    func inside(_ layers: [any HTTPLayer]) -> HTTPService {
        layers.reversed().reduce(self) { next, layer in
            HTTPService(context) { await layer.send($0, next: next) }
        }
    }
}

/// Middleware between a caller and the client: it may change the request, send it again, answer it without sending, or
/// change the response.
///
/// The layers of a session are values in a list, the first is the outermost: `[RetryLayer(), CircuitBreakerLayer()]`
/// passes each attempt through the breaker.
public protocol HTTPLayer: Sendable {
    /// Answers a request.
    /// - Parameters:
    ///   - request: the request.
    ///   - next: the next layer inside, or the client.
    func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse
}
