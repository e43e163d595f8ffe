// Runs histories and checks the invariants.

import NIOCore
import Skein
import SkeinCore

/// The result of a run.
package struct Report: Sendable {
    /// The violated invariants.
    package fileprivate(set) var violations: [String]
    /// A hash of all deliveries of bytes; equal for two runs of one history.
    package let fingerprint: UInt64
    /// The outcome of each call, a line each.
    package let outcomes: [String]
    /// The virtual duration.
    package let milliseconds: Int64
}

/// Runs histories.
package enum Simulation {
    /// The virtual time after which every call must have ended.
    private static let end = TimeAmount.minutes(40)

    /// Runs a history.
    package static func run(_ history: History) -> Report {
        var world: World? = World(history)
        weak let leftover = world
        var report = world.map(run) ?? Report(violations: [], fingerprint: 0, outcomes: [], milliseconds: 0)
        world = nil
        if report.violations.isEmpty, leftover != nil { report.violations = ["objects of the run were leaked"] }
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

    /// Removes calls, faults and limits from a failing history as long as it violates the same invariant.
    package static func shrink(_ history: History) -> History {
        func invariant(_ history: History) -> String? { run(history).violations.first?.filter { !$0.isNumber } }
        let violated = invariant(history)
        var smallest = history
        var didShrink = true
        func tryOne(_ change: (inout History) -> Void) {
            var candidate = smallest
            change(&candidate)
            if let found = invariant(candidate), found == violated {
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
    /// Whether every call has started and its caller is done.
    var isQuiet: Bool { records.count == history.calls.count && records.values.allSatisfy(\.isOver) }

    func shutDown() {
        Task(executorPreference: shard.executor) {
            await self.store.shutdown()
            await self.skein.http.shutdown()
        }
    }

    /// Checks that each call has ended once.
    func checkCalls() {
        for call in history.calls {
            let record = record(of: call)
            if !record.isOver { report("call \(call.id) never ended") }
            // Without faults and time limits, every call that can be repeated succeeds.
            if !history.isHostile, call.isPatient, call.isRepeatable, !call.isUnsendable, record.outcome != "answered" {
                report("call \(call.id) failed in a history without faults: \(record.outcome)")
            }
            if record.ends != 1 { report("call \(call.id) ended \(record.ends) times") }
        }
    }

    /// Checks that connections, exchanges and timers are released.
    func checkRest() {
        let wasShutDown = history.settings.shutdownAt != nil
        loop.run(until: loop.now + .seconds(1))
        // A pooled connection that is not read would see neither its next response nor the peer's end.
        for (number, channel) in clientChannels.enumerated() where channel.isOpen && !channel.readsByItself {
            report("connection \(number) is in the pool and not read")
        }
        // Each pooled connection has one timer.
        let open = clientChannels.count(where: \.isOpen)
        if shard.timers.count > open { report("\(shard.timers.count) timers are set for \(open) connections") }
        if skein.tracking.exchanges != 0 { report("\(skein.tracking.exchanges) exchanges are still counted") }
        // Longer than all idle timeouts.
        loop.run(until: loop.now + .minutes(20))
        if skein.tracking.connections != 0 { report("\(skein.tracking.connections) connections are still counted") }
        for (number, channel) in clientChannels.enumerated() where channel.isOpen {
            report("connection \(number) is still open at the client")
        }
        for (number, channel) in serverChannels.enumerated()
        where channel.isOpen && history.settings.hasRealServer && !storeChannels.contains(ObjectIdentifier(channel)) {
            report("connection \(number) is still open at the server")
        }
        let serverTimers = serverShard.timers.count
        if serverTimers != 0 { report("\(serverTimers) timers of the server are still set") }
        if shard.timers.count != 0 { report("\(shard.timers.count) timers of the client are still set") }
        for call in history.calls where record(of: call).corequest != nil {
            report("the corequest of call \(call.id) was leaked")
        }
        if !wasShutDown { shutDown() }
        loop.run(until: loop.now + .minutes(1))
    }
}
