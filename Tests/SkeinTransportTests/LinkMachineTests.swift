import NIOCore
import SkeinCore
import Testing

@testable import SkeinTransport

/// The life of a connection to a back end: every state with every event.
@Suite("The life of a back end's connection")
struct LinkMachineTests {
    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    static let states: [LinkMachine.State] = [.opening, .open, .leaving, .closing, .failing, .closed]

    /// A connection in a given state.
    private static func link(_ state: LinkMachine.State) -> LinkMachine {
        var link = LinkMachine(at: start)
        switch state {
        case .opening: break
        case .open: _ = link.opened(at: start)
        case .leaving: _ = (link.opened(at: start), link.leave())
        case .closing: _ = (link.opened(at: start), link.close(isFault: false))
        case .failing: _ = (link.opened(at: start), link.close(isFault: true))
        case .closed: _ = link.ended()
        }
        return link
    }

    @Test("Each state accepts calls or not, and reads or not", arguments: states)
    func uses(_ state: LinkMachine.State) {
        let link = Self.link(state)
        #expect(link.state == state)
        #expect(link.isUsable == (state == .open))
        #expect(link.reads == (state != .failing && state != .closed))
    }

    @Test("Opening, leaving and closing change the state once", arguments: states)
    func events(_ state: LinkMachine.State) {
        var link = Self.link(state)
        #expect(link.opened(at: Self.start) == (state == .opening))
        #expect(link.state == (state == .opening ? .open : state))

        link = Self.link(state)
        #expect(link.leave() == (state == .open))
        #expect(link.state == (state == .open ? .leaving : state))

        let isAlive = state == .opening || state == .open || state == .leaving
        link = Self.link(state)
        #expect(link.close(isFault: false) == (isAlive ? state : nil))
        #expect(link.state == (isAlive ? .closing : state))

        link = Self.link(state)
        #expect(link.close(isFault: true) == (isAlive ? state : nil))
        #expect(link.state == (state == .closed ? .closed : .failing), "a fault ends the reading of a graceful close")

        link = Self.link(state)
        #expect(link.ended() == (state != .closed))
        #expect(link.state == .closed)
    }

    /// The effect of the timer, at times after the connection was opened.
    private static func look(
        _ link: inout LinkMachine, after seconds: Int64, underWay: Int = 0, isAbandoned: Bool = false,
        isRead: Bool = true, mayClose: Bool = true
    ) -> LinkMachine.Look {
        var limits = PoolLimits()
        limits.checkInterval = .seconds(10)
        limits.idleTimeout = .seconds(60)
        return link.look(
            at: start + .seconds(seconds), limits, underWay: underWay, isAbandoned: isAbandoned, isRead: isRead,
            mayClose: mayClose)
    }

    @Test("Only an open or leaving connection that is being read is checked", arguments: states)
    func looks(_ state: LinkMachine.State) {
        var link = Self.link(state)
        #expect(Self.look(&link, after: 100, isRead: false) == .nothing)
        link = Self.link(state)
        #expect(Self.look(&link, after: 100) == (state == .open ? .close : .nothing))
        link = Self.link(state)
        let answer = Self.look(&link, after: 100, underWay: 1, isAbandoned: true)
        #expect(answer == (state == .open || state == .leaving ? .silent : .nothing))
    }

    @Test("An idle connection is checked, and fails without a response")
    func checks() {
        var link = Self.link(.open)
        #expect(Self.look(&link, after: 10) == .check)
        #expect(Self.look(&link, after: 20, isRead: false) == .nothing, "what is not read cannot have been missed")
        link.heard(at: Self.start + .seconds(20))
        #expect(Self.look(&link, after: 30) == .check)
        #expect(Self.look(&link, after: 40) == .unanswered)
    }

    @Test("The idle time starts with the last call; checks do not count")
    func idle() {
        var link = Self.link(.open)
        link.sends(isFirst: true, isUse: true, at: Self.start + .seconds(30))
        link.heard(at: Self.start + .seconds(30))
        link.sends(isFirst: true, isUse: false, at: Self.start + .seconds(80))
        link.heard(at: Self.start + .seconds(80))
        #expect(Self.look(&link, after: 89) == .check)
        link.heard(at: Self.start + .seconds(89))
        #expect(Self.look(&link, after: 90, mayClose: false) == .check)
        link.heard(at: Self.start + .seconds(90))
        #expect(Self.look(&link, after: 90) == .close)
    }

    @Test("Calls in flight continue while a caller waits or the server responds")
    func silence() {
        var link = Self.link(.open)
        link.sends(isFirst: true, isUse: true, at: Self.start + .seconds(50))
        link.sends(isFirst: false, isUse: true, at: Self.start + .seconds(59))
        #expect(link.lastProgress == Self.start + .seconds(50))
        #expect(Self.look(&link, after: 59, underWay: 2, isAbandoned: true) == .nothing)
        #expect(Self.look(&link, after: 60, underWay: 2, isAbandoned: false) == .nothing)
        #expect(Self.look(&link, after: 60, underWay: 2, isAbandoned: true) == .silent)
        link.heard(at: Self.start + .seconds(60))
        #expect(Self.look(&link, after: 69, underWay: 1, isAbandoned: true) == .nothing)
    }
}
