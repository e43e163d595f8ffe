// An app that does not return: reports where it hangs, and ends its process.

import CSkeinPython
import Dispatch
import Logging
import SkeinEngine
import SkeinWorkers

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

enum Hang {
    /// Responds to the client, writes the stacks of all threads to the log, and lets a worker be replaced.
    static func report(_ request: ServerRequest, _ logger: Logger, answer: () -> Void) {
        answer()
        logger.error("\(request.method) \(request.path): the app did not answer in time")
        PythonThread.start("python hangs") { explain(logger) }
    }

    private static func explain(_ logger: Logger) {
        let done = DispatchSemaphore(value: 0)
        PythonThread.start("python stacks") {
            PythonInterpreter.withLock {
                if let dump = PythonModule.function(.dump), let text = try? Python.call(dump) {
                    PythonLog.error("the Python threads:\n\(Python.string(text.object) ?? "")", to: logger)
                }
            }
            done.signal()
        }
        if done.wait(timeout: .now() + 2) == .timedOut {
            logger.error(
                "a Python thread holds the interpreter lock and does not release it; no stack can be shown")
        }
        // The master starts another worker when this one has finished its other requests.
        if WorkerLink.current != nil { kill(getpid(), SIGTERM) }
    }
}
