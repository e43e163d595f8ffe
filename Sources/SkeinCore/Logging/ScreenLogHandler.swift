// Log lines for a terminal.

import Logging

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Writes one line per event to standard error.
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

/// The format of a log line: in files the date, then time, level, message, metadata.
enum LogLine {
    static func make(
        _ level: Logger.Level, _ message: String, _ base: Logger.Metadata, _ extra: Logger.Metadata?, label: String,
        isDated: Bool = false
    ) -> String {
        let merged = base.merging(extra ?? [:]) { $1 }
        let pairs = visible(merged.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined())
        let time = Date.now.formatted(.iso8601.time(includingFractionalSeconds: true).dateSeparator(.dash))
        let date = isDated ? "\(CivilTime(CivilTime.now).date.text) " : ""
        return "\(date)\(time) \(level) \(label): \(visible(message))\(pairs)\n"
    }

    /// Text as one line without control sequences, since it may come from a peer.
    private static func visible(_ text: String) -> String {
        // Fast path: nearly every line is plain ASCII.
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return text }
        var line = String.UnicodeScalarView()
        var last: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A where last == "\r": break  // one line end, not two
            case 0x0A, 0x0D, 0x85, 0x2028, 0x2029: line.append("⏎")
            case 0x00..<0x20, 0x7F...0x9F:
                line.append(
                    contentsOf: "\\x\(scalar.value < 16 ? "0" : "")\(String(scalar.value, radix: 16))".unicodeScalars)
            default: line.append(scalar)
            }
            last = scalar
        }
        return String(line)
    }
}
