import NIOCore
import SkeinWire
import Testing

@testable import SkeinEngine

private func at(_ seconds: Double) -> NIODeadline {
    .uptimeNanoseconds(1_000_000_000) + .nanoseconds(Int64(seconds * 1e9))
}

/// The table of a server's exchange: (state, event) → (what the driver does, state).
@Suite("Exchange at the server")
struct ServerExchangeTests {
    private func exchange(
        hasContent: Bool = true, expectsContinue: Bool = false, maximum: Int = 1000, rate: Int = 0
    ) -> ServerExchange {
        ServerExchange(
            hasContent: hasContent, expectsContinue: expectsContinue, maximum: maximum, rate: BodyRate(minimum: rate),
            at: at(0))
    }

    @Test("content is delivered up to its limit")
    func limit() {
        var exchange = exchange()
        #expect(exchange.receive(1000, at: at(1)) == .deliver && exchange.receive(1, at: at(1)) == .tooLarge)
        #expect(exchange.received == 1001 && exchange.maximum == 1000)
    }

    @Test("content after the response is discarded, up to a separate limit")
    func discarded() {
        var exchange = exchange(maximum: 1 << 30)
        #expect(exchange.receive(ServerExchange.discardLimit * 2, at: at(1)) == .deliver)
        exchange.beginResponse(isEndless: false)
        #expect(exchange.receive(1, at: at(1)) == .deliver, "the response may be made of it")
        exchange.endResponse(at: at(1))
        #expect(
            exchange.receive(ServerExchange.discardLimit, at: at(1)) == .discard
                && exchange.receive(1, at: at(1)) == .stop)
    }

    @Test("both sides must end")
    func ends() {
        var early = exchange()
        early.beginResponse(isEndless: false)
        early.endResponse(at: at(1))
        #expect(!early.isOver)
        early.receiveEnd()
        #expect(early.isOver)
        var late = exchange(hasContent: false)
        #expect(late.isComplete && !late.isOver)
        late.beginResponse(isEndless: true)
        #expect(late.isEndless && !late.isOver)
        late.endResponse(at: at(1))
        #expect(late.isOver && !late.isEndless)
    }

    @Test("100 (Continue) is sent once, when the handler reads before it responds")
    func awaited() {
        var exchange = exchange(expectsContinue: true)
        #expect(exchange.content == .awaited)
        #expect(exchange.contentIsWanted(at: at(1)) && !exchange.contentIsWanted(at: at(1)))
        var unasked = self.exchange(expectsContinue: true)
        #expect(
            unasked.receive(1, at: at(1)) == .deliver && !unasked.contentIsWanted(at: at(1)), "the client did not wait")
        var answered = self.exchange(expectsContinue: true)
        answered.beginResponse(isEndless: false)
        #expect(answered.contentIsWanted(at: at(1)) == false)
    }

    @Test("a slow client is distinguished from a slow handler")
    func rate() {
        var exchange = exchange(rate: 10)
        _ = exchange.receive(50, at: at(1))
        #expect(!exchange.isTooSlow(at: at(9)) && exchange.isTooSlow(at: at(11)))
        exchange.pause(at: at(5))
        exchange.pause(at: at(8))
        #expect(!exchange.isTooSlow(at: at(100)), "it is not read")
        exchange.resume(at: at(100))
        exchange.resume(at: at(101))
        #expect(!exchange.isTooSlow(at: at(104)) && exchange.isTooSlow(at: at(106)))
        exchange.receiveEnd()
        #expect(!exchange.isTooSlow(at: at(1000)))
        var awaited = self.exchange(expectsContinue: true, rate: 10)
        #expect(!awaited.isTooSlow(at: at(1000)))
        _ = awaited.contentIsWanted(at: at(1000))
        #expect(!awaited.isTooSlow(at: at(1009)) && awaited.isTooSlow(at: at(1011)))
    }

    @Test("a client with a complete response must end its request soon")
    func overdue() {
        var exchange = exchange()
        #expect(exchange.isOverdue(at: at(1000), isSending: false) == false, "the handler runs")
        exchange.beginResponse(isEndless: false)
        exchange.endResponse(at: at(0))
        #expect(exchange.isOverdue(at: at(11), isSending: true) == false, "the response is on its way")
        #expect(
            exchange.isOverdue(at: at(20), isSending: false) == false
                && exchange.isOverdue(at: at(22), isSending: false))
        exchange.receiveEnd()
        #expect(exchange.isOverdue(at: at(22), isSending: false) == false)
    }
}

