// The threads that call WSGI apps: the driver of `ThreadPoolMachine`.

import CSkeinPython
import DequeModule
import Dispatch
import Logging
import NIOCore
import SkeinCore
import SkeinEngine
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Python threads, and the calls that wait for one.
final class PythonThreadPool: Sendable {
    private struct State {
        var machine: ThreadPoolMachine
        var calls = Deque<WSGICall>()
        var workers: [Worker] = []
        /// How long threads that were woken have waited for the interpreter's lock.
        var lockWait = TimeAmount.zero
        var isEnding = false
        /// Requests that were refused since the last log line about it.
        var refused = 0
        var refusalNoted: NIODeadline?
    }

    /// One thread and its state.
    ///
    /// Unchecked: mutable state is guarded by the pool's lock.
    private final class Worker: @unchecked Sendable {
        let usage: ThreadUsage?
        var call: WSGICall?
        var since = NIODeadline.now()
        var isLost = false

        /// The thread that calls.
        init() { usage = ThreadUsage() }
    }

    /// How long a thread sleeps before it may end.
    private static let patience = DispatchTimeInterval.seconds(30)

    private let state: Mutex<State>
    private let sleepers = DispatchSemaphore(value: 0)
    private let watcher = DispatchSemaphore(value: 0)
    /// Whether the watcher checks often, which it does while there are calls.
    private let isWatched = Atomic<Bool>(true)
    private let deliveries = Deliveries()
    private let requestTimeout: Duration?
    private let name: String
    private let logger: Logger
    /// Called when a call has taken too long.
    private let onHang: @Sendable (WSGICall) -> Void

    init(
        _ limits: ThreadPoolMachine.Limits, name: String, requestTimeout: Duration?, logger: Logger,
        onHang: @escaping @Sendable (WSGICall) -> Void
    ) {
        state = Mutex(State(machine: ThreadPoolMachine(limits)))
        self.name = name
        self.logger = logger
        self.requestTimeout = requestTimeout
        self.onHang = onHang
        PythonThread.start("\(name) watcher") { [weak self, watcher] in
            var meter = LoadMeter()
            var quiet = 0
            while let pool = self, let isBusy = pool.watch(&meter) {
                quiet = isBusy ? 0 : quiet + 1
                let sleeps = quiet > 50
                if sleeps { pool.isWatched.store(false, ordering: .sequentiallyConsistent) }
                // A call that arrived before the line above has not signalled.
                if sleeps, pool.hasCalls { pool.isWatched.store(true, ordering: .relaxed) }
                let sleepsNow = sleeps && !pool.isWatched.load(ordering: .relaxed)
                _ = consume pool
                _ = watcher.wait(timeout: .now() + .milliseconds(sleepsNow ? 1000 : 2))
                if sleeps { quiet = 50 }  // one look, unless there is something
            }
        }
    }

    /// Threads, and calls that wait.
    var counts: (threads: Int, idle: Int, waiting: Int, lost: Int, calls: Int, lockWait: Double) {
        state.withLock { state in
            let machine = state.machine
            let lockWait = Double(state.lockWait.nanoseconds) / 1e9
            return (machine.threads, machine.idle, machine.waiting, machine.lost, machine.taken, lockWait)
        }
    }

    private var hasCalls: Bool {
        state.withLock { state in !state.calls.isEmpty || state.workers.contains { $0.call != nil } }
    }

