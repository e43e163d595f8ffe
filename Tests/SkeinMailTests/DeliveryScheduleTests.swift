import PeerSupport
import SkeinCore
import Testing

@testable import SkeinMail

@Suite("What is delivered next")
struct DeliveryScheduleTests {
    private static func entry(
        _ number: Int, due: Int = 0, priority: MailMessage.Priority = .normal, expires: Int = 1_000_000
    ) -> DeliverySchedule.Entry {
        DeliverySchedule.Entry(
            id: MailID(key: "\(number)"), due: due, expires: UInt32(expires), serial: UInt32(number), attempts: 0,
            priority: UInt8(priority.rawValue))
    }

    private let a = ByteKey("a.org")
    private let b = ByteKey("b.org")

    private func limits(_ change: (inout DeliverySchedule.Limits) -> Void = { _ in }) -> DeliverySchedule.Limits {
        var limits = DeliverySchedule.Limits()
        limits.rest = Backoff(first: .seconds(60), longest: .seconds(1800), jitter: .none)
        change(&limits)
        return limits
    }

    @Test("a destination starts with five, grows by one per successful window, up to twenty")
    func window() {
        var schedule = DeliverySchedule(limits())
        for number in 0..<1000 { schedule.add(Self.entry(number), to: a) }
        var running = schedule.start(at: 0).count
        #expect(running == 5)
        var most = 0
        for _ in 0..<500 {
            _ = schedule.ended(a, .good, at: 0)
            running += schedule.start(at: 0).count - 1
            most = max(most, running)
        }
        #expect(most == 20)
        // A server that throttles the client gets half as much.
        _ = schedule.ended(a, .throttled, at: 0)
        #expect(schedule.start(at: 0).isEmpty)
        #expect(schedule.running == 19)
    }

    @Test("destinations take turns, and all together have a limit")
    func turns() {
        var schedule = DeliverySchedule(limits { $0.total = 6 })
        for number in 0..<100 { schedule.add(Self.entry(number), to: a) }
        for number in 100..<103 { schedule.add(Self.entry(number), to: b) }
        let started = schedule.start(at: 0)
        #expect(started.filter { $0.0 == a }.count == 3 && started.filter { $0.0 == b }.count == 3)
    }

    @Test("urgent messages first, then by due time")
    func priority() {
        var schedule = DeliverySchedule(
            limits {
                $0.initial = 1; $0.maximum = 1
            })
        schedule.add(Self.entry(1, due: 10), to: a)
        schedule.add(Self.entry(2, due: 5), to: a)
        schedule.add(Self.entry(3, due: 20, priority: .high), to: a)
        schedule.add(Self.entry(4, due: 1, priority: .low), to: a)
        schedule.add(Self.entry(5, due: 99), to: a)
        var order: [UInt32] = []
        for _ in 0..<4 {
            order += schedule.start(at: 50).map(\.1.serial)
            _ = schedule.ended(a, .good, at: 50)
        }
        #expect(order == [3, 2, 1, 4])
        #expect(schedule.start(at: 98).isEmpty && schedule.start(at: 99).count == 1)
    }

