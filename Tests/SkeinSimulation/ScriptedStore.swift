// The scripted store: it speaks RESP and answers each command of a connection as the history says, correctly or not.

import NIOCore

/// A connection of the scripted store.
///
/// Unchecked: a simulation has one thread.
final class ScriptedStore: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let world: World
    private var input = ByteBuffer()
    private var context: ChannelHandlerContext?
    /// Whether an answer is delayed; the next command is not taken before it.
    private var isAnswering = false
    private var isOver = false

    init(_ world: World) { self.world = world }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func channelInactive(context: ChannelHandlerContext) { self.context = nil }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        input.writeBuffer(&bytes)
        advance()
    }

    private func advance() {
        while !isAnswering, !isOver, let words = nextCommand() { take(words) }
    }

    /// The words of the next command that is complete.
    private func nextCommand() -> [String]? {
        var rest = input
        guard let count = number(after: UInt8(ascii: "*"), &rest) else { return nil }
        var words: [String] = []
        for _ in 0..<count {
            guard let length = number(after: UInt8(ascii: "$"), &rest), let word = rest.readString(length: length),
                rest.readString(length: 2) == "\r\n"
            else { return nil }
            words.append(word)
        }
        input = rest
        return words
    }

    /// The number in a line that begins with a sign.
    private func number(after sign: UInt8, _ rest: inout ByteBuffer) -> Int? {
        guard let end = rest.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        guard let line = rest.readString(length: end + 1 - rest.readerIndex), line.utf8.first == sign,
            let number = Int(line.dropFirst().dropLast(line.hasSuffix("\r\n") ? 1 : 0))
        else {
            world.report("the client sent a malformed command")
            isOver = true
            return nil
        }
        return number
    }

    private func take(_ words: [String]) {
        guard words.count == 2, let id = Int(words[1]), let call = world.history.calls.first(where: { $0.id == id })
        else {
            // The greeting, or a check.
            return write(words.first == "PING" ? "+PONG\r\n" : "%1\r\n+server\r\n+simulated\r\n")
        }
        world.processed(call)
        var reply = ByteBuffer(string: words[0] == "GET" ? "$\(call.size + "\(id):".utf8.count)\r\n\(id):" : ":\(id)")
        if words[0] == "GET" { reply.writeImmutableBuffer(world.content(of: call)) }
        reply.writeString("\r\n")
        answer(call, reply)
    }

    private func answer(_ call: CallPlan, _ reply: ByteBuffer) {
        switch call.act {
        case .answer(_, let delay, _): later(delay) { self.write(reply) }
        case .early, .upgrade: write(reply)
        case .answerAndClose(let delay):
            write(reply)
            later(delay) { self.close() }
        case .answerAndSayClose:
            write(reply)
            close()
        case .silence: isOver = true
        case .twice(let delay):
            write(reply)
            if let channel = context?.channel as? SimulatedChannel {
                world.watchForgery(on: channel, behind: channel.bytesRead - input.readableBytes)
            }
            later(delay) { self.write("$6\r\nforged\r\n") }
        case .half(let ending):
            isOver = true
            write(reply.getSlice(at: reply.readerIndex, length: reply.readableBytes / 2) ?? ByteBuffer())
            switch ending {
            case .silence: break
            case .close: close()
            case .reset: world.later(5) { (self.context?.channel as? SimulatedChannel)?.outbound.breakOff() }
            }
        case .garbage:
            isOver = true
            write("220 smtp.example ESMTP\r\n\r\n")
        case .close: close()
        }
    }

    /// Delays an answer, and the commands behind it.
    private func later(_ milliseconds: Int, _ work: @escaping @Sendable () -> Void) {
        if milliseconds == 0 { return work() }
        isAnswering = true
        world.later(milliseconds) {
            work()
            self.isAnswering = false
            self.advance()
        }
    }

    private func write(_ text: String) { write(ByteBuffer(string: text)) }
    private func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    private func close() {
        isOver = true
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in self.context?.close(promise: nil) }
    }
}
