// Settings of a Python app.

import Logging
import SkeinCore
import SkeinEngine

/// The interpreter of an app, and its settings.
public struct PythonConfiguration: Sendable {
    /// The folder of a virtual environment, or a Python executable. All apps of a process share one interpreter.
    /// Default: `VIRTUAL_ENV`, `.venv` or `venv` in ``folder``, or `python3` on the PATH.
    public var environment: String?
    /// The folder of modules, at the front of `sys.path`. Default: the working directory.
    public var folder = "."
    /// Further folders for `sys.path`, after ``folder``. Default: none.
    public var paths: [String] = []
    /// Environment variables that are set for the whole process before the app is imported. Default: none.
    public var variables: [String: String] = [:]
    /// The minimum number of WSGI threads. Default: 1 with the GIL, one per core without it.
    public var threads: Int?
    /// The maximum number of WSGI threads, and so of concurrent calls that wait for I/O. Default: 64, or ``threads`` if
    /// that is more.
    public var maximumThreads: Int?
    /// Requests that may be queued for a thread; further ones are answered with 503. Default: 1024.
    public var queue = 1024
    /// The time limit of a WSGI call. After it, the client gets 504, the stacks of all threads are logged, and a worker
    /// is replaced. Default: none.
    public var requestTimeout: Duration?
    /// The buffering of a WSGI response, so that a slow client does not occupy a thread. Default: 256 KiB in memory and
    /// 1 GiB in a file.
    public var buffering = ResponseBuffering()
    /// Bytes of request content that are buffered in memory for a WSGI app; larger content is buffered in a file.
    /// Default: 256 KiB.
    public var contentInMemory = 256 << 10
    /// Whether clients see the traceback of a failing app: for development only. Default: false.
    public var showsTracebacks = false

    /// The log for records without a handler of the app. Default: standard error.
    public var logger = Logger.screen(label: "python")

    /// The defaults.
    public init() {}

    /// The options that distinguish hosts of one WSGI app.
    var ofThreads: String {
        "\(threads ?? 0) \(maximumThreads ?? 0) \(queue) \(requestTimeout ?? .zero) \(contentInMemory) \(buffering) \(showsTracebacks)"
    }
}
