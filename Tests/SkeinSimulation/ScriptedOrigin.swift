// The scripted server: it answers each request of a connection as the history says, correctly or not.

import NIOCore
import SkeinWire

/// A connection of the scripted server.
///
/// Unchecked: a simulation has one thread.
final class ScriptedOrigin: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let world: World
    private var decoder = HTTP1RequestDecoder()
    private var context: ChannelHandlerContext?
    private var current: (call: CallPlan, head: RequestHead)?
    /// Whether a response is delayed; the next request is not read before it.
    private var isAnswering = false
    private var isOver = false
    /// Whether a request is complete and nothing of its response was sent.
    private var owesAnswer = false

    init(_ world: World) { self.world = world }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func channelInactive(context: ChannelHandlerContext) { self.context = nil }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if owesAnswer, world.history.settings.pipelineDepth == 1, !world.hasUndetectableForgery {
            world.report("a request was pipelined, though pipelining is off")
        }
        decoder.append(unwrapInboundIn(data))
        advance()
    }

    private func advance() {
        while !isAnswering, !isOver {
            do {
                guard let event = try decoder.next() else { return }
                take(event)
            } catch {
                world.report("the client sent a malformed request: \(error)")
                return close()
            }
        }
    }

    private func take(_ event: HTTP1RequestDecoder.Event) {
        switch event {
        case .head(let head):
            guard let call = world.call(of: head) else { return close() }
            current = (call, head)
            world.processed(call)
            if case .early = call.act { write(response(call, .length, head: head)) }
            if case .close = call.act { return close() }
            if head.expectsContinue { write("HTTP/1.1 100 Continue\r\n\r\n") }
        case .body: break
        case .end:
            guard let (call, head) = current else { return }
            current = nil
            answer(call, head)
        }
    }

    private func answer(_ call: CallPlan, _ head: RequestHead) {
        switch call.act {
        case .answer(let framing, let delay, let interim):
            for _ in 0..<interim { write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") }
            owesAnswer = true
            later(delay) {
                self.owesAnswer = false
                self.write(self.response(call, framing, head: head))
                if framing == .close { self.close() }
            }
        case .answerAndClose(let delay):
            write(response(call, .length, head: head))
            later(delay) { self.close() }
        case .answerAndSayClose:
            write(response(call, .length, head: head, fields: "Connection: close\r\n"))
            close()
        case .silence: isOver = true
        case .early: break
        case .twice(let delay):
            write(response(call, .length, head: head))
            if let channel = context?.channel as? SimulatedChannel {
                world.watchForgery(on: channel, behind: channel.bytesRead - decoder.bufferedBytes)
            }
            later(delay) { self.write("HTTP/1.1 200 OK\r\nX-Id: forged\r\nContent-Length: 6\r\n\r\nforged") }
        case .half(let ending):
            isOver = true
            var whole = response(call, .length, head: head)
            write(whole.readSlice(length: whole.readableBytes / 2) ?? ByteBuffer())
            switch ending {
            case .silence: break
            case .close: close()
            case .reset: world.later(5) { (self.context?.channel as? SimulatedChannel)?.outbound.breakOff() }
            }
        case .garbage:
            isOver = true
            write("220 smtp.example ESMTP\r\n\r\n")
        case .close: close()
        case .upgrade:
            isOver = true
            write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\nother")
        }
    }

    /// Delays a response, and the reading of the next request.
    private func later(_ milliseconds: Int, _ work: @escaping @Sendable () -> Void) {
        if milliseconds == 0 { return work() }
        isAnswering = true
        world.later(milliseconds) {
            work()
            self.isAnswering = false
            self.advance()
        }
    }

    private func response(
        _ call: CallPlan, _ framing: ServerAct.Framing, head: RequestHead, fields: String = ""
    ) -> ByteBuffer {
        var bytes = ByteBuffer(string: "HTTP/1.1 200 OK\r\nX-Id: \(call.id)\r\n\(fields)")
        let content = world.content(of: call)
        switch framing {
        case .length: bytes.writeString("Content-Length: \(content.readableBytes)\r\n\r\n")
        case .chunked: bytes.writeString("Transfer-Encoding: chunked\r\n\r\n")
        case .close: bytes.writeString("Connection: close\r\n\r\n")
        }
        guard head.method != .head else { return bytes }
        guard framing == .chunked else {
            bytes.writeImmutableBuffer(content)
            return bytes
        }
        var rest = content
        while let piece = rest.readSlice(length: min(rest.readableBytes, 7000)), piece.readableBytes > 0 {
            HTTP1Encoder.writeChunk(piece, into: &bytes)
        }
        bytes.writeString("0\r\n\r\n")
        return bytes
    }

    private func write(_ text: String) { write(ByteBuffer(string: text)) }
    private func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    private func close() {
        isOver = true
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in self.context?.close(promise: nil) }
    }
}
