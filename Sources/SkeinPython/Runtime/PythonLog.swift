// The destination of Python's log, its warnings and the errors of apps.

import CSkeinPython
import Logging
import SkeinCore
import Synchronization

enum PythonLog {
    static let logger = Mutex(Logger(label: "python"))

    /// `_log(level, name, message)`, with the levels of Python's `logging`.
    static let write: PythonFunction = { _, arguments, count in
        guard count == 3, let arguments, let message = Python.string(arguments[2]) else {
            return Python.raise(skein_python.PyExc_TypeError, "_log(level, name, message)")
        }
        let level = PyLong_AsLongLong(arguments[0])
        let name = Python.string(arguments[1]) ?? ""
        let logger = logger.withLock { $0 }
        // A handler of the log may wait for its file.
        PythonInterpreter.withoutLock {
            logger.log(level: Self.level(level), "\(name.isEmpty ? "" : "\(name): ")\(message)")
        }
        return skein_py_none()
    }

    /// Writes a text of several lines, such as a traceback, as separate log lines.
    static func error(_ text: String, to logger: Logger) {
        for line in text.splitBytes(separator: "\n") { logger.error("\(line)") }
    }

    private static func level(_ level: Int64) -> Logger.Level {
        switch level {
        case 50...: .critical
        case 40...: .error
        case 30...: .warning
        case 20...: .info
        default: .debug
        }
    }
}
