// Transaction IDs: one for all calls caused by a client's request, and one for each call.

import SkeinCore
import SkeinHTTP
import SkeinWire
import Synchronization

/// A request as part of a transaction (the predecessor's `GTID-C4676-R67` with 1000, 2001, 3002 …).
///
/// All hops share the global ID. The first digit of the local one is the depth of the call, the other digits are a
/// counter: the request 1000 makes the calls 2001, 2002 …, and the request 2001 makes 3002, 3003 ….
public final class Transaction: Sendable {
    /// The fields that carry the IDs.
    static let globalField = "X-Gtxn-Id"
    static let localField = "X-Ltxn-Id"

    /// The ID of the whole transaction.
    public let globalID: String
    /// The ID of this request within it.
    public let localID: Int
    private let calls = Atomic<Int>(0)

    /// - Parameters:
    ///   - globalID: letters, digits, `-`, `_`, `.`, `~` and `:`, 64 at most; any other text results in nil.
    ///   - localID: four to six digits. Default: 1000, the first request.
    public init?(globalID: String, localID: Int = 1000) {
        let isSound = globalID.utf8.allSatisfy { Percent.isUnreserved($0) || $0 == Bytes.colon }
        guard !globalID.isEmpty, globalID.utf8.count <= 64, isSound, (1000..<1_000_000).contains(localID) else {
            return nil
        }
        self.globalID = globalID
        self.localID = localID
    }

    /// The transaction of a request's fields; nil when they are missing or invalid.
    convenience init?(_ headers: Headers) {
        guard let global = headers[Self.globalField] else { return nil }
        self.init(globalID: global, localID: headers[Self.localField].flatMap { Int($0) } ?? 1000)
    }

    /// The first request of a transaction.
    init(connection: UInt32, request: UInt32) {
        globalID = "GTID-C\(connection)-R\(request)"
        localID = 1000
    }

    /// The local ID of the next call.
    func nextCall() -> Int {
        let call = calls.wrappingAdd(1, ordering: .relaxed).newValue
        return (localID / 1000 + 1) * 1000 + (localID % 1000 + call) % 1000
    }
}

extension RequestScope {
    /// The transaction of the request, created on first use.
    var transaction: Transaction {
        keep { kept in
            let known =
                kept.transaction ?? Transaction(head.headers) ?? Transaction(connection: peer.number, request: number)
            kept.transaction = known
            return known
        }
    }

    /// The trace of the request, and the parent of its calls to back ends; created on first use.
    var trace: TraceContext {
        keep { kept in
            let known =
                kept.trace
                ?? head.headers["traceparent"].flatMap {
                    TraceContext(traceparent: $0, state: head.headers["tracestate"])
                } ?? TraceContext()
            kept.trace = known
            return known
        }
    }
}

extension ServerRequest {
    /// The transaction of the request: from the fields `X-Gtxn-Id` and `X-Ltxn-Id`, or a new one.
    public var transaction: Transaction { scope.transaction }

    /// The trace of the request (W3C Trace Context): from the client's field, or a new one.
    public var trace: TraceContext { scope.trace }

    /// The client for calls to back ends. It runs on the server's loops, so that a call of a handler does not leave the
    /// thread, and it adds the transaction and the trace of the request to HTTP calls.
    public var skein: SkeinClient {
        SkeinClient(sharing: scope.owner.skein) { [scope] request in
            if !request.headers.contains(Transaction.globalField) {
                request.headers.add(Transaction.globalField, scope.transaction.globalID)
                request.headers.add(Transaction.localField, String(scope.transaction.nextCall()))
            }
            if !request.headers.contains("traceparent") {
                let trace = scope.trace.child
                request.headers.add("traceparent", trace.traceparent)
                if let state = trace.state { request.headers.add("tracestate", state) }
            }
        }
    }
}
