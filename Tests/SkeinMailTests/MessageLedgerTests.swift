import PeerSupport
import Testing

@testable import SkeinMail

@Suite("The messages of an agent")
struct MessageLedgerTests {
    private let id = MailID(key: "a")

    @Test("a message to two destinations is completed after both deliveries, in any order")
    func destinations() throws {
        var ledger = MessageLedger()
        let serialTaken = ledger.take(id, destinations: 2)
        let serial = try #require(serialTaken)
        #expect(ledger.start(id, serial: serial) == .begin && ledger.start(id, serial: serial) == .begin)
        #expect(!ledger.isFree(id) && !ledger.isLast(id))
        #expect(ledger.end(id, isDone: true) == .nothing && ledger.isLast(id))
        // Some recipients of the other destination are to be tried again.
        #expect(ledger.end(id, isDone: false) == .nothing && ledger.isFree(id))
        #expect(ledger.start(id, serial: serial) == .begin)
        #expect(ledger.end(id, isDone: true) == .settle && !ledger.isFree(id))
        ledger.settled(id)
        #expect(ledger.count == 0 && ledger.start(id, serial: serial) == .void)
    }

    @Test("a message without pending recipients is completed at once")
    func nobody() {
        var ledger = MessageLedger()
        #expect(ledger.take(id, destinations: 0) == nil && !ledger.isFree(id))
        ledger.unsettled(id)
        #expect(ledger.settleAgain(id) && !ledger.settleAgain(id))
    }

    @Test("during the intake of a message no delivery starts, and earlier deliveries are void")
    func anew() throws {
        var ledger = MessageLedger()
        let oldTaken = ledger.take(id, destinations: 1)
        let old = try #require(oldTaken)
        ledger.beginTaking([id])
        #expect(ledger.start(id, serial: old) == .wait && !ledger.isFree(id))
        let newTaken = ledger.take(id, destinations: 1)
        let new = try #require(newTaken)
        ledger.endTaking([id])
        #expect(ledger.start(id, serial: old) == .void && ledger.start(id, serial: new) == .begin)
        // A message that could not be read stays unchanged.
        #expect(ledger.end(id, isDone: false) == .nothing)
        ledger.beginTaking([id])
        ledger.endTaking([id])
        #expect(ledger.start(id, serial: new) == .begin)
    }

    @Test("a removed file ends the message after all deliveries in progress")
    func gone() throws {
        var ledger = MessageLedger()
        let serialTaken = ledger.take(id, destinations: 2)
        let serial = try #require(serialTaken)
        _ = ledger.start(id, serial: serial)
        _ = ledger.start(id, serial: serial)
        #expect(ledger.end(id, isDone: false, isGone: true) == .nothing && !ledger.isFree(id))
        #expect(ledger.start(id, serial: serial) == .void)
        #expect(ledger.end(id, isDone: true) == .nothing && ledger.count == 0)
        #expect(ledger.end(id, isDone: true) == .nothing)
    }

    @Test(
        "in any order of events, no delivery runs during the intake, and a message completes once", arguments: 0..<200)
    func histories(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var ledger = MessageLedger()
        var running = 0
        var (taking, settling) = (false, false)
        var serials: [UInt32] = []
        for _ in 0..<300 {
            switch random.number(0...7) {
            case 0 where !taking && ledger.isFree(id):
                #expect(running == 0 && !settling)
                ledger.beginTaking([id])
                taking = true
            case 1 where taking:
                if random.number(0...3) > 0 {
                    let destinations = random.number(0...3)
                    if let serial = ledger.take(id, destinations: destinations) {
                        serials.append(serial)
                    } else {
                        settling = true
                    }
                }
                ledger.endTaking([id])
                taking = false
            case 2...4:
                guard let serial = serials.last.map({ random.number(0...4) == 0 ? $0 &- 1 : $0 }) else { continue }
                if ledger.start(id, serial: serial) == .begin {
                    #expect(!taking)
                    running += 1
                }
            case 5, 6:
                guard running > 0 else { continue }
                let end = ledger.end(id, isDone: random.number(0...1) == 0, isGone: random.number(0...20) == 0)
                running -= 1
                if end == .settle {
                    #expect(running == 0 && !settling)
                    settling = true
                }
            default:
                guard settling else { continue }
                settling = false
                if random.number(0...1) == 0 { ledger.settled(id) } else { ledger.unsettled(id) }
                if ledger.settleAgain(id) { settling = true }
            }
        }
    }
}
