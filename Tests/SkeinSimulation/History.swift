// The plan of a run, generated from a seed: settings, calls, and the faults of each connection. It is a value, so that a failing history
// can be shrunk.

import PeerSupport
import SkeinWire

/// The settings, calls and connections of one run.
package struct History: Sendable {
    /// The seed, from which the latencies of the run are generated, too.
    package let seed: UInt64
    /// Whether peers and the network have faults.
    package let isHostile: Bool
    package var settings: Settings
    package var calls: [CallPlan]
    /// The plans of the first connections, in order; later connections have no faults.
    package var connections: [ConnectionPlan]

    /// Settings of the client and the event loop.
    package struct Settings: Sendable {
        package var concurrency = 100
        package var connectionsPerOrigin = 8
        package var pipelineDepth = 1
        package var speaksHTTP2 = false
        /// Whether the peer is Skein's server or the scripted one.
        package var hasRealServer = false
        /// The longest delay of timers, in milliseconds.
        package var lateness = 0
        /// The members of the alias that requests are sent to; 0 without an alias.
        package var members = 0
        /// When the session is shut down, in milliseconds; nil when all calls are over.
        package var shutdownAt: Int?
    }

    /// The plan of a connection.
    package struct ConnectionPlan: Sendable {
        package enum Opening: Sendable { case made, refused, refusedAtOnce, silent }
        package var opening = Opening.made
        package var delay = 0
        package var toServer = WirePlan()
        package var toClient = WirePlan()
    }

    /// The history of a seed.
    /// - Parameter isAliased: whether requests are sent to an alias of one to three members.
    package init(seed: UInt64, isAliased: Bool = false) {
        self.seed = seed
        var random = SeededGenerator(seed: seed)
        var settings = Settings()
        settings.concurrency = random.pick([1, 2, 4, 100])
        settings.connectionsPerOrigin = random.pick([1, 2, 8])
        settings.pipelineDepth = random.pick([1, 1, 4])
        settings.hasRealServer = random.number(0...2) == 0
        settings.speaksHTTP2 = settings.hasRealServer && random.number(0...1) == 0
        settings.lateness = random.pick([0, 0, 0, 300])
        settings.shutdownAt = random.number(0...9) == 0 ? random.number(0...20_000) : nil
        isHostile = random.number(0...3) > 0
        if !isHostile {
            settings.lateness = 0
            settings.shutdownAt = nil
            // A server that closes the connection to end a response would reset it when requests are pipelined.
            settings.pipelineDepth = 1
        }
        if isAliased { settings.members = 1 + Int(seed % 3) }
        self.settings = settings
        let isHostile = isHostile
        calls = (0..<random.number(1...14)).map { CallPlan(id: $0, isHostile: isHostile, random: &random) }
        connections = (0..<random.number(0...8)).map { _ in ConnectionPlan(isHostile: isHostile, random: &random) }
    }
}

extension History.ConnectionPlan {
    fileprivate init(isHostile: Bool, random: inout SeededGenerator) {
        delay = random.pick([0, 1, 30])
        for wire in [\Self.toServer, \Self.toClient] {
            self[keyPath: wire].latency = 0...random.pick([0, 1, 20, 200])
            self[keyPath: wire].largestPiece = random.pick([1, 7, 100, 1460, 1 << 20])
            guard isHostile else { continue }
            if random.number(0...7) == 0 { self[keyPath: wire].breaksAfter = random.number(1...3000) }
            if random.number(0...7) == 0 {
                self[keyPath: wire].stall = (random.number(0...2000), random.pick([100, 5000, 120_000]))
            }
        }
        guard isHostile else { return }
        opening = random.pick([.made, .made, .made, .made, .made, .made, .refused, .refusedAtOnce, .silent])
    }
}

