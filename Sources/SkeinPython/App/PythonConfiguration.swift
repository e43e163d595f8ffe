// How a Python app is found and called.

import Logging
import SkeinCore
import SkeinEngine

/// Which Python runs an app, and how.
public struct PythonConfiguration: Sendable {
    /// A folder of a virtual environment, or a Python program. All apps of a process share one Python. Default: `VIRTUAL_ENV`, `.venv` or `venv` in
    /// ``folder``, or `python3` on the PATH.
    public var environment: String?
    /// The folder in which modules are found, at the front of `sys.path`. Default: the working folder.
    public var folder = "."
    /// Further folders for `sys.path`, behind ``folder``. Default: none.
    public var paths: [String] = []
    /// Variables that are set before the app is imported, in the whole process. Default: none.
    public var variables: [String: String] = [:]
    /// Threads for WSGI that are always there. Default: 1 with the interpreter's lock, one a core without it.
    public var threads: Int?
    /// Threads for WSGI at most: so many calls wait for databases and the like at one time. Default: 64, or ``threads`` if that is more.
    public var maximumThreads: Int?
    /// Requests that wait for a thread; others are answered with 503. Default: 1024.
    public var queue = 1024
    /// The longest time from the call of a WSGI app to its return. Then the client gets 504, the log the stacks of all threads, and a worker is
    /// replaced. Default: none.
    public var requestTimeout: Duration?
    /// How much of an answer is taken from a WSGI app before the client has taken it, so that a slow client holds no thread. Default: 256 KiB in
    /// memory and 1 GiB in a file.
    public var buffering = ResponseBuffering()
    /// Bytes of a request's content that are kept in memory for a WSGI app; more are kept in a file. Default: 256 KiB.
    public var contentInMemory = 256 << 10
    /// Whether clients see the traceback of an app that fails: for development only. Default: false.
    public var showsTracebacks = false

    /// Where the app's log goes that no handler of its own takes. Default: standard error.
    public var logger = Logger.screen(label: "python")

    /// The defaults.
    public init() {}

    /// What differs between two hosts of one WSGI app.
    var ofThreads: String {
        "\(threads ?? 0) \(maximumThreads ?? 0) \(queue) \(requestTimeout ?? .zero) \(contentInMemory) \(buffering) \(showsTracebacks)"
    }
}
