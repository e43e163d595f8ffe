// Log lines for a person who looks at a terminal.

import Logging

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Writes a line an event to standard error.
public struct ScreenLogHandler: LogHandler {
    public var logLevel: Logger.Level = .info
    public var metadata: Logger.Metadata = [:]
    private let label: String

    /// A handler for a logger of this label.
    public init(label: String) { self.label = label }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let line = LogLine.make(event.level, "\(event.message)", metadata, event.metadata, label: label)
        FileDescriptorOutput.standardError.write(line)
    }
}

/// How a log line looks: time, level, message, metadata.
enum LogLine {
    static func make(
        _ level: Logger.Level, _ message: String, _ base: Logger.Metadata, _ extra: Logger.Metadata?, label: String
    ) -> String {
        let merged = base.merging(extra ?? [:]) { $1 }
        let pairs = merged.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let time = Date.now.formatted(.iso8601.time(includingFractionalSeconds: true).dateSeparator(.dash))
        // A message is one line, whatever a peer managed to get into it.
        let visible = String(message.map { $0.isNewline ? "⏎" : $0 })
        return "\(time) \(level) \(label): \(visible)\(pairs)\n"
    }
}
