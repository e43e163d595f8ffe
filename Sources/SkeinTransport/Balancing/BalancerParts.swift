// The parts of a balancer: a concurrency limit, a quantile, and random numbers.

import NIOCore

/// A limit of requests in flight by the gradient of their latency (Netflix's Gradient2).
struct ConcurrencyLimit: Sendable {
    private let configuration: ConcurrencyConfiguration
    private(set) var value: Double
    private var usual = 0.0

    init(_ configuration: ConcurrencyConfiguration) {
        self.configuration = configuration
        value = Double(configuration.initial)
    }

    mutating func observe(_ nanoseconds: Double, inFlight: Int) {
        // The average of about 600 responses.
        usual = usual == 0 ? nanoseconds : usual + (nanoseconds - usual) / 300
        // Recovers faster than it was reduced.
        if usual > 2 * nanoseconds { usual *= 0.95 }
        // A limit that is not reached carries no information.
        guard Double(inFlight) >= value / 2 else { return }
        let gradient = min(1, max(0.5, configuration.tolerance * usual / max(nanoseconds, 1)))
        let wanted = value * gradient + 4
        value = min(Double(configuration.maximum), max(Double(configuration.minimum), value * 0.8 + wanted * 0.2))
    }
}

/// A quantile of recent latencies, with a precision of about ten percent.
struct LatencyQuantile: Sendable {
    /// Counts by the logarithm of the latency: eight for each factor of two, from a microsecond on.
    private var counts = [Float](repeating: 0, count: 256)
    private var total: Float = 0
    private var added = 0

    mutating func add(_ latency: TimeAmount) {
        let microseconds = max(1, latency.nanoseconds / 1000)
        let octave = 63 - microseconds.leadingZeroBitCount
        let eighth = octave >= 3 ? Int(microseconds >> (octave - 3)) & 7 : 0
        counts[min(255, octave * 8 + eighth)] += 1
        total += 1
        added += 1
        // Counts are halved after each thousand responses.
        if added == 1000 {
            added = 0
            for index in counts.indices { counts[index] *= 0.5 }
            total *= 0.5
        }
    }

    /// The latency quantile; nil before a hundred responses.
    func value(_ share: Double) -> Duration? {
        guard total >= 100 else { return nil }
        var rest = total * Float(share)
        for (index, count) in counts.enumerated() {
            rest -= count
            if rest <= 0 {
                let octave = index / 8
                let base = Double(UInt64(1) << UInt64(min(octave, 40)))
                return .nanoseconds(Int64(base * (1 + Double(index % 8 + 1) / 8) * 1000))
            }
        }
        return nil
    }
}

/// Fast, seedable random numbers; not for secrets (wyrand).
package struct FastRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0xa076_1d64_78bd_642f
        let product = state.multipliedFullWidth(by: state ^ 0xe703_7ed1_a0b4_28db)
        return product.high ^ product.low
    }

    mutating func next(below limit: UInt64) -> UInt64 { next().multipliedFullWidth(by: limit).high }

    static func mix(_ value: UInt64) -> UInt64 {
        let product = (value ^ 0xe703_7ed1_a0b4_28db).multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
        return product.high ^ product.low
    }

    /// A hash that is the same in every process.
    package static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return mix(hash)
    }
}