    /// Waits for a limited time until no call runs.
    func untilIdle(within timeout: Duration) async {
        let end = ContinuousClock.now + timeout
        while hasCalls, ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(20)) }
    }

    /// Submits a call to the pool.
    /// - Throws: ``ServerError`` 503 when too many wait.
    func submit(_ call: WSGICall) throws(ServerError) {
        let action: ThreadPoolMachine.Action = state.withLock { state in
            if state.isEnding { return .refuse }
            let action = state.machine.submitted()
            if action != .refuse { state.calls.append(call) }
            return action
        }
        guard action != .refuse else {
            noteRefusal()
            throw ServerError(
                .serviceUnavailable, "too many requests are waiting for this app", headers: ["Retry-After": "1"])
        }
        // After the current tasks of the loop: a thread that is woken now might take the processor from it, for one
        // call.
        if action != .none { call.request.shard.eventLoop.execute { self.perform(action) } }
        if !isWatched.load(ordering: .sequentiallyConsistent), !isWatched.exchange(true, ordering: .relaxed) {
            watcher.signal()
        }
    }

    /// Logs that requests are refused, once in ten seconds.
    private func noteRefusal() {
        let now = NIODeadline.now()
        let count: Int? = state.withLock { state in
            state.refused += 1
            if let last = state.refusalNoted, now - last < .seconds(10) { return nil }
            state.refusalNoted = now
            defer { state.refused = 0 }
            return state.refused
        }
        guard let count else { return }
        logger.warning("\(name): all threads are busy, and the queue is full; \(count) requests were answered with 503")
    }

    /// Sends a response. While more calls wait and calls are short, several are sent together; the watcher makes sure
    /// that none waits for long.
    func deliver(_ delivery: Delivery) {
        let count = deliveries.add(delivery)
        if count >= 32 || !state.withLock({ $0.machine.isShortOfTime }) { deliveries.flush() }
    }

    /// Sends the responses that wait for others.
    func flush() { deliveries.flush() }

    /// Removes a call whose client has disconnected from the queue.
    func withdraw(_ call: WSGICall) {
        state.withLock { state in
            guard let place = state.calls.firstIndex(where: { $0 === call }) else { return }
            state.calls.remove(at: place)
            state.machine.withdrawn()
        }
    }

    /// Ends the threads when their calls are done.
    func end() {
        let count = state.withLock { state in
            state.isEnding = true
            return state.machine.threads
        }
        for _ in 0..<count { sleepers.signal() }
        watcher.signal()
    }

    private func perform(_ action: ThreadPoolMachine.Action) {
        switch action {
        case .none, .refuse: break
        case .wake: sleepers.signal()
        case .spawn: spawn()
        }
    }

    // MARK: A thread

    private func spawn() {
        PythonThread.start(name) { self.serve() }
    }

    private func serve() {
        let worker = Worker()
        state.withLock { $0.workers.append(worker) }
        let interpreterState = PyGILState_Ensure()
        if let nameThread = PythonModule.function(.nameThread), let own = Python.text(name) {
            var argument = own
            if let none = skein_py_call(nameThread, &argument, 1) { Py_DecRef(none) } else { PyErr_Clear() }
            Py_DecRef(own)
        }
        var environ = EnvironBuilder()
        var hasArrived = false
        while true {
            let (taken, action) = take(worker, isNew: !hasArrived)
            hasArrived = true
            perform(action)
            if let call = taken {
                call.run(&environ)
                PythonInterpreter.leaveIfForked()
                continue
            }
            deliveries.flush()
            let thread = PyEval_SaveThread()
            let goesOn = sleep(worker)
            let woken = NIODeadline.now()
            PyEval_RestoreThread(thread)
            state.withLock { $0.lockWait = $0.lockWait + (NIODeadline.now() - woken) }
            if !goesOn { break }
            hasArrived = false
        }
        environ.drop()
        PyGILState_Release(interpreterState)
    }

    /// Ends the previous call, and takes the next one.
    private func take(_ worker: Worker, isNew: Bool) -> (WSGICall?, ThreadPoolMachine.Action) {
        let now = NIODeadline.now()
        return state.withLock { state in
            if isNew { state.machine.arrived() }
            if worker.call != nil { state.machine.returned(after: (now - worker.since).nanoseconds) }
            if worker.isLost { state.machine.find() }
            worker.isLost = false
            worker.call = state.calls.popFirst()
            worker.since = now
            guard let call = worker.call else {
                state.machine.rests()
                return (nil, .none)
            }
            return (call, state.machine.took())
        }
    }

    /// Waits until the thread is woken; false when it has to end.
    private func sleep(_ worker: Worker) -> Bool {
        while true {
            let result = sleepers.wait(timeout: .now() + Self.patience)
            let rest: ThreadPoolMachine.Rest? = state.withLock { state in
                if state.isEnding, state.calls.isEmpty { return .end }
                guard result == .timedOut else { return nil }
                return state.machine.sleptLong()
            }
            switch rest {
            case nil: return true
            case .sleep: continue
            case .end:
                state.withLock { $0.workers.removeAll { $0 === worker } }
                return false
            }
        }
    }

    // MARK: Watching

    /// Measures how much the threads compute while calls wait, and checks for calls that take too long.
    /// - Returns: whether there are calls; nil when the pool has ended.
    private func watch(_ meter: inout LoadMeter) -> Bool? {
        let now = NIODeadline.now()
        let (usages, isStarving, isBusy, isEnding, action) = state.withLock { state in
            let action = state.machine.tick()
            let isBusy = state.workers.contains { $0.call != nil } || !state.calls.isEmpty
            return (state.workers.compactMap(\.usage), state.machine.isStarving, isBusy, state.isEnding, action)
        }
        deliveries.flush()
        if isEnding { return nil }
        perform(action)
        if isStarving {
            if let load = meter.measure(usages, at: now) {
                for _ in 0..<state.withLock({ $0.machine.measured(load: load) }) { spawn() }
            }
        } else {
            meter.stop()
        }
        guard let requestTimeout else { return isBusy }
        let hanging = state.withLock { state in
            var found: [WSGICall] = []
            for worker in state.workers where !worker.isLost && now - worker.since >= TimeAmount(requestTimeout) {
                guard let call = worker.call, call.isAwaited else { continue }
                worker.isLost = true
                found.append(call)
            }
            return found
        }
        for call in hanging {
            perform(state.withLock { $0.machine.lose() })
            onHang(call)
        }
        return isBusy
    }
}
