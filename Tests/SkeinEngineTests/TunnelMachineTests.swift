import Testing

@testable import SkeinEngine

/// Which side of a tunnel is read, ended and closed, as a table.
@Suite("Tunnel")
struct TunnelMachineTests {
    typealias Step = (TunnelMachine.Event, TunnelMachine.Side, [TunnelMachine.Action])

    private static let both: [Step] = [
        (.attached, .back, [.deliver(.back), .pause(.back)]), (.attached, .front, [.deliver(.front), .read(.back)]),
    ]

    private static let tables: [(String, [Step], isOver: Bool)] = [
        ("both sides come", both, false),
        (
            "a side that is full stops the other",
            both + [
                (.full, .front, [.pause(.back)]), (.writable, .front, [.read(.back)]), (.full, .back, [.pause(.front)]),
                (.writable, .back, [.read(.front)]),
            ], false
        ),
        (
            "one side ends, then the other",
            both + [
                (.inputEnded, .front, [.endOutput(.back)]), (.inputEnded, .front, []),
                (.inputEnded, .back, [.endOutput(.front), .armEnd]),
                (.gone(isFailure: false), .front, [.endOutput(.back), .armEnd]),
                (.gone(isFailure: false), .back, []),
            ], true
        ),
        (
            "a side that is gone ends the other",
            both + [
                (.gone(isFailure: false), .back, [.endOutput(.front), .armEnd]), (.timeout, .front, [.close(.front)]),
                (.gone(isFailure: false), .front, []),
            ], true
        ),
        (
            "a side that fails closes the other",
            both + [
                (.gone(isFailure: true), .front, [.close(.back)]), (.gone(isFailure: false), .back, []),
            ], true
        ),
        (
            "nothing is read for a side that is gone",
            both + [
                (.gone(isFailure: true), .front, [.close(.back)]), (.writable, .back, []), (.full, .back, []),
            ], false
        ),
        (
            "the client does not come",
            [
                (.attached, .back, [.deliver(.back), .pause(.back)]), (.gone(isFailure: true), .front, [.close(.back)]),
                (.gone(isFailure: false), .back, []),
            ], true
        ),
        (
            "the client has left before the back end comes",
            [
                (.gone(isFailure: true), .front, []),
                (.attached, .back, [.deliver(.back), .endOutput(.back), .armEnd]),
                (.timeout, .front, []), (.timeout, .back, [.close(.back)]),
            ], false
        ),
        (
            "the back end ends before the client comes",
            [
                (.attached, .back, [.deliver(.back), .pause(.back)]), (.inputEnded, .back, []),
                (.attached, .front, [.deliver(.front), .read(.back), .endOutput(.front)]),
            ], false
        ),
        ("silence closes both", both + [(.timeout, .front, [.close(.front), .close(.back)])], false),
    ]

    @Test("every step", arguments: 0..<tables.count)
    func steps(index: Int) {
        let (name, steps, isOver) = Self.tables[index]
        var machine = TunnelMachine()
        for (number, (event, side, expected)) in steps.enumerated() {
            let actions = machine.receive(event, side)
            #expect(actions == expected, "\(name), step \(number): \(event) \(side)")
        }
        let reached = machine.isOver
        #expect(reached == isOver, "\(name)")
    }
}
