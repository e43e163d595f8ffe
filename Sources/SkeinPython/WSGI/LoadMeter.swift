// How many threads compute, or would compute if they had a processor.

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The processor usage of a thread.
///
/// Unchecked: the descriptor is read by position only.
final class ThreadUsage: @unchecked Sendable {
    private let clock: clockid_t
    /// The descriptor of the thread's status file; negative if there is none.
    private let status: CInt

    /// The usage of the calling thread; nil if the system does not report it.
    init?() {
        var clock = clockid_t()
        guard pthread_getcpuclockid(pthread_self(), &clock) == 0 else { return nil }
        self.clock = clock
        status = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC)
    }

    deinit { if status >= 0 { close(status) } }

    /// Nanoseconds of processor time that the thread has used.
    var nanoseconds: Int64 {
        var value = timespec()
        clock_gettime(clock, &value)
        return Int64(value.tv_sec) * 1_000_000_000 + Int64(value.tv_nsec)
    }

    /// Whether the thread computes now, or would compute if it had a processor.
    var isRunnable: Bool {
        guard status >= 0 else { return false }
        var text = [UInt8](repeating: 0, count: 128)
        let count = pread(status, &text, 128, 0)
        // `NUMBER (NAME) STATE …`; the name may contain any character.
        guard count > 0, let end = text.prefix(count).lastIndex(of: UInt8(ascii: ")")), end + 2 < count else {
            return false
        }
        return text[end + 2] == UInt8(ascii: "R")
    }
}

/// The load of some threads over an interval.
struct LoadMeter {
    private var last: [ObjectIdentifier: Int64] = [:]
    private var time: NIODeadline?

    /// Discards the measurements so far.
    mutating func stop() { time = nil }

    /// How many threads have computed on average since the last measurement; nil if too little time has passed.
    mutating func measure(_ threads: [ThreadUsage], at now: NIODeadline) -> Double? {
        let passed = time.map { (now - $0).nanoseconds } ?? 0
        guard time == nil || passed >= 1_000_000 else { return nil }
        var used: Int64 = 0
        var current: [ObjectIdentifier: Int64] = [:]
        for thread in threads {
            let nanoseconds = thread.nanoseconds
            current[ObjectIdentifier(thread)] = nanoseconds
            used += nanoseconds - (last[ObjectIdentifier(thread)] ?? nanoseconds)
        }
        defer { (last, time) = (current, now) }
        if time == nil { return nil }
        // On a busy machine, a thread that computes may not have had a processor in all this time.
        return max(Double(used) / Double(passed), threads.contains(where: \.isRunnable) ? 1 : 0)
    }
}
