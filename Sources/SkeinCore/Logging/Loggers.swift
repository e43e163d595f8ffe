// Ready-made loggers; any other swift-log handler works as well.

import Logging

extension Logger {
    /// A logger that writes to standard error.
    /// - Parameters:
    ///   - label: the name at the start of each line.
    ///   - level: the minimum level. Default: info.
    public static func screen(label: String = "skein", level: Level = .info) -> Logger {
        var logger = Logger(label: label, factory: ScreenLogHandler.init)
        logger.logLevel = level
        return logger
    }

    /// A logger that writes to a file with rotation.
    /// - Parameters:
    ///   - path: the file; its folder must exist.
    ///   - maximumBytes: the size at which a new file is started. Default: 10 MiB.
    ///   - keep: the number of full files that are retained. Default: 5.
    /// - Throws: code 701 when the file cannot be opened.
    public static func file(
        _ path: String, maximumBytes: Int = 10 << 20, keep: Int = 5, label: String = "skein", level: Level = .info
    ) throws -> Logger {
        let file = try RotatingFile(path: path, maximumBytes: maximumBytes, keep: keep)
        var logger = Logger(label: label) { RotatingFileLogHandler(label: $0, file: file) }
        logger.logLevel = level
        return logger
    }

    /// A logger that writes nothing.
    public static var silent: Logger { Logger(label: "skein") { _ in SwiftLogNoOpLogHandler() } }
}
