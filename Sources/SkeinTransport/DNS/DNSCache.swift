// A cache of DNS responses, each until its time to live ends.

import NIOCore

/// The result of a query.
package enum DNSOutcome: Hashable, Sendable {
    case records([DNSRecord.Content])
    /// The name, or records of this type, do not exist.
    case nothing

    /// The addresses among the records; nil without records.
    var addresses: [[UInt8]]? {
        guard case .records(let records) = self else { return nil }
        return records.compactMap { if case .address(let bytes) = $0 { bytes } else { nil } }
    }
}

/// Responses with their expiry. A value without a clock.
struct DNSCache {
    private struct Entry {
        let outcome: DNSOutcome
        let end: NIODeadline
    }

    private var entries: [DNSQuestion: Entry] = [:]
    private let limit: Int

    init(limit: Int) { self.limit = max(1, limit) }

    var count: Int { entries.count }

    mutating func find(_ question: DNSQuestion, at now: NIODeadline) -> DNSOutcome? {
        guard let entry = entries[question] else { return nil }
        guard entry.end > now else {
            entries[question] = nil
            return nil
        }
        return entry.outcome
    }

    mutating func keep(_ outcome: DNSOutcome, for question: DNSQuestion, until end: NIODeadline, at now: NIODeadline) {
        if entries.count >= limit, entries[question] == nil { makeRoom(at: now) }
        entries[question] = Entry(outcome: outcome, end: end)
    }

    /// Removes expired entries, and if that is less than a quarter, the quarter that expires first.
    private mutating func makeRoom(at now: NIODeadline) {
        entries = entries.filter { $0.value.end > now }
        guard entries.count > limit - limit / 4 else { return }
        let ends = entries.map(\.value.end).sorted()
        let bound = ends[entries.count - (limit - limit / 4)]
        entries = entries.filter { $0.value.end > bound }
    }
}