/// The table of a server's HTTP/1.1 connection: (state, event) → (what the driver does, state).
@Suite("HTTP/1.1 server connection")
struct HTTP1ServerMachineTests {
    private func machine(requests: Int = 100) -> HTTP1ServerMachine {
        var limits = HTTP1ServerMachine.Limits()
        limits.header = .seconds(10)
        limits.body = .seconds(30)
        limits.keepAlive = .seconds(75)
        limits.requests = requests
        limits.rate = BodyRate(minimum: 10)
        return HTTP1ServerMachine(limits, at: at(0))
    }

    private func head(_ length: BodyLength = .none, keepAlive: Bool = true, expectsContinue: Bool = false)
        -> RequestHead
    {
        RequestHead(
            method: "GET", targetBytes: ByteBuffer(string: "/"), headers: Headers(), bodyLength: length,
            keepAlive: keepAlive, expectsContinue: expectsContinue)
    }

    /// A machine that serves a request.
    private func serving(
        _ length: BodyLength = .none, keepAlive: Bool = true, expectsContinue: Bool = false, requests: Int = 100
    ) -> HTTP1ServerMachine {
        var machine = machine(requests: requests)
        _ = machine.receive(at: at(1))
        let isTaken = machine.receiveHead(
            head(length, keepAlive: keepAlive, expectsContinue: expectsContinue), maximum: 1 << 30, at: at(1))
        #expect(isTaken)
        return machine
    }

    private func answered(_ machine: HTTP1ServerMachine, closes: Bool = false) -> (
        HTTP1ServerMachine, HTTP1ServerMachine.Next
    ) {
        var machine = machine
        machine.beginResponse(persists: machine.persists(closes: closes), isEndless: false)
        let next = machine.endResponse(at: at(2))
        return (machine, next)
    }

    // MARK: Receiving

    @Test("the next part that the decoder expects")
    func expectations() {
        #expect(machine().expectation == .head)
        #expect(serving().expectation == .nothing, "the next request waits for the response")
        var machine = serving(.known(3))
        #expect(machine.expectation == .content)
        #expect(machine.receiveEnd() == false && machine.expectation == .nothing)
        machine.linger(at: at(2))
        #expect(machine.expectation == .nothing && machine.receive(at: at(2)) == .ignore)
        machine.end()
        #expect(machine.expectation == .nothing && machine.receive(at: at(2)) == .ignore)
        #expect(machine.receiveContent(1, at: at(5)) == .discard && machine.endResponse(at: at(2)) == .nothing)
    }

    @Test("content with too large a Content-Length is refused at the head")
    func tooLarge() {
        var machine = machine()
        #expect(machine.receiveHead(head(.known(11)), maximum: 10, at: at(0)) == false)
        #expect(machine.request == nil)
        #expect(machine.receiveHead(head(.known(10)), maximum: 10, at: at(0)) == true)
        #expect(machine.receiveContent(11, at: at(5)) == .tooLarge)
    }

    @Test("content slower than the limit is refused")
    func slow() {
        var machine = serving(.known(1000))
        #expect(machine.receive(at: at(5)) == .decode && machine.receiveContent(20, at: at(5)) == .deliver)
        machine.pause(at: at(6))
        machine.resume(at: at(16))
        #expect(machine.receive(at: at(21)) == .decode && machine.receive(at: at(22)) == .refuse)
    }

    // MARK: Sending

    @Test("the connection is kept if both sides want it and the remaining content is short")
    func persistence() {
        #expect(serving().persists(closes: false))
        #expect(!serving().persists(closes: true))
        #expect(!serving(keepAlive: false).persists(closes: false))
        #expect(!serving(requests: 1).persists(closes: false))
        #expect(serving(.known(256 << 10)).persists(closes: false))
        #expect(!serving(.known(256 << 10 + 1)).persists(closes: false))
        #expect(!serving(.streamed).persists(closes: false), "nobody knows how much follows")
        #expect(!serving(.known(1), expectsContinue: true).persists(closes: false), "it may or may not follow")
        var finished = serving()
        #expect(finished.inputClosed() == .nothing && !finished.persists(closes: false))
        #expect(!machine().persists(closes: false), "no request")
    }

    @Test("after a response: the next request, the rest of the content, or the end")
    func next() {
        #expect(answered(serving()).1 == .request)
        #expect(answered(serving(), closes: true).1 == .linger)
        var (machine, next) = answered(serving(.known(1000)))
        #expect(next == .discard && machine.receiveContent(1000, at: at(5)) == .discard)
        #expect(machine.receiveEnd() && machine.expectation == .head)
        var closed = serving()
        closed.beginResponse(persists: true, isEndless: false)
        #expect(closed.inputClosed() == .nothing && closed.endResponse(at: at(2)) == .linger)
    }

    @Test("100 (Continue) is sent when the handler reads")
    func awaited() {
        var machine = serving(.known(1), expectsContinue: true)
        #expect(machine.contentIsWanted(at: at(2)) && !machine.contentIsWanted(at: at(2)))
        var idle = self.machine()
        #expect(idle.contentIsWanted(at: at(2)) == false)
    }

