// The threads that call WSGI apps: the driver of `ThreadPoolMachine`.

import CSkeinPython
import DequeModule
import Dispatch
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

/// Threads of Python, and the calls that wait for one.
final class PythonThreadPool: Sendable {
    private struct State {
        var machine: ThreadPoolMachine
        var calls = Deque<WSGICall>()
        /// What each thread does, by its number.
        var running: [Int: Running] = [:]
        var number = 0
        var clocks: [Int: clockid_t] = [:]
        var isEnding = false
    }

    private struct Running {
        let call: WSGICall
        let since: NIODeadline
        var isLost = false
    }

    /// How long a thread sleeps before it may end.
    private static let patience = DispatchTimeInterval.seconds(30)

    private let state: Mutex<State>
    private let sleepers = DispatchSemaphore(value: 0)
    private let watcher = DispatchSemaphore(value: 0)
    /// Whether the watcher looks often, which it does while there are calls.
    private let isWatched = Atomic<Bool>(true)
    private let requestTimeout: Duration?
    private let name: String
    /// Called when a call has taken too long.
    private let onHang: @Sendable (WSGICall) -> Void

    init(
        _ limits: ThreadPoolMachine.Limits, name: String, requestTimeout: Duration?,
        onHang: @escaping @Sendable (WSGICall) -> Void
    ) {
        state = Mutex(State(machine: ThreadPoolMachine(limits)))
        self.name = name
        self.requestTimeout = requestTimeout
        self.onHang = onHang
        PythonThread.start("\(name) watcher") { [weak self, watcher] in
            var meter = LoadMeter()
            var quiet = 0
            while let pool = self, let isBusy = pool.watch(&meter) {
                quiet = isBusy ? 0 : quiet + 1
                let sleeps = quiet > 50
                if sleeps { pool.isWatched.store(false, ordering: .relaxed) }
                _ = consume pool
                _ = watcher.wait(timeout: .now() + .milliseconds(sleeps ? 1000 : 2))
                if sleeps { quiet = 0 }
            }
        }
    }

    /// Threads, and calls that wait.
    var counts: (threads: Int, idle: Int, waiting: Int, lost: Int) {
        state.withLock { ($0.machine.threads, $0.machine.idle, $0.machine.waiting, $0.machine.lost) }
    }

    /// Gives the pool a call.
    /// - Throws: ``ServerError`` 503 when too many wait.
    func submit(_ call: WSGICall) throws(ServerError) {
        let action = state.withLock { state in
            let action = state.machine.submitted()
            if action != .refuse { state.calls.append(call) }
            return action
        }
        guard action != .refuse else {
            throw ServerError(
                .serviceUnavailable, "too many requests wait for this app", headers: ["Retry-After": "1"])
        }
        perform(action)
        if !isWatched.load(ordering: .relaxed), !isWatched.exchange(true, ordering: .relaxed) { watcher.signal() }
    }

    /// Takes a call out of the queue whose client has left.
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
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        PythonThread.start("\(name) \(number)") { self.serve(number) }
    }

    private func serve(_ number: Int) {
        var clock = clockid_t()
        if pthread_getcpuclockid(pthread_self(), &clock) == 0 { state.withLock { $0.clocks[number] = clock } }
        let interpreterState = PyGILState_Ensure()
        var environ = EnvironBuilder()
        var isNew = true
        while true {
            let (taken, action) = take(number, isNew: isNew)
            isNew = false
            perform(action)
            if let call = taken {
                call.run(&environ)
                finished(number)
                PythonInterpreter.leaveIfForked()
                continue
            }
            let thread = PyEval_SaveThread()
            let goesOn = sleep(number)
            PyEval_RestoreThread(thread)
            if !goesOn { break }
            isNew = true
        }
        environ.drop()
        PyGILState_Release(interpreterState)
    }

    private func take(_ number: Int, isNew: Bool) -> (WSGICall?, ThreadPoolMachine.Action) {
        state.withLock { state in
            if isNew { state.machine.arrived() }
            guard let call = state.calls.popFirst() else {
                state.machine.rests()
                return (nil, .none)
            }
            let action = state.machine.took()
            state.running[number] = Running(call: call, since: .now())
            return (call, action)
        }
    }

    private func finished(_ number: Int) {
        let now = NIODeadline.now()
        state.withLock { state in
            guard let running = state.running.removeValue(forKey: number) else { return }
            state.machine.returned(after: (now - running.since).nanoseconds)
            if running.isLost { state.machine.find() }
        }
    }

    /// Waits until the thread is woken; false when it is to end.
    private func sleep(_ number: Int) -> Bool {
        while true {
            let result = sleepers.wait(timeout: .now() + Self.patience)
            let rest: ThreadPoolMachine.Rest? = state.withLock { state in
                if state.isEnding { return .end }
                guard result == .timedOut else { return nil }
                return state.machine.sleptLong()
            }
            switch rest {
            case nil: return true
            case .sleep: continue
            case .end:
                state.withLock { _ = $0.clocks.removeValue(forKey: number) }
                return false
            }
        }
    }

    // MARK: Watching

    /// Measures how much the threads compute while calls wait, and looks for calls that take too long.
    /// - Returns: whether there are calls; nil when the pool has ended.
    private func watch(_ meter: inout LoadMeter) -> Bool? {
        let now = NIODeadline.now()
        let (clocks, isStarving, isBusy, isEnding, action) = state.withLock { state in
            let action = state.machine.tick()
            let isBusy = !state.running.isEmpty || !state.calls.isEmpty
            return (state.clocks, state.machine.isStarving, isBusy, state.isEnding, action)
        }
        if isEnding { return nil }
        perform(action)
        if isStarving {
            if let load = meter.measure(clocks, at: now) {
                for _ in 0..<state.withLock({ $0.machine.measured(load: load) }) { spawn() }
            }
        } else {
            meter.stop()
        }
        guard let requestTimeout else { return isBusy }
        let hanging = state.withLock { state in
            var found: [WSGICall] = []
            for (number, running) in state.running where !running.isLost {
                guard now - running.since >= TimeAmount(requestTimeout) else { continue }
                state.running[number]?.isLost = true
                found.append(running.call)
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

/// How much some threads compute.
private struct LoadMeter {
    private var last: [Int: Int64] = [:]
    private var time: NIODeadline?

    /// What was measured counts no more.
    mutating func stop() { time = nil }

    /// The time of processors that the threads have used since the last time, for each second that has passed; nil when too little has passed.
    mutating func measure(_ clocks: [Int: clockid_t], at now: NIODeadline) -> Double? {
        let passed = time.map { (now - $0).nanoseconds } ?? 0
        guard time == nil || passed >= 1_000_000 else { return nil }
        var used: Int64 = 0
        var current: [Int: Int64] = [:]
        for (number, clock) in clocks {
            var value = timespec()
            guard clock_gettime(clock, &value) == 0 else { continue }
            let nanoseconds = Int64(value.tv_sec) * 1_000_000_000 + Int64(value.tv_nsec)
            current[number] = nanoseconds
            used += nanoseconds - (last[number] ?? 0)
        }
        defer { (last, time) = (current, now) }
        guard time != nil else { return nil }
        return Double(used) / Double(passed)
    }
}
