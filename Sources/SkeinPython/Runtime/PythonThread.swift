// Threads that run Python: with a stack of the size that Python's own threads have.

import Foundation

enum PythonThread {
    /// Starts a thread.
    static func start(_ name: String, _ work: @escaping @Sendable () -> Void) {
        let thread = Thread {
            Thread.current.name = name  // where lists of threads find it
            work()
        }
        thread.stackSize = 8 << 20
        thread.start()
    }
}
