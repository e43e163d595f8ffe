import NIOCore
import SkeinHTTP
import Testing

/// The table of a client's HTTP/1.1 connection: (state, event) → (what the driver does, state).
@Suite("HTTP/1.1 client connection")
struct HTTP1ClientMachineTests {
    final class Call: HTTP1ClientCall {
        let name: String
        let mayBeFollowed: Bool
        init(_ name: String, mayBeFollowed: Bool = true) {
            self.name = name
            self.mayBeFollowed = mayBeFollowed
        }
    }
    typealias Machine = HTTP1ClientMachine<Call>

    private func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(1_000_000_000) + .seconds(seconds) }
    private let first = Call("first")
    private let second = Call("second")

    private func machine(depth: Int = 1, keepsAlive: Bool = true) -> Machine {
        var limits = Machine.Limits()
        limits.pipelineDepth = depth
        limits.keepsAlive = keepsAlive
        return Machine(limits, at: at(0))
    }

    /// A machine that has sent requests, each in a separate write.
    private func sent(_ calls: Call..., depth: Int = 1, keepsAlive: Bool = true) -> Machine {
        var machine = machine(depth: depth, keepsAlive: keepsAlive)
        for (write, call) in calls.enumerated() { machine.send(call, at: at(0), writes: write) }
        return machine
    }

    // MARK: Sending

    @Test("an open, idle, young and fresh connection takes a request")
    func usable() {
        let machine = machine()
        #expect(machine.isIdle && machine.isUsable(at: at(0)) && machine.isUsable(at: at(29)))
        #expect(!machine.isUsable(at: at(30)), "idle for too long")
        var busy = machine
        busy.madeProgress(at: at(599))
        #expect(busy.isUsable(at: at(599)))
        busy.madeProgress(at: at(600))
        #expect(!busy.isUsable(at: at(600)), "too old")
    }

    @Test("requests are pipelined only behind requests that allow it, up to the depth")
    func pipelining() {
        #expect(sent(first, depth: 2).isPipelinable(at: at(1)))
        #expect(!sent(first, second, depth: 2).isPipelinable(at: at(1)))
        #expect(!sent(Call("POST", mayBeFollowed: false), depth: 2).isPipelinable(at: at(1)))
        #expect(!sent(first, depth: 2).isPipelinable(at: at(600)))
        var streaming = sent(first, depth: 2)
        streaming.streamContent(of: first)
        #expect(!streaming.isPipelinable(at: at(1)) && !streaming.isUsable(at: at(1)))
        var held = sent(first, depth: 2)
        held.holdContent(of: first)
        #expect(!held.isPipelinable(at: at(1)))
    }

    @Test("held content is released once: by 100 (Continue) or by the timer")
    func held() {
        var machine = sent(first)
        machine.holdContent(of: first)
        #expect(machine.releaseContent(of: second) == false, "the word, or the clock, of another request")
        #expect(machine.releaseContent(of: first) == true)
        #expect(machine.releaseContent(of: first) == false)
        guard case .open(.sent) = machine.state else {
            Issue.record("the state is \(machine.state)")
            return
        }
    }

    @Test("after an early response, content is not sent and the connection is closed")
    func spared() {
        var machine = sent(first)
        machine.holdContent(of: first)
        machine.receiveHead()
        #expect(machine.releaseContent(of: first) == false)
        let end = machine.receiveEnd(reusable: true, isClean: true)
        #expect(end?.call === first && end?.next == .close)
    }

    @Test("a connection that is still sending content is free after its last piece")
    func streamed() {
        var machine = sent(first)
        machine.streamContent(of: first)
        #expect(machine.receiveEnd(reusable: true, isClean: true)?.next == .busy)
        #expect(machine.contentEnded(of: second, isWhole: true) == .busy)
        #expect(machine.contentEnded(of: first, isWhole: true) == .free)
        #expect(machine.contentEnded(of: first, isWhole: true) == .busy)
        var early = sent(first)
        early.streamContent(of: first)
        #expect(early.contentEnded(of: first, isWhole: true) == .busy, "the answer is still to come")
        #expect(early.receiveEnd(reusable: true, isClean: true)?.next == .free)
        var cut = sent(first)
        cut.streamContent(of: first)
        #expect(cut.contentEnded(of: first, isWhole: false) == .close, "the server waits for the rest")
    }

    // MARK: Receiving

    @Test("bytes before any request was sent are unsolicited")
    func unsolicited() {
        #expect(machine().expectant(after: 0) == nil)
        let machine = sent(first)
        #expect(machine.expectant(after: 0) == nil, "the request has not left")
        #expect(machine.expectant(after: 1) === first)
    }

    @Test(
        "what becomes of the connection behind an answer",
        arguments: [
            (true, true, true, Machine.Next.free), (false, true, true, .close), (true, false, true, .close),
            (true, true, false, .close),
        ])
    func behindAnswer(reusable: Bool, isClean: Bool, keepsAlive: Bool, expected: Machine.Next) {
        var machine = sent(first, keepsAlive: keepsAlive)
        #expect(machine.receiveEnd(reusable: reusable, isClean: isClean)?.next == expected)
        #expect(machine.receiveEnd(reusable: true, isClean: true) == nil)
    }

    @Test("bytes after a response belong to the next one if it was requested")
    func pipelined() {
        var machine = sent(first, second, depth: 2)
        let end = machine.receiveEnd(reusable: true, isClean: false)
        #expect(end?.call === first && end?.next == .free)
        #expect(machine.first === second)
    }

    // MARK: The end

    @Test("requests that did not cause the end of the connection")
    func blame() {
        var fresh = sent(first, second, depth: 2)
        let lost = fresh.ended()
        #expect(lost.map(\.isBlameless) == [false, true], "the first request of a connection may be what ends it")
        #expect(lost.map { $0.isSent(after: 1) } == [true, false])
        var given = sent(first, second, depth: 2)
        #expect(given.abandon(first) == true)
        #expect(given.abandon(first) == false)
        #expect(given.ended().map(\.isBlameless) == [true])
        #expect(!given.isOpen && given.isIdle)
    }

    @Test("it closes once, and takes no requests afterwards")
    func closing() {
        var machine = sent(first)
        #expect(machine.close() == true)
        #expect(machine.close() == false)
        #expect(!machine.isOpen && !machine.isUsable(at: at(0)))
        machine.streamContent(of: first)
        machine.holdContent(of: first)
        guard case .closing = machine.state else {
            Issue.record("the state is \(machine.state)")
            return
        }
        #expect(machine.receiveEnd(reusable: true, isClean: true)?.next == .close)
        #expect(machine.failFirst() == nil)
    }

    @Test("a connection that leaves HTTP hands over its first request")
    func handedOver() {
        var machine = sent(first)
        #expect(machine.handOver() === first)
        #expect(machine.close() == false)
        #expect(!machine.isOpen && machine.isIdle)
    }

    // MARK: Time

    @Test("silence fails the waiting request; while reading is paused, silence does not count")
    func silence() {
        var machine = sent(first)
        #expect(machine.look(at: at(30), isRead: true) == .wait(until: at(30) + .milliseconds(100)))
        #expect(machine.look(at: at(59), isRead: true) == .wait(until: at(59) + .milliseconds(100)))
        #expect(machine.look(at: at(60), isRead: true) == .fail)
        var paused = sent(first)
        #expect(paused.look(at: at(60), isRead: false) == .wait(until: at(90)))
        #expect(paused.look(at: at(100), isRead: true) == .wait(until: at(100) + .milliseconds(100)))
    }

    @Test("an idle connection is kept for the idle timeout, also when content is still being sent")
    func idle() {
        var machine = machine()
        #expect(machine.look(at: at(29), isRead: true) == .wait(until: at(30)))
        #expect(machine.look(at: at(30), isRead: true) == .close)
        var streaming = sent(first)
        streaming.streamContent(of: first)
        _ = streaming.receiveEnd(reusable: true, isClean: true)
        streaming.madeProgress(at: at(25))
        #expect(streaming.look(at: at(40), isRead: true) == .wait(until: at(55)))
    }
}
