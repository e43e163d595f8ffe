// The life of a master's workers, without processes: events in, actions out.

/// Decides which workers are started, replaced and ended.
///
/// A slot is a place for one serving worker. While a worker is replaced, its slot has two: the one that serves, and the
/// next one, which is not ready yet. A worker that drains has left its slot, so that a slow drain never leaves a slot
/// empty.
///
/// | state of a worker | event                        | actions                                                | next state |
/// |-------------------|------------------------------|--------------------------------------------------------|------------|
/// | starting          | ready                        | drain the worker that it replaces                      | ready      |
/// | starting          | not ready in time            | kill                                                   | killed     |
/// | starting          | exited, no worker was ready yet | kill the others, end with a failure                 | –          |
/// | starting          | exited, it replaces a worker | give up the reload; the old worker goes on             | –          |
/// | starting, ready   | exited                       | start another one, after a back-off if it lived shortly | –         |
/// | ready             | reload, a limit is reached   | start the next one                                     | ready      |
/// | ready             | no heartbeat                 | start the next one; abort when that is ready           | ready      |
/// | ready             | stop, fewer workers          | drain                                                  | draining   |
/// | draining          | exited                       | –                                                      | –          |
/// | draining          | not ended in time            | kill                                                   | killed     |
package struct SupervisorMachine: Sendable {
    /// A process that the machine has asked for.
    package typealias WorkerID = Int

    private struct Worker {
        let slot: Int
        var phase: Phase
        /// When the phase began.
        var since: Duration
        var overCPU: Duration?
        /// Set when it was found to be hung: it will not drain.
        var isSilent = false
    }

    private struct Slot {
        /// The worker that serves, or will serve first.
        var current: WorkerID?
        /// The worker that will replace it.
        var next: WorkerID?
        /// Consecutive workers that ended before they were stable.
        var failures = 0
        /// When a worker may be started again; set while the slot is empty.
        var startsAt: Duration?
        /// The worker is not replaced for a limit before this time.
        var restsUntil = Duration.zero
        /// Whether the slot waits to be reloaded.
        var awaitsReload = false
    }

    private enum Mode: Equatable {
        case serving, stopping, ended
    }

    package let settings: Settings
    private var workers: [WorkerID: Worker] = [:]
    private var slots: [Int: Slot] = [:]
    private var mode = Mode.serving
    private var hasServed = false
    private var announces = true
    private var hasAnnounced = false
    private var hasFailed = false
    private var lastID = 0

    /// No worker yet.
    package init(_ settings: Settings) { self.settings = settings }

    /// The phase of a worker; nil for one that has ended.
    package func phase(of id: WorkerID) -> Phase? { workers[id]?.phase }

    /// The slots that are served.
    package var slotCount: Int { slots.count }

    /// Whether all slots are served, and no reload is under way.
    package var isServing: Bool {
        mode == .serving
            && slots.values.allSatisfy { slot in
                slot.current.flatMap { workers[$0]?.phase } == .ready && slot.next == nil && !slot.awaitsReload
            }
    }

    /// Whether a reload is under way.
    package var isReloading: Bool { slots.values.contains { $0.awaitsReload } }

    /// Handles an event.
    /// - Parameter now: the time since a fixed moment.
    package mutating func receive(_ event: Event, at now: Duration) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .begin:
            for slot in 0..<max(1, settings.count) { add(slot, at: now, &actions) }
        case .ready(let id): becomeReady(id, at: now, &actions)
        case .exited(let id): exited(id, at: now, &actions)
        case .tick(let samples): tick(samples, at: now, &actions)
        case .reload: reload(at: now, &actions)
        case .scale(let change): scale(by: change, at: now, &actions)
        case .stop(let gracefully): stop(gracefully, at: now, &actions)
        }
        return actions
    }

    // MARK: Starting

    private mutating func start(in slot: Int, at now: Duration, _ actions: inout [Action]) -> WorkerID {
        lastID += 1
        workers[lastID] = Worker(slot: slot, phase: .starting, since: now)
        actions.append(.start(lastID, slot: slot))
        return lastID
    }

    private mutating func add(_ slot: Int, at now: Duration, _ actions: inout [Action]) {
        let id = start(in: slot, at: now, &actions)
        slots[slot] = Slot(current: id)
    }

    private mutating func becomeReady(_ id: WorkerID, at now: Duration, _ actions: inout [Action]) {
        guard let worker = workers[id], worker.phase == .starting else { return }
        enter(.ready, id, at: now)
        hasServed = true
        guard let slot = slots[worker.slot] else { return }
        if slot.next == id {
            if let old = slot.current { retire(old, at: now, &actions) }
            slots[worker.slot]?.current = id
            slots[worker.slot]?.next = nil
        }
        slots[worker.slot]?.awaitsReload = false
        continueReload(at: now, &actions)
        announce(&actions)
    }

    private mutating func announce(_ actions: inout [Action]) {
        guard announces, isServing else { return }
        announces = false
        hasAnnounced = true
        actions.append(.serving)
    }

    /// Ends a worker whose successor serves, or that is not needed.
    private mutating func retire(_ id: WorkerID, at now: Duration, _ actions: inout [Action]) {
        guard let worker = workers[id] else { return }
        switch worker.phase {
        case .draining, .killed: break
        case .starting:
            enter(.killed, id, at: now)
            actions.append(.kill(id))
        case .ready:
            enter(.draining, id, at: now)
            actions.append(worker.isSilent ? .abort(id) : .drain(id))
        }
    }

    private mutating func enter(_ phase: Phase, _ id: WorkerID, at now: Duration) {
        workers[id]?.phase = phase
        workers[id]?.since = now
    }

    // MARK: Ending

    private mutating func exited(_ id: WorkerID, at now: Duration, _ actions: inout [Action]) {
        guard let worker = workers.removeValue(forKey: id) else { return }
        defer { endIfDone(&actions) }
        guard mode == .serving, var slot = slots[worker.slot] else { return }
        let wasStable = worker.phase == .ready && now - worker.since >= settings.stableAfter
        if !hasServed, slot.current == id {
            hasFailed = true
            return stop(false, at: now, &actions)
        }
        if slot.next == id {
            // The old worker continues to serve.
            slot.next = nil
            slot.restsUntil = now + .seconds(10)
            slots[worker.slot] = slot
            actions.append(.report(.reloadFailed(id)))
            for number in slots.keys { slots[number]?.awaitsReload = false }
            // A reload that has failed is over, and nothing has changed.
            if hasAnnounced { announces = false }
            return announce(&actions)
        }
        guard slot.current == id else { return }
        if let next = slot.next {
            slot.current = next
            slot.next = nil
            slots[worker.slot] = slot
            return
        }
        slot.current = nil
        slot.failures = wasStable ? 0 : slot.failures + 1
        let pause = backoff(slot.failures)
        slot.startsAt = now + pause
        slots[worker.slot] = slot
        if pause > .zero { actions.append(.report(.backingOff(slot: worker.slot, pause))) }
        startDue(at: now, &actions)
    }

    /// The first worker that ended early is replaced immediately.
    private func backoff(_ failures: Int) -> Duration {
        guard failures > 1 else { return .zero }
        return min(settings.firstBackoff * (1 << min(failures - 2, 20)), settings.longestBackoff)
    }

    private mutating func startDue(at now: Duration, _ actions: inout [Action]) {
        for number in slots.keys.sorted() {
            guard let due = slots[number]?.startsAt, due <= now else { continue }
            slots[number]?.startsAt = nil
            let id = start(in: number, at: now, &actions)
            slots[number]?.current = id
        }
    }

    private mutating func stop(_ gracefully: Bool, at now: Duration, _ actions: inout [Action]) {
        guard mode != .ended else { return }
        mode = .stopping
        for number in slots.keys {
            slots[number]?.startsAt = nil
            slots[number]?.awaitsReload = false
        }
        for id in workers.keys.sorted() {
            if gracefully {
                retire(id, at: now, &actions)
            } else if workers[id]?.phase != .killed {
                enter(.killed, id, at: now)
                actions.append(.kill(id))
            }
        }
        endIfDone(&actions)
    }

    private mutating func endIfDone(_ actions: inout [Action]) {
        guard mode == .stopping, workers.isEmpty else { return }
        mode = .ended
        actions.append(.end(isFailure: hasFailed))
    }

    // MARK: Replacing

    private mutating func reload(at now: Duration, _ actions: inout [Action]) {
        // Before anything serves, there is nothing to be replaced.
        guard mode == .serving, hasServed else { return }
        for number in slots.keys {
            slots[number]?.awaitsReload = true
            // A worker that is already starting was started before the reload.
            if let next = slots[number]?.next {
                slots[number]?.next = nil
                retire(next, at: now, &actions)
            }
        }
        announces = true
        continueReload(at: now, &actions)
    }

    /// One slot after the other, so that a failure is found while the others serve.
    private mutating func continueReload(at now: Duration, _ actions: inout [Action]) {
        guard mode == .serving, !slots.values.contains(where: { $0.next != nil }) else { return }
        for number in slots.keys.sorted() where slots[number]?.awaitsReload == true {
            guard let current = slots[number]?.current else {
                // An empty slot is filled with a new worker anyway.
                slots[number]?.awaitsReload = false
                continue
            }
            actions.append(.report(.willReplace(current, .reload)))
            let id = start(in: number, at: now, &actions)
            slots[number]?.next = id
            return
        }
    }

    private mutating func scale(by change: Int, at now: Duration, _ actions: inout [Action]) {
        guard mode == .serving else { return }
        let count = min(max(1, slots.count + change), settings.maximumCount)
        guard count != slots.count else { return }
        while slots.count < count { add(slots.count, at: now, &actions) }
        while slots.count > count, let slot = slots.removeValue(forKey: slots.count - 1) {
            for id in [slot.current, slot.next].compactMap(\.self) { retire(id, at: now, &actions) }
        }
        actions.append(.report(.scaled(count)))
        // The slot that was waited for may be gone.
        continueReload(at: now, &actions)
        announce(&actions)
    }

    // MARK: Time

    private mutating func tick(_ samples: [Sample], at now: Duration, _ actions: inout [Action]) {
        for id in workers.keys.sorted() {
            guard let worker = workers[id] else { continue }
            let time = now - worker.since
            switch worker.phase {
            case .starting where time >= settings.readyTimeout:
                actions.append(.report(.notReady(id)))
                enter(.killed, id, at: now)
                actions.append(.kill(id))
            case .draining where worker.isSilent ? time >= .seconds(2) : time >= settings.drainTimeout:
                if !worker.isSilent { actions.append(.report(.drainedTooLong(id))) }
                enter(.killed, id, at: now)
                actions.append(.kill(id))
            default: break
            }
        }
        guard mode == .serving else { return }
        startDue(at: now, &actions)
        for sample in samples {
            guard let worker = workers[sample.id], worker.phase == .ready else { continue }
            if let limit = settings.cpuLimit, sample.cpu > limit {
                workers[sample.id]?.overCPU = worker.overCPU ?? now
            } else {
                workers[sample.id]?.overCPU = nil
            }
            if sample.silence < settings.heartbeatTimeout { workers[sample.id]?.isSilent = false }
            if let reason = reason(to: sample, at: now) { replace(sample.id, reason, at: now, &actions) }
        }
    }

    private func reason(to sample: Sample, at now: Duration) -> Reason? {
        guard let worker = workers[sample.id] else { return nil }
        if sample.silence >= settings.heartbeatTimeout { return .silent }
        if let since = worker.overCPU, now - since >= settings.cpuTime { return .cpu }
        if let limit = settings.memoryLimit, sample.memory > limit { return .memory }
        if let limit = settings.maximumRequests, sample.requests >= limit { return .requests }
        if let age = settings.maximumAge, now - worker.since >= age { return .age }
        return nil
    }

    private mutating func replace(_ id: WorkerID, _ reason: Reason, at now: Duration, _ actions: inout [Action]) {
        guard let worker = workers[id], let slot = slots[worker.slot], slot.current == id, slot.next == nil else {
            return
        }
        // One planned replacement at a time: the others serve meanwhile.
        guard reason == .silent || !slots.values.contains(where: { $0.next != nil }) else { return }
        guard now >= slot.restsUntil else { return }
        slots[worker.slot]?.restsUntil = now + .seconds(10)
        workers[id]?.isSilent = reason == .silent
        actions.append(.report(.willReplace(id, reason)))
        let next = start(in: worker.slot, at: now, &actions)
        slots[worker.slot]?.next = next
    }
}
