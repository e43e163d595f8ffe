import NIOCore
import SkeinCore
import Testing

/// The table of a call's life: its state, the event, and when it is checked next.
@Suite("Call life")
struct CallLifeTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private func at(_ seconds: Int64) -> NIODeadline { Self.start + .seconds(seconds) }
    private let never = NIODeadline.uptimeNanoseconds(0)

    private func life(timeout: Int64? = nil, standard: Int64? = 30, limit: Int64? = nil) -> CallLife {
        CallLife(
            timeout: timeout.map { .seconds($0) }, standard: standard.map { .seconds($0) }, limit: limit.map { at($0) })
    }

    @Test("the call's own time limit includes the queue, the standard one starts with the slot")
    func limits() {
        var own = life(timeout: 5)
        #expect(own.enqueue(at: at(0)) == at(5))
        #expect(own.start(at: at(3), holdsSlot: true) == at(5))
        var standard = life()
        #expect(standard.enqueue(at: at(0)) == at(30))
        #expect(standard.start(at: at(20), holdsSlot: true) == at(50))
        var none = life(standard: nil)
        #expect(none.enqueue(at: at(0)) == nil)
        #expect(none.start(at: at(1), holdsSlot: true) == nil)
        var begun = life(timeout: 5)
        #expect(begun.start(at: at(2), holdsSlot: true) == at(7), "without a queue, its time begins with it")
    }

    @Test("the deadline of the caller takes precedence", arguments: [(nil, 8), (5, 5), (20, 8)] as [(Int64?, Int64)])
    func callersLimit(timeout: Int64?, expected: Int64) {
        var life = life(timeout: timeout, limit: 8)
        #expect(life.enqueue(at: at(0)) == at(expected))
        #expect(life.start(at: at(1), holdsSlot: true) == at(expected))
    }

    @Test("a moving queue does not time out; a stuck one does")
    func queue() {
        var life = life()
        _ = life.enqueue(at: at(0))
        #expect(life.timeIsUp(at: at(30), lastRelease: at(10)) == .wait(until: at(40)))
        #expect(life.timeIsUp(at: at(40), lastRelease: at(10)) == .stuckInQueue)
        #expect(life.timeIsUp(at: at(30), lastRelease: never) == .stuckInQueue)
        var limited = self.life(limit: 35)
        _ = limited.enqueue(at: at(0))
        #expect(limited.timeIsUp(at: at(30), lastRelease: at(29)) == .wait(until: at(35)))
        #expect(limited.timeIsUp(at: at(35), lastRelease: at(34)) == .ownLimitInQueue)
        var own = self.life(timeout: 3)
        _ = own.enqueue(at: at(0))
        #expect(own.timeIsUp(at: at(3), lastRelease: at(3)) == .ownLimitInQueue)
        var none = self.life(standard: nil, limit: 4)
        _ = none.enqueue(at: at(0))
        #expect(none.timeIsUp(at: at(4), lastRelease: at(3)) == .ownLimitInQueue)
    }

    @Test("a running call ends at its time limit")
    func underWay() {
        var life = life()
        _ = life.start(at: at(0), holdsSlot: true)
        #expect(life.timeIsUp(at: at(30), lastRelease: at(29)) == .underWay)
    }

    @Test("waiting callers may shorten the time limit, never extend it")
    func tightened() {
        var life = life(limit: 20)
        _ = life.start(at: at(0), holdsSlot: true)
        #expect(life.tighten(to: at(25)) == nil)
        #expect(life.tighten(to: at(10)) == at(10))
        #expect(life.tighten(to: at(12)) == nil)
        var timed = self.life(timeout: 5)
        _ = timed.start(at: at(0), holdsSlot: true)
        #expect(timed.tighten(to: at(8)) == nil, "the timer is set for an earlier moment already")
    }

    @Test("delivered content is limited by the caller's deadline only")
    func streaming() {
        var free = life()
        _ = free.start(at: at(0), holdsSlot: true)
        #expect(free.stream() == nil)
        #expect(free.tighten(to: at(1)) == nil)
        var limited = life(limit: 60)
        _ = limited.start(at: at(0), holdsSlot: true)
        _ = limited.tighten(to: at(5))
        #expect(limited.stream() == at(60))
    }

    @Test("a time limit set at the last moment counts from the start")
    func allowed() {
        var life = life()
        life.allow(.seconds(4))
        life.allow(nil)
        #expect(life.start(at: at(1), holdsSlot: true) == at(5))
        life.allow(.seconds(100))
        #expect(life.tighten(to: at(6)) == nil)
        var queued = self.life(timeout: 9)
        _ = queued.enqueue(at: at(0))
        queued.allow(.seconds(4))
        #expect(queued.start(at: at(8), holdsSlot: true) == at(9), "what counts already goes on")
    }

    @Test("it ends once, and says whether it held a slot")
    func ending() {
        var held = life()
        _ = held.start(at: at(0), holdsSlot: true)
        #expect(!held.isOver)
        #expect(held.end() == true)
        #expect(held.end() == nil)
        #expect(held.isOver)
        #expect(held.tighten(to: at(0)) == nil)
        var within = life()
        _ = within.start(at: at(0), holdsSlot: false)
        #expect(within.end() == false)
        var waiting = life()
        _ = waiting.enqueue(at: at(0))
        #expect(waiting.end() == false)
    }
}
