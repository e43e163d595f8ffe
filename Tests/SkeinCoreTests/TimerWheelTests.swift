import NIOCore
import Testing

@testable import SkeinCore

@Suite("Timing wheel")
struct TimerWheelTests {
    private func at(_ milliseconds: UInt64) -> NIODeadline { .uptimeNanoseconds(milliseconds * 1_000_000) }

    private func wheel() -> TimerWheel<String> { TimerWheel(tick: .milliseconds(10), slots: 8, now: at(1000)) }

    @Test("a timer fires at its deadline or up to a tick later, never earlier")
    func precision() {
        for moment in 1001...1050 as ClosedRange<UInt64> {
            var wheel = wheel()
            _ = wheel.schedule("a", at: at(moment))
            for now in 1000...1070 as ClosedRange<UInt64> where !wheel.expire(now: at(now)).isEmpty {
                #expect((moment..<moment + 10).contains(now), "\(moment) fired at \(now)")
            }
            #expect(wheel.count == 0)
        }
    }

    @Test("a deadline beyond one revolution waits for its round")
    func manyTurns() {
        var wheel = wheel()
        _ = wheel.schedule("far", at: at(1500))
        _ = wheel.schedule("near", at: at(1020))
        let outcome1 = wheel.expire(now: at(1100))
        #expect(outcome1 == ["near"])
        let outcome2 = wheel.expire(now: at(1490))
        #expect(outcome2 == [])
        let outcome3 = wheel.expire(now: at(1510))
        #expect(outcome3 == ["far"])
    }

    @Test("a cancelled timer does not fire, and its token does not match a reused slot")
    func cancel() {
        var wheel = wheel()
        let first = wheel.schedule("first", at: at(1020))
        wheel.cancel(first)
        let second = wheel.schedule("second", at: at(1020))
        wheel.cancel(first)
        let outcome4 = wheel.expire(now: at(1100))
        #expect(outcome4 == ["second"])
        wheel.cancel(second)
        #expect(wheel.count == 0)
        #expect(wheel.nextLook == nil)
    }

    @Test("after a long sleep every due timer fires")
    func afterSleep() {
        var wheel = wheel()
        for number in 0..<100 { _ = wheel.schedule("\(number)", at: at(1000 + UInt64(number) * 7)) }
        let outcome5 = wheel.expire(now: at(60_000)).count
        #expect(outcome5 == 100)
    }

    @Test("fired timers agree with a sorted list, with random sets and cancellations")
    func againstModel() {
        var wheel = wheel()
        var model: [String: UInt64] = [:]
        var tokens: [String: TimerWheel<String>.Token] = [:]
        var now: UInt64 = 1000
        for step in 0..<2000 {
            let name = "\(step)"
            let moment = now + UInt64((step * 7919) % 400)
            tokens[name] = wheel.schedule(name, at: at(moment))
            model[name] = max(moment, now + 1)
            if step % 3 == 0, let victim = model.keys.sorted().first, let token = tokens[victim] {
                wheel.cancel(token)
                model[victim] = nil
            }
            if step % 5 == 0 {
                now += UInt64(step % 37)
                let fired = Set(wheel.expire(now: at(now)))
                // Rounded up to ticks: every timer that is a tick overdue has fired, none too early.
                for name in fired { #expect((model[name] ?? .max) <= now) }
                for name in fired { model[name] = nil }
                #expect(!model.values.contains { $0 + 20 <= now })
            }
        }
    }
}
