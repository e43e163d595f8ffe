import NIOCore
import SkeinTransport
import Testing

/// The table of a pool whose connections are shared and leased: (state, event) → (action, state).
@Suite("Pool")
struct PoolMachineTests {
    final class Member: PoolMember {
        var isUsable = true
        var underWay = 0
        var lastProgress = NIODeadline.uptimeNanoseconds(1_000_000_000)
    }
    final class Call: PoolCall { var isOver = false }
    final class Lease {}
    typealias Machine = PoolMachine<Member, Call, Lease>

    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func machine(_ maximum: Int, shared: Int = .max) -> Machine {
        var limits = Machine.Limits(maximum: maximum)
        limits.maximumShared = shared
        limits.maximumWaiting = 2
        return Machine(limits)
    }

    /// A machine with connections.
    private func open(_ members: Member..., maximum: Int, shared: Int = .max) -> Machine {
        var machine = machine(maximum, shared: shared)
        for member in members {
            machine.enqueue(Call())
            _ = machine.next(.need)
            machine.connected(member)
        }
        _ = machine.shutdown()  // forgets the calls
        return machine
    }

    /// The actions of a machine, as text.
    private func all(_ machine: inout Machine, _ occasion: Machine.Occasion) -> [String] {
        var words: [String] = []
        while let action = machine.next(occasion), words.count < 20 {
            switch action {
            case .send(_, let member):
                member.underWay += 1
                words.append("send")
            case .grant: words.append("lend")
            case .connect: words.append("connect")
            }
        }
        return words
    }

    // MARK: Calls

    @Test("the first call opens a connection, and the next ones wait for it")
    func first() {
        var machine = machine(3)
        #expect(machine.pick(at: now) == nil)
        machine.enqueue(Call())
        #expect(all(&machine, .need) == ["connect"])
        machine.enqueue(Call())
        #expect(all(&machine, .need) == [])
        let member = Member()
        machine.connected(member)
        #expect(all(&machine, .made(member)) == ["send", "send"])
        #expect(machine.count == 1 && machine.connecting == 0 && !machine.hasWaiting)
    }

    @Test("a call goes to an idle connection, else to the one with the fewest calls")
    func leastLoaded() {
        let (one, two) = (Member(), Member())
        var machine = open(one, two, maximum: 2)
        one.underWay = 1
        #expect(machine.pick(at: now) === two)
        two.underWay = 3
        #expect(machine.pick(at: now) === one)
        one.isUsable = false
        #expect(machine.pick(at: now) === two)
        two.isUsable = false
        #expect(machine.pick(at: now) == nil)
        machine.enqueue(Call())
        #expect(machine.pick(at: now) == nil && machine.hasWaiting)
    }

    @Test("another connection is opened when all are silent with calls in flight, below the maximum")
    func growing() {
        let member = Member()
        member.underWay = 1
        var machine = open(member, maximum: 2)
        #expect(machine.pick(at: now + .milliseconds(4)) === member)
        #expect(machine.pick(at: now + .milliseconds(5)) == nil)
        machine.enqueue(Call())
        #expect(all(&machine, .need) == ["connect"])
        // The slow one replies before the new one is connected.
        #expect(all(&machine, .room(member)) == ["send"])
        var full = open(member, maximum: 1)
        #expect(full.pick(at: now + .seconds(5)) === member, "there can be no other")
        var ordered = open(member, maximum: 5, shared: 1)
        #expect(ordered.pick(at: now + .seconds(5)) === member, "calls keep their order")
        full.enqueue(Call())
        #expect(all(&full, .need) == ["send"])
        _ = all(&ordered, .need)
    }

    @Test("a call that has ended is not sent")
    func ended() {
        var machine = machine(1)
        let call = Call()
        machine.enqueue(call)
        _ = all(&machine, .need)
        call.isOver = true
        let member = Member()
        machine.connected(member)
        #expect(all(&machine, .made(member)) == [])
    }

    @Test("a failed connection attempt fails the calls that have no other connection")
    func failed() {
        var machine = machine(2)
        machine.enqueue(Call())
        machine.enqueue(Lease())
        #expect(all(&machine, .need) == ["connect", "connect"])
        #expect(machine.connectFailed().calls.isEmpty, "another one is on its way")
        let lost = machine.connectFailed()
        #expect(lost.calls.count == 1 && lost.leases.count == 1)
        #expect(all(&machine, .noMore) == [])
        // If there is an open connection, calls are sent on it.
        let member = Member()
        member.underWay = 1
        var open = open(member, maximum: 2)
        open.enqueue(Call())
        #expect(all(&open, .need) == ["connect"])
        #expect(open.connectFailed().calls.isEmpty)
        #expect(all(&open, .noMore) == ["send"])
    }