    @Test("an unreachable destination is paused for longer and longer, then tested by one message")
    func rest() {
        var schedule = DeliverySchedule(limits())
        for number in 0..<100 { schedule.add(Self.entry(number), to: a) }
        #expect(schedule.start(at: 0).count == 5)
        for _ in 0..<5 { #expect(schedule.ended(a, .unreachable, at: 0).isEmpty) }
        #expect(schedule.start(at: 59_999).isEmpty)
        #expect(schedule.start(at: 60_000).count == 1)
        _ = schedule.ended(a, .unreachable, at: 60_000)
        #expect(schedule.start(at: 179_999).isEmpty)
        #expect(schedule.start(at: 180_000).count == 1)
        #expect(schedule.start(at: 180_001).isEmpty, "one at a time until it answers")
        _ = schedule.ended(a, .good, at: 180_002)
        #expect(schedule.start(at: 180_002).count == 5)
    }

    @Test("expired messages do not wait for an unreachable destination")
    func expired() {
        var schedule = DeliverySchedule(limits { $0.initial = 1 })
        schedule.add(Self.entry(1, due: 0), to: a)
        schedule.add(Self.entry(2, due: 1, expires: 10), to: a)
        schedule.add(Self.entry(3, due: 1, expires: 10_000), to: a)
        #expect(schedule.start(at: 20_000).map(\.1.serial) == [1])
        #expect(schedule.ended(a, .unreachable, at: 20_000).map(\.serial) == [2])
        #expect(schedule.count == 1)
    }

    @Test("a rate limit spaces deliveries, also when the clock is set back")
    func rate() {
        var schedule = DeliverySchedule(limits { $0.interval = 100 })
        for number in 0..<10 { schedule.add(Self.entry(number), to: a) }
        #expect(schedule.start(at: 1000).count == 1)
        #expect(schedule.start(at: 1099).isEmpty)
        #expect(schedule.start(at: 1100).count == 1)
        // An hour back: messages that were due within it are due now.
        for number in 10..<20 { schedule.add(Self.entry(number, due: 1_000_000), to: b) }
        #expect(schedule.start(at: 1_000_000).contains { $0.0 == b })
        #expect(schedule.start(at: 500_000).isEmpty)
        #expect(schedule.start(at: 500_100).count == 2)
    }

    @Test("a message that waits for hours costs nothing while others are delivered")
    func alarms() {
        var schedule = DeliverySchedule(limits())
        schedule.add(Self.entry(0, due: 14_400_000), to: a)
        for number in 1...5000 {
            schedule.add(Self.entry(number, due: number), to: a)
            #expect(schedule.start(at: number).count == 1)
            _ = schedule.ended(a, .good, at: number)
            #expect(schedule.start(at: number).isEmpty)
        }
        #expect(schedule.alarmCount <= 5)
        #expect(schedule.start(at: 14_400_000).map(\.1.serial) == [0])
    }

    @Test("destinations without waiting messages are removed")
    func tidy() {
        var schedule = DeliverySchedule(limits())
        for number in 0..<1000 {
            schedule.add(Self.entry(number), to: ByteKey("\(number).org"))
        }
        while case let started = schedule.start(at: 0), !started.isEmpty {
            for (name, _) in started { _ = schedule.ended(name, .good, at: 0) }
        }
        schedule.tidy(at: 0)
        #expect(schedule.overview(limit: 10, at: 0).isEmpty && schedule.count == 0)
    }

    @Test("in any order of events, no limit is exceeded and nothing is lost", arguments: 0..<200)
    func histories(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var schedule = DeliverySchedule(limits { $0.total = 12 })
        let names = (0..<4).map { ByteKey("\($0).org") }
        var running: [ByteKey: Int] = [:]
        var (added, taken, now, number) = (0, 0, 0, 0)
        for _ in 0..<400 {
            now += random.number(0...30_000)
            if random.number(0...50) == 0 { now -= 10_000_000 }
            switch random.number(0...2) {
            case 0:
                number += 1
                added += 1
                schedule.add(
                    Self.entry(number, due: now + random.number(-1000...60_000), expires: 10_000),
                    to: random.pick(names))
            case 1:
                for (name, _) in schedule.start(at: now) {
                    running[name, default: 0] += 1
                    taken += 1
                }
            default:
                guard let name = running.filter({ $0.value > 0 }).keys.min(by: { $0.text < $1.text }) else { continue }
                running[name, default: 0] -= 1
                taken +=
                    schedule.ended(name, random.pick([.good, .good, .throttled, .unreachable, .void]), at: now).count
            }
            #expect(running.values.allSatisfy { $0 <= 20 } && running.values.reduce(0, +) <= 12)
            #expect(schedule.running == running.values.reduce(0, +))
            #expect(schedule.count == added - taken)
        }
    }

    @Test(
        "waits double up to the longest, the last try is just before the end, and greylisting is not waited for too briefly"
    )
    func retries() {
        var policy = RetryPolicy()
        policy.backoff = Backoff(first: .seconds(300), longest: .seconds(14_400), jitter: .none)
        let end = 5 * 86_400_000
        #expect(policy.decision(attempts: 1, expires: end, now: 0) == .at(300_000))
        #expect(policy.decision(attempts: 4, expires: end, now: 0) == .at(2_400_000))
        #expect(policy.decision(attempts: 40, expires: end, now: 0) == .at(14_400_000))
        #expect(policy.decision(attempts: 9, expires: end, now: end - 5000) == .at(end))
        #expect(policy.decision(attempts: 9, expires: end, now: end) == .never)
        guard case .at(let moment) = policy.decision(attempts: 1, isGreylisted: true, expires: end, now: 0) else {
            return
        }
        #expect((300_000...360_000).contains(moment))
    }
}
