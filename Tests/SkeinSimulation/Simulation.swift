// Runs histories, and says what must be true of every one of them.

import NIOCore
import Skein
import SkeinCore

/// What a run has come to.
package struct Report: Sendable {
    /// What was wrong; empty when all was well.
    package fileprivate(set) var violations: [String]
    /// The same for two runs of one history.
    package let fingerprint: UInt64
    /// A line for each call.
    package let outcomes: [String]
    /// How long it took, in milliseconds of its own clock.
    package let milliseconds: Int64
}

/// Runs one history after the other, each in a world of its own.
package enum Simulation {
    /// Every call is over by then, whatever its peer does: the longest of the client's own limits, several times over.
    private static let end = TimeAmount.minutes(40)

    /// Runs a history to its end.
    package static func run(_ history: History) -> Report {
        var world: World? = World(history)
        weak let leftover = world
        var report = world.map(run) ?? Report(violations: [], fingerprint: 0, outcomes: [], milliseconds: 0)
        world = nil
        if report.violations.isEmpty, leftover != nil { report.violations = ["something holds on to the world"] }
        return report
    }

    private static func run(_ world: World) -> Report {
        let history = world.history
        world.startServer()
        world.startCalls()
        let begun = world.loop.now
        if let moment = history.settings.shutdownAt { world.later(moment) { world.shutDown() } }
        world.loop.run(until: begun + end) { world.isQuiet }
        world.checkCalls()
        if world.violations.isEmpty { world.checkRest() }
        return Report(
            violations: world.violations, fingerprint: world.fingerprint,
            outcomes: history.calls.map { "\($0.id) \($0.method): \(world.record(of: $0).outcome)" },
            milliseconds: world.milliseconds)
    }

    /// Makes a history that fails smaller, as long as it fails.
    package static func shrink(_ history: History) -> History {
        var smallest = history
        var didShrink = true
        func tryOne(_ change: (inout History) -> Void) {
            var candidate = smallest
            change(&candidate)
            if !run(candidate).violations.isEmpty {
                smallest = candidate
                didShrink = true
            }
        }
        while didShrink {
            didShrink = false
            for index in smallest.calls.indices.reversed() where smallest.calls.count > 1 {
                tryOne { if index < $0.calls.count { $0.calls.remove(at: index) } }
            }
            for index in smallest.connections.indices where smallest.connections[index].isEventful {
                tryOne { $0.connections[index] = History.ConnectionPlan() }
            }
            if smallest.settings.lateness > 0 { tryOne { $0.settings.lateness = 0 } }
            if smallest.settings.shutdownAt != nil { tryOne { $0.settings.shutdownAt = nil } }
            for index in smallest.calls.indices {
                if smallest.calls[index].cancelAt != nil { tryOne { $0.calls[index].cancelAt = nil } }
                if smallest.calls[index].deadline != nil { tryOne { $0.calls[index].deadline = nil } }
                if smallest.calls[index].timeout != nil { tryOne { $0.calls[index].timeout = nil } }
            }
        }
        return smallest
    }
}

extension History.ConnectionPlan {
    var isEventful: Bool {
        opening != .made || toServer.breaksAfter != nil || toServer.stall != nil || toClient.breaksAfter != nil
            || toClient.stall != nil || toServer.latency != 0...0 || toClient.latency != 0...0
    }
}

extension World {
    /// Whether every call has begun and is over.
    var isQuiet: Bool { records.count == history.calls.count && records.values.allSatisfy(\.isOver) }

    func shutDown() {
        Task(executorPreference: shard.executor) { await self.skein.http.shutdown() }
    }

    /// Each call has ended, once.
    func checkCalls() {
        for call in history.calls {
            let record = record(of: call)
            if !record.isOver { report("call \(call.id) never ended") }
            // Where everybody does what he should, and the caller waits, there is an answer.
            if !history.isHostile, call.isPatient, call.isRepeatable, record.outcome != "answered" {
                report("call \(call.id) was not answered, and nothing was in its way: \(record.outcome)")
            }
            if record.ends != 1 { report("call \(call.id) ended \(record.ends) times") }
        }
    }

    /// All that the calls held was given back.
    func checkRest() {
        let wasShutDown = history.settings.shutdownAt != nil
        loop.run(until: loop.now + .seconds(1))
        // What is kept has to be read, or the end of the peer, and the next answer, would not be seen.
        for (number, channel) in clientChannels.enumerated() where channel.isOpen && !channel.readsByItself {
            report("connection \(number) is kept and not read")
        }
        // A connection that is kept has one; what has ended has none.
        let open = clientChannels.count(where: \.isOpen)
        if shard.timers.count > open { report("\(shard.timers.count) timers are set for \(open) connections") }
        if skein.tracking.exchanges != 0 { report("\(skein.tracking.exchanges) exchanges are still counted") }
        // Longer than anything is kept without use.
        loop.run(until: loop.now + .minutes(20))
        if skein.tracking.connections != 0 { report("\(skein.tracking.connections) connections are still counted") }
        for (number, channel) in clientChannels.enumerated() where channel.isOpen {
            report("connection \(number) is still open at the client")
        }
        for (number, channel) in serverChannels.enumerated() where channel.isOpen && history.settings.hasRealServer {
            report("connection \(number) is still open at the server")
        }
        let serverTimers = serverShard.timers.count
        if serverTimers != 0 { report("\(serverTimers) timers of the server are still set") }
        if shard.timers.count != 0 { report("\(shard.timers.count) timers of the client are still set") }
        for call in history.calls where record(of: call).corequest != nil {
            report("call \(call.id) is over and was not let go of")
        }
        if !wasShutDown { shutDown() }
        loop.run(until: loop.now + .minutes(1))
    }
}