    // MARK: Leases

    @Test("a lease gets an idle connection, or a new one")
    func lease() {
        let member = Member()
        var machine = open(member, maximum: 3)
        machine.enqueue(Lease())
        #expect(all(&machine, .need) == ["lend"])
        #expect(machine.leased.count == 1 && machine.shared.isEmpty)
        machine.enqueue(Lease())
        #expect(all(&machine, .need) == ["connect"])
        let second = Member()
        machine.connected(second)
        #expect(all(&machine, .made(second)) == ["lend"])
        machine.enqueue(Lease())
        #expect(all(&machine, .need) == ["connect"])
        let third = Member()
        machine.connected(third)
        #expect(all(&machine, .made(third)) == [], "one is left for those who share")
        #expect(machine.giveBack(member, isKept: true) == true)
        #expect(machine.giveBack(member, isKept: true) == false)
        #expect(all(&machine, .room(member)) == ["lend"])
    }

    @Test("waiting calls use a new connection before leases")
    func callsFirst() {
        var machine = machine(3)
        machine.enqueue(Call())
        machine.enqueue(Lease())
        #expect(all(&machine, .need) == ["connect", "connect"])
        let member = Member()
        machine.connected(member)
        #expect(all(&machine, .made(member)) == ["send"])
        let second = Member()
        machine.connected(second)
        #expect(all(&machine, .made(second)) == ["lend"])
    }

    @Test("the only shared connection is leased only when no other can be opened")
    func lastOne() {
        let member = Member()
        var machine = open(member, maximum: 2, shared: 1)
        machine.enqueue(Lease())
        #expect(all(&machine, .need) == ["connect"])
        _ = machine.connectFailed()
        #expect(all(&machine, .noMore) == ["lend"])
        var single = open(Member(), maximum: 1)
        single.enqueue(Lease())
        #expect(all(&single, .need) == ["lend"])
    }

    @Test("a connection reserved for a lease takes no more calls")
    func reserved() {
        let member = Member()
        member.underWay = 1
        var machine = open(member, maximum: 1)
        machine.enqueue(Lease())
        #expect(all(&machine, .need) == [])
        #expect(machine.pick(at: now) == nil)
        machine.enqueue(Call())
        #expect(all(&machine, .room(member)) == [])
        member.underWay = 0
        #expect(all(&machine, .room(member)) == ["lend"])
        #expect(machine.giveBack(member, isKept: true) == true)
        #expect(all(&machine, .room(member)) == ["send"])
    }

    @Test("a dismissed lease is not served, and its reserved connection is released")
    func dismissed() {
        let member = Member()
        member.underWay = 1
        var machine = open(member, maximum: 1)
        let lease = Lease()
        machine.enqueue(lease)
        machine.enqueue(Call())
        #expect(all(&machine, .need) == [])
        #expect(machine.dismiss(lease) == true)
        #expect(machine.dismiss(lease) == false)
        #expect(all(&machine, .noMore) == ["send"])
        machine.enqueue(Lease())
        machine.enqueue(Lease())
        #expect(machine.isLeaseQueueFull)
    }

    // MARK: The end

    @Test("a leaving or closed connection is replaced")
    func gone() {
        let (one, two) = (Member(), Member())
        one.underWay = 1
        var machine = open(one, two, maximum: 2)
        machine.isLeaving(one)
        #expect(machine.shared.count == 1 && machine.leaving.count == 1 && machine.count == 1)
        machine.isGone(two)
        machine.isGone(one)
        #expect(machine.count == 0 && machine.leaving.isEmpty)
        machine.enqueue(Call())
        #expect(all(&machine, .need) == ["connect"])
        #expect(machine.giveBack(one, isKept: false) == false)
    }

    @Test("a broken connection is not returned to the pool")
    func broken() {
        let member = Member()
        var machine = open(member, maximum: 1)
        machine.enqueue(Lease())
        _ = all(&machine, .need)
        #expect(machine.giveBack(member, isKept: false) == true)
        #expect(machine.count == 0)
    }

    @Test("at the end all waiting calls and leases fail")
    func shutdown() {
        var machine = machine(1)
        machine.enqueue(Call())
        machine.enqueue(Lease())
        let lost = machine.shutdown()
        #expect(lost.calls.count == 1 && lost.leases.count == 1 && !machine.hasWaiting)
    }
}
