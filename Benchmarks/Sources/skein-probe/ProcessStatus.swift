// The memory of this process, as the kernel counts it.

import Foundation

enum ProcessStatus {
    /// Bytes resident now.
    static func resident() -> Int { read("VmRSS:") }

    /// Bytes resident at most so far.
    static func peak() -> Int { read("VmHWM:") }

    private static func read(_ name: String) -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
}
