// The one interpreter of a process: started on a dedicated thread, which Python treats as its main thread.
//
// There is only one, because extension modules such as numpy do not work in several; and it is never finalized, because
// Python threads may still run when the process exits.

import CSkeinPython
import DequeModule
import Dispatch
import Logging
import SkeinCore
import SkeinTransport
import Synchronization

/// Python in this process.
final class PythonInterpreter: Sendable {
    /// Work for the main thread, executed in order; each piece holds the lock.
    typealias Work = @Sendable () -> Void

    private struct State {
        var work = Deque<Work>()
        /// Wakes the main thread while an event loop runs on it.
        var wakeLoop: (@Sendable () -> Void)?
    }

    private static let current = Mutex<PythonInterpreter?>(nil)

    let library: PythonLibrary
    private let state = Mutex(State())
    private let ready = DispatchSemaphore(value: 0)

    private init(_ library: PythonLibrary) { self.library = library }

    /// The interpreter, started if necessary.
    /// - Parameters:
    ///   - environment: see ``PythonLibrary``.
    ///   - logger: for Python's log.
    /// - Throws: code 701 when there is no Python, or another one already runs.
    static func started(environment: String?, folder: String, logger: Logger) throws(SkeinError) -> PythonInterpreter {
        try current.withLock { (current) throws(SkeinError) in
            if let current {
                guard let environment else { return current }
                let other = try PythonLibrary(environment: environment, folder: folder)
                guard other.executable.equalsBytes(current.library.executable) else {
                    throw SkeinError(
                        .exception,
                        because:
                            "a process can run one Python only: it runs \(current.library.executable), but the app needs \(other.executable); serve that app with another `skein python`"
                    )
                }
                return current
            }
            let interpreter = PythonInterpreter(try PythonLibrary(environment: environment, folder: folder))
            try interpreter.begin(logger)
            current = interpreter
            return interpreter
        }
    }

    private func begin(_ logger: Logger) throws(SkeinError) {
        let problem = Mutex<String?>(nil)
        let begun = DispatchSemaphore(value: 0)
        PythonThread.start("python main") { [self] in
            let failure = Self.open(library) ?? Self.prepare(logger)
            problem.withLock { $0 = failure }
            begun.signal()
            if failure == nil { serve() }
        }
        begun.wait()
        if let problem = problem.withLock({ $0 }) {
            throw SkeinError(.exception, because: "Python \(library.version) does not start: \(problem)")
        }
    }

    private static func open(_ library: PythonLibrary) -> String? {
        var problem = "no library"
        for path in library.candidates {
            guard let reason = skein_python_open(path) else {
                return skein_python_begin(library.executable).map { String(cString: $0) }
            }
            problem = "\(path): \(String(cString: reason))"
        }
        return problem
    }

    /// Loads the parts that are written in Python.
    private static func prepare(_ logger: Logger) -> String? {
        PythonLog.logger.withLock { $0 = logger }
        do {
            try PythonModule.load()
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// The running interpreter; nil before it is started.
    static var running: PythonInterpreter? { current.withLock { $0 } }

    // MARK: The main thread

    private func serve() {
        while true {
            let thread = PyEval_SaveThread()
            ready.wait()
            PyEval_RestoreThread(thread)
            runWork()
        }
    }

    /// Executes the work of the main thread.
    func runWork() {
        // One after the other: the event loop is a piece of work that does not end.
        while let piece = state.withLock({ $0.work.popFirst() }) { piece() }
    }

    /// Queues work for the main thread.
    func enqueue(_ work: @escaping Work) {
        let wakeLoop = state.withLock { state in
            state.work.append(work)
            return state.wakeLoop
        }
        if let wakeLoop { wakeLoop() } else { ready.signal() }
    }

    /// From now on the main thread is woken in another way, because an event loop runs on it.
    func wake(by wakeLoop: @escaping @Sendable () -> Void) { state.withLock { $0.wakeLoop = wakeLoop } }

    /// No event loop runs on the main thread any more.
    func wakeAsBefore() {
        state.withLock { $0.wakeLoop = nil }
        ready.signal()
    }

    /// Runs work on the main thread, and waits for its result.
    func onMain<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            enqueue { continuation.resume(with: Swift.Result { try work() }) }
        }
    }

    /// Calls the functions that apps have registered for the exit (`atexit`). The interpreter continues: Python threads
    /// may still run.
    func leave() async {
        _ = try? await onMain {
            guard let leave = PythonModule.function(.leave) else { return }
            do throws(PythonError) {
                _ = try Python.call(leave)
            } catch {
                PythonLog.error("\(error)", to: PythonLog.logger.withLock { $0 })
            }
        }
    }

    // MARK: Any thread

    /// Runs work with the lock, on a thread that does not hold it.
    static func withLock<Result>(_ work: () throws -> Result) rethrows -> Result {
        let state = PyGILState_Ensure()
        defer { PyGILState_Release(state) }
        return try work()
    }

    /// Runs work without the lock, on a thread that holds it.
    static func withoutLock<Result>(_ work: () throws -> Result) rethrows -> Result {
        let thread = PyEval_SaveThread()
        defer { PyEval_RestoreThread(thread) }
        return try work()
    }

    /// An exception with its traceback, as Python prints it.
    static func describe(_ exception: PythonObject) -> String? {
        guard let format = PythonModule.function(.describe),
            let text = try? PythonReference(skein_py_call(format, [exception], 1))
        else { return nil }
        return Python.string(text.object)
    }

    /// A process that an app has forked, and that has returned from the app's code, must not continue as the server.
    static func leaveIfForked() {
        if skein_python_is_forked() { _exit(0) }
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
