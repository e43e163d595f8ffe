// A corequest for Python: already started; threads wait for it without the lock, coroutines await it.

import CSkeinPython
import Dispatch
import SkeinCore
import SkeinHTTP
import Synchronization

/// The result of a corequest.
struct ClientResult: Sendable {
    var code: Int
    var reason: String
    var headers: [(String, String)] = []
    var content = PythonValue.none
    /// Whether there is no response at all.
    var isFailure = false

    init(code: Int, reason: String, headers: [(String, String)] = [], content: PythonValue = .none) {
        self.code = code
        self.reason = reason
        self.headers = headers
        self.content = content
    }

    init(_ error: any Error) {
        let failure = error as? SkeinError
        code = failure?.code.rawValue ?? 500
        reason = failure?.message ?? "\(error)"
        isFailure = true
    }

    /// `(code, reason, headers, content, is_failure)`; a new reference.
    func object() throws(PythonError) -> PythonObject {
        let fields = PythonValue.list(headers.map { .list([.text($0.0), .text($0.1)]) })
        return try PythonValue.list([.integer(Int64(code)), .text(reason), fields, content, .bool(isFailure)]).object()
    }
}

/// A corequest in progress.
final class ClientTask: Sendable {
    private struct State {
        var result: ClientResult?
        var threads: [DispatchSemaphore] = []
        var callbacks: [PythonObjectAddress] = []
        var task: Task<Void, Never>?
    }

    private let state = Mutex(State())

    /// Starts work; it runs on the loop of a shard.
    static func start(on shard: Shard, _ work: @escaping @Sendable () async throws -> ClientResult) -> ClientTask {
        let own = ClientTask()
        let task = Task(executorPreference: shard.executor) {
            do {
                own.finish(try await work())
            } catch {
                own.finish(ClientResult(error))
            }
        }
        own.state.withLock { if $0.result == nil { $0.task = task } }
        return own
    }

    private func finish(_ result: ClientResult) {
        let (threads, callbacks) = state.withLock { state in
            state.result = result
            state.task = nil
            defer {
                state.threads = []
                state.callbacks = []
            }
            return (state.threads, state.callbacks)
        }
        for thread in threads { thread.signal() }
        if !callbacks.isEmpty { Self.call(callbacks) }
    }

    private static func call(_ callbacks: [PythonObjectAddress]) {
        PythonInterpreter.running?.enqueue {
            for callback in callbacks {
                do throws(PythonError) {
                    _ = try Python.call(callback.object)
                } catch {
                    PythonLog.logger.withLock { $0 }.error("\(error)")
                }
                Py_DecRef(callback.object)
            }
        }
    }

    func cancel() { state.withLock { $0.task }?.cancel() }

    /// Waits without the lock. Returns nil on a timeout.
    private func wait(_ timeout: Double?) -> ClientResult? {
        let ready = DispatchSemaphore(value: 0)
        let result = state.withLock { state in
            if state.result == nil { state.threads.append(ready) }
            return state.result
        }
        if let result { return result }
        PythonInterpreter.withoutLock {
            if let timeout, timeout < 1e6 {
                _ = ready.wait(timeout: .now() + max(0, timeout))
            } else {
                ready.wait()
            }
        }
        return state.withLock { $0.result }
    }

    // MARK: Functions for Python

    /// A capsule of the task; a new reference.
    func object() -> PythonObject? {
        PyCapsule_New(Unmanaged.passRetained(self).toOpaque(), nil) { capsule in
            if let pointer = PyCapsule_GetPointer(capsule, nil) { Unmanaged<ClientTask>.fromOpaque(pointer).release() }
        }
    }

    private static func task(_ arguments: UnsafePointer<PythonObject>?) -> ClientTask? {
        guard let arguments, let pointer = PyCapsule_GetPointer(arguments[0], nil) else { return nil }
        return Unmanaged<ClientTask>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// `_wait(task, timeout)`: the result, or None on a timeout.
    static let wait: PythonFunction = { _, arguments, count in
        guard count == 2, let arguments, let task = task(arguments) else { return nil }
        let timeout = Python.isNone(arguments[1]) ? nil : PyFloat_AsDouble(arguments[1])
        if PyErr_Occurred() != nil { return nil }
        guard let result = task.wait(timeout) else { return skein_py_none() }
        do throws(PythonError) {
            return try result.object()
        } catch {
            return Python.raise(skein_python.PyExc_RuntimeError, error.message)
        }
    }

    /// `_notify(task, callback)`: calls back on Python's main thread when there is a result.
    static let notify: PythonFunction = { _, arguments, count in
        guard count == 2, let arguments, let task = task(arguments) else { return nil }
        let callback = PythonObjectAddress(arguments[1])
        Py_IncRef(arguments[1])
        let isOver = task.state.withLock { state in
            if state.result == nil { state.callbacks.append(callback) }
            return state.result != nil
        }
        if isOver { call([callback]) }
        return skein_py_none()
    }

    /// `_cancel(task)`
    static let cancel: PythonFunction = { _, arguments, count in
        guard count == 1, let task = task(arguments) else { return nil }
        task.cancel()
        return skein_py_none()
    }
}