/// The plan of a call: the request, what the server does with it, and what the caller does.
package struct CallPlan: Sendable {
    package enum Content: Sendable {
        case none
        case bytes(Int)
        /// `pieces` pieces of `of` bytes, with pauses of `pause` milliseconds.
        case stream(pieces: Int, of: Int, pause: Int)
    }

    package enum Reader: Sendable {
        case whole
        /// Reads the stream, with pauses in milliseconds.
        case stream(pause: Int)
        /// Reads some pieces, waits for some milliseconds, and drops the response.
        case drop(after: Int, holding: Int)
    }

    package let id: Int
    /// Whether it goes to the store: GET, or INCR for a POST.
    package var isStored = false
    package var start: Int
    package var method: HTTPMethod
    package var content = Content.none
    package var expects = false
    /// Whether it has an invalid field, so that it must fail without being sent.
    package var isUnsendable = false
    package var reader = Reader.whole
    package var size: Int
    package var act: ServerAct
    /// In milliseconds.
    package var timeout: Int?
    package var deadline: Int?
    package var cancelAt: Int?

    /// Whether it has no time limit and is not cancelled.
    var isPatient: Bool { timeout == nil && deadline == nil && cancelAt == nil }

    /// Whether the client may send it again when the server closes an idle connection.
    var isRepeatable: Bool {
        if case .stream(_, _, let pause) = content, pause > 0 { return false }
        return method.isIdempotent
    }

    fileprivate init(id: Int, isHostile: Bool, random: inout SeededGenerator) {
        self.id = id
        start = random.pick([0, 0, random.number(0...300), random.number(0...40_000)])
        method = random.pick([.get, .get, .get, .head, .post, .put, .delete])
        size = random.pick([0, 1, 500, 500, 20_000, 20_000, 262_144, 300_000])
        if method == .post || method == .put {
            content = random.pick([
                .bytes(10), .bytes(10), .bytes(200_000), .stream(pieces: random.number(0...6), of: 30_000, pause: 0),
                .stream(pieces: 3, of: 100, pause: random.pick([1, 1000])),
            ])
            expects = random.number(0...3) == 0
        }
        if random.number(0...2) == 0 {
            let pieces = random.number(0...3)
            reader =
                isHostile
                ? random.pick([
                    .stream(pause: 0), .stream(pause: 50), .stream(pause: 1000),
                    .drop(after: pieces, holding: random.pick([0, 20, 2000, 90_000])),
                ]) : random.pick([.stream(pause: 0), .stream(pause: 5), .drop(after: pieces, holding: 20)])
        }
        isUnsendable = random.number(0...19) == 0
        timeout = random.number(0...3) == 0 ? random.pick([5, 500, 4000]) : nil
        deadline = random.number(0...5) == 0 ? random.pick([5, 500, 4000, 100_000]) : nil
        cancelAt = random.number(0...5) == 0 ? random.pick([0, 1, 40, 3000, 35_000]) : nil
        act = isHostile ? .hostile(&random) : .kind(&random)
        if random.number(0...4) == 0 {
            isStored = true
            method = random.pick([.get, .get, .post])
            content = .none
            isUnsendable = false
            reader = .whole
        }
    }
}

/// What a server does with a request.
package enum ServerAct: Sendable {
    /// Answers after some milliseconds, with a number of interim responses before.
    case answer(Framing, after: Int, interim: Int)
    /// Answers with keep-alive, and closes the connection some milliseconds later.
    case answerAndClose(after: Int)
    /// Answers with `Connection: close`.
    case answerAndSayClose
    /// Does not answer.
    case silence
    /// Answers before it reads the content.
    case early
    /// Answers, and sends a forged response some milliseconds later.
    case twice(after: Int)
    /// Sends half of the response, followed by nothing, a close or a reset.
    case half(Ending)
    /// Sends bytes that are not HTTP.
    case garbage
    /// Closes the connection without a response.
    case close
    /// Answers with an unsolicited 101.
    case upgrade

    package enum Framing: Sendable { case length, chunked, close }
    package enum Ending: Sendable { case silence, close, reset }

    static func kind(_ random: inout SeededGenerator) -> ServerAct {
        .answer(
            random.pick([.length, .length, .chunked, .close]), after: random.pick([0, 0, 1, 100]),
            interim: random.pick([0, 0, 0, 1, 2]))
    }

    static func hostile(_ random: inout SeededGenerator) -> ServerAct {
        switch random.number(0...15) {
        case 0: .silence
        case 1: .early
        case 2: .twice(after: random.pick([0, 1, 50]))
        case 3: .half(random.pick([.silence, .close, .reset]))
        case 4: .garbage
        case 5: .close
        case 6, 7: .answerAndClose(after: random.pick([0, 1, 30]))
        case 8: .answerAndSayClose
        case 9: .upgrade
        default: kind(&random)
        }
    }
}
