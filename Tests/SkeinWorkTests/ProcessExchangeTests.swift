import Testing

@testable import SkeinWork

/// The table of the exchange with a program: (what has happened, when) → action.
@Suite("The end of a program's output")
struct ProcessExchangeTests {
    private enum Event {
        case turn(isOver: Bool = false, isCancelled: Bool = false, hasRead: Bool = false)
        case pause
        case resume
    }

    private static let histories:
        [(name: String, events: [(milliseconds: Int, event: Event)], end: ProcessExchange.Action)] = [
            ("a running program is not left", [(0, .turn()), (60_000, .turn())], .goOn),
            (
                "an ended program with silent pipes is left after a second",
                [(0, .turn(isOver: true)), (1001, .turn(isOver: true))], .leave
            ),
            ("not before", [(0, .turn(isOver: true)), (999, .turn(isOver: true))], .goOn),
            (
                "output after the end starts the second again",
                [(0, .turn(isOver: true)), (900, .turn(isOver: true, hasRead: true)), (1800, .turn(isOver: true))],
                .goOn
            ),
            (
                "a reader that is behind is waited for",
                [(0, .pause), (1, .turn(isOver: true)), (60_000, .turn(isOver: true))], .goOn
            ),
            (
                "what is left in the pipe is read when the reader continues",
                [(0, .pause), (1, .turn(isOver: true)), (60_000, .resume), (60_001, .turn(isOver: true))], .goOn
            ),
            (
                "a cancelled program has a second", [(0, .turn(isCancelled: true)), (999, .turn(isCancelled: true))],
                .goOn
            ),
            ("then it is killed", [(0, .turn(isCancelled: true)), (1001, .turn(isCancelled: true))], .kill),
            (
                "its pipes are left a second later, also when something still writes",
                [(0, .turn(isCancelled: true)), (2001, .turn(isOver: true, isCancelled: true, hasRead: true))], .leave
            ),
            (
                "a cancelled program is not paused",
                [(0, .pause), (1, .turn(isCancelled: true)), (2, .pause), (2002, .turn(isCancelled: true))], .leave
            ),
        ]

    @Test("each history ends with its action", arguments: histories.indices)
    func history(row: Int) {
        let (name, events, end) = Self.histories[row]
        let start = ContinuousClock.now
        var exchange = ProcessExchange()
        var action = ProcessExchange.Action.goOn
        for (milliseconds, event) in events {
            let now = start + .milliseconds(milliseconds)
            switch event {
            case .pause: exchange.pause()
            case .resume: exchange.resume(at: now)
            case .turn(let isOver, let isCancelled, let hasRead):
                action = exchange.step(isOver: isOver, isCancelled: isCancelled, hasRead: hasRead, at: now)
            }
        }
        #expect(action == end, "\(name)")
    }

    @Test("the output is read unless its reader is behind")
    func pausing() {
        var exchange = ProcessExchange()
        #expect(!exchange.isPaused)
        exchange.pause()
        #expect(exchange.isPaused)
        exchange.resume(at: .now)
        #expect(!exchange.isPaused)
        exchange.pause()
        _ = exchange.step(isOver: false, isCancelled: true, hasRead: false, at: .now)
        #expect(!exchange.isPaused)
    }
}
