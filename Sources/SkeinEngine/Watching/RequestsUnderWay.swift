// The requests in flight, for crash reports.

import CSkeinWorkers
import SkeinWorkers

/// The requests in flight of a loop, on the shared page, so that they are known after a crash.
///
/// A ring of few entries, in which the latest requests replace older ones.
///
/// Unchecked: used on its shard's loop only.
struct RequestsUnderWay: @unchecked Sendable {
    private let places: UnsafeMutablePointer<skein_request>
    private let record: ProcessRecord

    init(_ record: ProcessRecord, shard: Int) {
        self.record = record
        places = record.requests(ofShard: shard)
    }

    private func place(of scope: RequestScope) -> UnsafeMutablePointer<skein_request> {
        places + Int(scope.number) % ProcessRecord.maximumRequests
    }

    private static func number(of scope: RequestScope) -> UInt64 {
        UInt64(scope.peer.number) << 32 | UInt64(scope.number)
    }

    func begin(_ scope: RequestScope) {
        let place = place(of: scope)
        if let transaction = scope.head.headers[Transaction.globalField] {
            withUnsafeMutableBytes(of: &place.pointee.transaction) { text in
                let used = min(transaction.utf8.count, text.count - 1)
                text.copyBytes(from: transaction.utf8.prefix(used))
                text[used] = 0
            }
        } else if place.pointee.transaction.0 != 0 {
            place.pointee.transaction.0 = 0
        }
        place.pointee.number = Self.number(of: scope)
    }

    func end(_ scope: RequestScope) {
        let place = place(of: scope)
        if place.pointee.number == Self.number(of: scope) { place.pointee.number = 0 }
    }
}
