// The memory and the time of this process, as the kernel counts them.

import Foundation

enum ProcessStatus {
    /// Bytes resident now.
    static func resident() -> Int { read("VmRSS:") }

    /// Bytes resident at most so far.
    static func peak() -> Int { read("VmHWM:") }

    /// Seconds of CPU so far, the kernel's for it among them.
    static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func read(_ name: String) -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
}
