// The measurements of the clients of one loop.

import Histogram
import Skein

/// Latencies, codes and bytes.
///
/// Unchecked: its clients are tasks on one event loop, and the report reads it when they have ended.
final class LoadRecorder: @unchecked Sendable {
    /// In microseconds, up to an hour, three digits exact.
    private(set) var latencies = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .three)
    private(set) var status: [Int: Int] = [:]
    private(set) var errors: [Int: Int] = [:]
    private(set) var examples: [Int: String] = [:]
    private(set) var bytes = 0
    private(set) var requests = 0

    func record(_ outcome: LoadOutcome, nanoseconds: Int64) {
        requests += 1
        latencies.record(UInt64(min(max(0, nanoseconds) / 1000, 3_600_000_000)))
        if let failure = outcome.failure {
            errors[failure.code.rawValue, default: 0] += 1
            if examples[failure.code.rawValue] == nil { examples[failure.code.rawValue] = "\(failure)" }
        } else {
            bytes += outcome.bytes
            status[outcome.status, default: 0] += 1
        }
    }
}
