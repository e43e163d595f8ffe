// Integers, times and meters on the shared page.

import CSkeinWorkers
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension SharedPage {
    /// Bytes of the longest name.
    package static let maximumNameLength = Int(SKEIN_NAME_BYTES)

    /// The value of a state; 0 when it was never set.
    package func value(of name: String) throws(SkeinError) -> Int { Int(skein_load(&(try state(name)).pointee.value)) }

    /// Sets a state.
    package func set(_ name: String, to value: Int) throws(SkeinError) {
        let state = try state(name)
        skein_store(&state.pointee.value, Int64(value))
        note(state)
    }

    /// Adds to a state.
    package func add(_ number: Int, to name: String) throws(SkeinError) -> Int {
        let state = try state(name)
        defer { note(state) }
        return Int(skein_add(&state.pointee.value, Int64(number)))
    }

    /// Sets a state if it has a value.
    package func compareAndSet(_ name: String, expected: Int, to value: Int) throws(SkeinError) -> Bool {
        let state = try state(name)
        guard skein_compare_and_set(&state.pointee.value, Int64(expected), Int64(value)) else { return false }
        note(state)
        return true
    }

    /// Records that something has changed now.
    package func touch(_ name: String) throws(SkeinError) { note(try state(name)) }

    /// The time of the last change, in seconds since 1970.
    package func lastChange(of name: String) throws(SkeinError) -> Double? {
        // A name that is only read takes no room.
        var name = name
        let found = name.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { skein_page_find(page, $0.baseAddress, $0.count) }
        }
        guard let found else { return nil }
        let changed = skein_load(&UnsafeMutablePointer(mutating: found).pointee.changed)
        return changed == 0 ? nil : Double(changed) / 1e9
    }

    private func note(_ state: UnsafeMutablePointer<skein_state>) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        skein_raise(&state.pointee.changed, Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
    }

    /// A rate meter's numbers.
    package struct Meter {
        package var used: Double
        package var previous: Double
        package var since: Double

        package init(used: Double, previous: Double, since: Double) {
            self.used = used
            self.previous = previous
            self.since = since
        }
    }

    /// Reads and changes a meter exclusively. A new meter replaces the one that was used least recently.
    /// - Parameters:
    ///   - name: of `maximumNameLength` bytes at most.
    ///   - now: seconds of the machine's monotonic clock.
    package func withMeter<Result>(_ name: String, at now: Double, _ work: (inout Meter) -> Result) -> Result {
        var name = name
        return name.withUTF8 { bytes in
            let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes).prefix(Self.maximumNameLength))
            var stripe: CInt = 0
            guard
                let set = skein_page_meters(
                    page, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &stripe)
            else { preconditionFailure("every name has a set") }
            defer { skein_page_release_meters(page, stripe) }
            var oldest = set
            for way in 0..<Int(SKEIN_METER_WAYS) {
                let meter = set + way
                if meter.pointee.name_length == bytes.count,
                    bytes.baseAddress.map({ memcmp(&meter.pointee.name, $0, bytes.count) }) == 0
                {
                    return Self.change(meter, at: now, work)
                }
                let isFree = meter.pointee.name_length == 0
                if isFree
                    ? oldest.pointee.name_length != 0
                    : meter.pointee.touched < oldest.pointee.touched
                        && oldest.pointee.name_length != 0
                {
                    oldest = meter
                }
            }
            // The name last: if the process ends before, the place is free.
            oldest.pointee.name_length = 0
            oldest.pointee.used = 0
            oldest.pointee.previous = 0
            oldest.pointee.since = now
            withUnsafeMutableBytes(of: &oldest.pointee.name) { $0.copyBytes(from: bytes) }
            oldest.pointee.name_length = UInt32(bytes.count)
            return Self.change(oldest, at: now, work)
        }
    }

    private static func change<Result>(
        _ place: UnsafeMutablePointer<skein_meter>, at now: Double, _ work: (inout Meter) -> Result
    ) -> Result {
        var meter = Meter(used: place.pointee.used, previous: place.pointee.previous, since: place.pointee.since)
        let result = work(&meter)
        place.pointee.used = meter.used
        place.pointee.previous = meter.previous
        place.pointee.since = meter.since
        place.pointee.touched = now
        return result
    }
}
