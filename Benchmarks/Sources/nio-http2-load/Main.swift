// SwiftNIO's HTTP/2 with a channel for each stream, as a load generator: nio-http2-load PORT REQUESTS CONNECTIONS STREAMS

import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix

/// Sends a request as its stream opens, and says when the stream has ended.
private final class Request: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let fields: HPACKHeaders
    private let ended: () -> Void

    init(_ fields: HPACKHeaders, ended: @escaping () -> Void) {
        self.fields = fields
        self.ended = ended
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(.headers(.init(headers: fields, endStream: true))), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let headers) where headers.endStream: ended()
        case .data(let data) where data.endStream: ended()
        default: break
        }
    }
}

/// One connection that keeps so many streams under way. On one loop.
private final class Connection: @unchecked Sendable {
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private let fields: HPACKHeaders
    private var left: Int
    private var open = 0
    private let done: EventLoopPromise<Void>

    init(_ multiplexer: NIOHTTP2Handler.StreamMultiplexer, port: Int, requests: Int, done: EventLoopPromise<Void>) {
        self.multiplexer = multiplexer
        left = requests
        self.done = done
        fields = [
            ":method": "GET", ":scheme": "http", ":authority": "127.0.0.1:\(port)", ":path": "/hello",
            "user-agent": "nio", "accept": "*/*",
        ]
    }

    func next() {
        guard left > 0 else {
            if open == 0 { done.succeed() }
            return
        }
        left -= 1
        open += 1
        multiplexer.createStreamChannel(promise: nil) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    Request(self.fields) {
                        self.open -= 1
                        self.next()
                    })
            }
        }
    }
}

@main
enum Main {
    static func main() async throws {
        let numbers = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        guard numbers.count == 4 else { fatalError("usage: nio-http2-load PORT REQUESTS CONNECTIONS STREAMS") }
        let (port, requests, connections, streams) = (numbers[0], numbers[1], numbers[2], numbers[3])
        let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).any()
        let start = ContinuousClock.now
        var ends: [EventLoopFuture<Void>] = []
        for number in 0..<connections {
            let share = requests / connections + (number < requests % connections ? 1 : 0)
            let done = loop.makePromise(of: Void.self)
            let channel = try await ClientBootstrap(group: loop)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: "127.0.0.1", port: port).get()
            try await loop.submit {
                let multiplexer = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
                    mode: .client, connectionConfiguration: .init(), streamConfiguration: .init(),
                    inboundStreamInitializer: { $0.close() })
                let connection = Connection(multiplexer, port: port, requests: share, done: done)
                for _ in 0..<streams { connection.next() }
            }.get()
            ends.append(done.futureResult)
        }
        try await EventLoopFuture.andAllSucceed(ends, on: loop).get()
        print(Double(requests) / ((ContinuousClock.now - start) / .seconds(1)))
    }
}
