import NIOCore
import PeerSupport
import Testing

@testable import SkeinEngine

/// When an issuer's keys are fetched, as a table of states and events.
@Suite("Key sets")
struct KeySetMachineTests {
    private func at(_ seconds: Double) -> NIODeadline { .uptimeNanoseconds(UInt64(1e12 + seconds * 1e9)) }

    @Test("the first token starts a fetch, concurrent ones wait; later the keys are used")
    func first() {
        var machine = KeySetMachine()
        #expect(machine.needs(isKnown: false, at: at(0)) == .fetch)
        #expect(machine.needs(isKnown: false, at: at(1)) == .wait)
        machine.ended(true, at: at(2))
        #expect(machine.needs(isKnown: true, at: at(3)) == .use)
        // An unknown kid, too soon after the last fetch.
        #expect(machine.needs(isKnown: false, at: at(4)) == .use)
        #expect(machine.needs(isKnown: false, at: at(30)) == .fetch)
        #expect(machine.needs(isKnown: true, at: at(31)) == .use)
        #expect(machine.needs(isKnown: false, at: at(31)) == .wait)
    }

    @Test("an unreachable issuer: at most one wait in 30 s, and old keys stay in use")
    func down() {
        var machine = KeySetMachine()
        #expect(machine.needs(isKnown: false, at: at(0)) == .fetch)
        machine.ended(false, at: at(5))
        #expect(machine.needs(isKnown: false, at: at(6)) == .fail)
        #expect(machine.needs(isKnown: false, at: at(30)) == .fetch)
        machine.ended(true, at: at(31))
        #expect(machine.needs(isKnown: true, at: at(630)) == .use)
        #expect(machine.needs(isKnown: true, at: at(632)) == .useAndFetch)
        #expect(machine.needs(isKnown: true, at: at(633)) == .use)
        machine.ended(false, at: at(637))
        #expect(machine.needs(isKnown: true, at: at(650)) == .use)
        #expect(machine.needs(isKnown: true, at: at(662)) == .useAndFetch)
        machine.ended(false, at: at(667))
        // After this time, the keys are fetched first.
        #expect(machine.needs(isKnown: true, at: at(100_000)) == .fetch)
        #expect(machine.needs(isKnown: true, at: at(100_001)) == .use)
    }

    @Test(
        "whatever happens, fetches begin 30 s apart and one at a time, and once there are keys nobody fails",
        arguments: 1...100)
    func chance(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var machine = KeySetMachine()
        var now = 0.0
        var begun: [Double] = []
        for _ in 0..<1000 {
            now += Double.random(in: 0...20, using: &random)
            if machine.isFetching, Bool.random(using: &random) {
                machine.ended(Bool.random(using: &random), at: at(now))
                continue
            }
            let (hadKeys, wasFetching) = (machine.hasKeys, machine.isFetching)
            switch machine.needs(isKnown: hadKeys && Bool.random(using: &random), at: at(now)) {
            case .fetch, .useAndFetch:
                #expect(!wasFetching && begun.last.map { now - $0 >= 29.999 } ?? true)
                begun.append(now)
            case .wait: #expect(wasFetching)
            case .fail: #expect(!hadKeys)
            case .use: #expect(hadKeys)
            }
        }
        #expect(begun.count > 10)
    }
}