    // MARK: The end

    @Test("a client that closes its side is still answered, if its request is complete")
    func inputClosed() {
        var idle = machine()
        #expect(idle.inputClosed() == .linger && idle.hasClientFinished)
        var torn = serving(.known(1))
        #expect(torn.inputClosed() == .cutOff)
        var endless = serving()
        endless.beginResponse(persists: false, isEndless: true)
        #expect(endless.inputClosed() == .cutOff)
        endless.end()
        #expect(endless.inputClosed() == .cutOff)
    }

    @Test("our side ends first, then the client's")
    func lingering() {
        var machine = machine()
        #expect(machine.outputTaken(at: at(1)) == .nothing)
        machine.linger(at: at(1))
        #expect(machine.deadline == at(31))
        #expect(machine.outputTaken(at: at(2)) == .closeOutput && machine.deadline == at(3))
        #expect(machine.inputClosed() == .cutOff)
        var finished = self.machine()
        finished.linger(at: at(1))
        #expect(finished.inputClosed() == .nothing, "not all is written")
        #expect(finished.outputTaken(at: at(2)) == .cutOff)
    }

    @Test("a stopping server gives idle clients a moment, and ends endless responses")
    func drain() {
        let moment = at(5) + HTTP1ServerMachine.lastChance
        var fresh = machine()
        #expect(fresh.drain(isBetweenRequests: true, at: at(5)) == .nothing && fresh.deadline == moment)
        var head = machine()
        #expect(head.drain(isBetweenRequests: false, at: at(5)) == .nothing && head.deadline == at(10))
        var (idle, _) = answered(serving())
        #expect(idle.drain(isBetweenRequests: true, at: at(5)) == .nothing && idle.deadline == moment)
        var busy = serving()
        #expect(busy.drain(isBetweenRequests: true, at: at(5)) == .nothing && busy.deadline == at(31))
        busy.beginResponse(persists: false, isEndless: true)
        #expect(busy.drain(isBetweenRequests: true, at: at(5)) == .cutOff)
        busy.end()
        #expect(busy.drain(isBetweenRequests: true, at: at(5)) == .nothing)
    }

    // MARK: Time

    @Test("deadlines match the awaited part")
    func deadlines() {
        var machine = machine()
        #expect(machine.deadline == at(10))
        machine.settle(isBetweenRequests: true, at: at(1))
        #expect(machine.deadline == at(10), "a head that has begun keeps its deadline")
        _ = machine.receiveHead(head(.known(1)), maximum: 10, at: at(1))
        _ = machine.receive(at: at(2))
        #expect(machine.deadline == at(32))
        machine.madeProgress(at: at(3))
        #expect(machine.deadline == at(33))
        _ = machine.receiveContent(1, at: at(5))
        _ = machine.receiveEnd()
        (machine, _) = answered(machine)
        var pipelined = machine
        machine.settle(isBetweenRequests: true, at: at(4))
        #expect(machine.deadline == at(79))
        _ = machine.receive(at: at(5))
        #expect(machine.deadline == at(15))
        pipelined.settle(isBetweenRequests: false, at: at(4))
        #expect(pipelined.deadline == at(14))
    }

    @Test("a deadline ends a stalled exchange, but not a busy handler")
    func overdue() {
        func fired(_ machine: HTTP1ServerMachine, bytes: Bool = true, isReading: Bool = true, isWriting: Bool = false)
            -> HTTP1ServerMachine.Overdue
        {
            var machine = machine
            return machine.timerFired(at: at(200), hasBytes: bytes, isReading: isReading, isWriting: isWriting)
        }
        var early = machine()
        #expect(early.timerFired(at: at(9), hasBytes: false, isReading: true, isWriting: false) == .nothing)
        #expect(fired(machine(), bytes: false) == .cutOff && fired(machine()) == .refuse)
        #expect(fired(serving()) == .nothing, "the handler works")
        #expect(fired(serving(.known(1))) == .stalled)
        #expect(fired(serving(.known(1)), isReading: false) == .nothing, "the handler does not read")
        #expect(fired(serving(.known(1), expectsContinue: true)) == .nothing, "the client waits for the handler")
        #expect(fired(serving(), isWriting: true) == .stalled)
        var refused = serving(.known(1), expectsContinue: true)
        refused.beginResponse(persists: false, isEndless: false)
        #expect(fired(refused) == .stalled, "no 100 (Continue) will follow")
        let (idle, _) = answered(serving())
        #expect(fired(idle) == .cutOff)
        var working = serving()
        _ = working.timerFired(at: at(200), hasBytes: false, isReading: true, isWriting: false)
        #expect(working.deadline == at(230))
    }
}
