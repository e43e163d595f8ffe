// Limits frames that cause work without progress: a token bucket, refilled by time and by useful frames.

import NIOCore

/// The state of a ``FrameAllowance``. A value without a clock: the owner passes the time.
struct FloodGuard {
    private let allowance: FrameAllowance
    private var left: Int
    private var refilled: NIODeadline

    init(_ allowance: FrameAllowance, now: NIODeadline) {
        self.allowance = allowance
        left = allowance.burst
        refilled = now
    }

    /// Takes one token. Returns false when there is none left.
    mutating func spend(at now: NIODeadline) -> Bool {
        if left == 0 { refill(at: now) }
        guard left > 0 else { return false }
        left -= 1
        return true
    }

    /// Returns tokens for useful work.
    @inline(__always)
    mutating func earn(_ count: Int) { left = min(allowance.burst, left &+ count) }

    private mutating func refill(at now: NIODeadline) {
        let milliseconds = (now - refilled).nanoseconds / 1_000_000
        let earned = Int(min(milliseconds, 3_600_000)) * allowance.perSecond / 1000
        guard earned > 0 else { return }
        refilled = now
        earn(earned)
    }
}
