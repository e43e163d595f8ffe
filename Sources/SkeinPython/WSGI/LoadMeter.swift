// How much threads compute, or would if they had a processor.

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The use that a thread makes of processors.
///
/// Unchecked: the descriptor is read by position only.
final class ThreadUsage: @unchecked Sendable {
    private let clock: clockid_t
    /// The scheduler's account of the thread; negative where there is none.
    private let account: CInt

    /// The use of the thread that calls; nil where the system does not tell.
    init?() {
        var clock = clockid_t()
        guard pthread_getcpuclockid(pthread_self(), &clock) == 0 else { return nil }
        self.clock = clock
        account = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)
    }

    deinit { if account >= 0 { close(account) } }

    /// Nanoseconds in which the thread has computed, or has waited for a processor: on a busy machine, one that waits computes, too.
    var nanoseconds: Int64 {
        if account >= 0 {
            var text = [UInt8](repeating: 0, count: 64)
            let count = pread(account, &text, 63, 0)
            if count > 0 {
                let numbers = text.prefix(count).split(separator: 0x20).prefix(2)
                return numbers.reduce(0) { $0 + (Int64(String(decoding: $1, as: UTF8.self)) ?? 0) }
            }
        }
        var value = timespec()
        clock_gettime(clock, &value)
        return Int64(value.tv_sec) * 1_000_000_000 + Int64(value.tv_nsec)
    }
}

/// The load of some threads over a time.
struct LoadMeter {
    private var last: [ObjectIdentifier: Int64] = [:]
    private var time: NIODeadline?

    /// What was measured counts no more.
    mutating func stop() { time = nil }

    /// How many threads have computed on average since the last time; nil when too little has passed.
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
        return time == nil ? nil : Double(used) / Double(passed)
    }
}
