// Transaction identities: one for all that a client's request sets off anywhere, and one for each call within it.

import SkeinCore
import SkeinHTTP
import SkeinWire
import Synchronization

/// A request as part of a transaction (the ancestor's `GTID-C4676-R67` with 1000, 2001, 3002 …).
///
/// The global identity stays the same from hop to hop. The first digit of the local one is the depth of the call, the others count:
/// the request 1000 makes the calls 2001, 2002 …, and the request 2001 makes 3002, 3003 ….
public final class Transaction: Sendable {
    /// The fields by which identities travel.
    static let globalField = "X-Gtxn-Id"
    static let localField = "X-Ltxn-Id"

    /// The identity that all requests of the transaction have.
    public let globalID: String
    /// The identity of this request among them.
    public let localID: Int
    private let calls = Atomic<Int>(0)

    /// - Parameters:
    ///   - globalID: letters, digits, `-`, `_`, `.`, `~` and `:`, 64 at most; nil from anything else.
    ///   - localID: four digits to six. Default: 1000, the first request of all.
    public init?(globalID: String, localID: Int = 1000) {
        let isSound = globalID.utf8.allSatisfy { Percent.isUnreserved($0) || $0 == Bytes.colon }
        guard !globalID.isEmpty, globalID.utf8.count <= 64, isSound, (1000..<1_000_000).contains(localID) else {
            return nil
        }
        self.globalID = globalID
        self.localID = localID
    }

    /// What a request brought; nil when it brought nothing that can be used.
    convenience init?(_ headers: Headers) {
        guard let global = headers[Self.globalField] else { return nil }
        self.init(globalID: global, localID: headers[Self.localField].flatMap { Int($0) } ?? 1000)
    }

    /// The first request of a transaction.
    init(connection: UInt32, request: UInt32) {
        globalID = "GTID-C\(connection)-R\(request)"
        localID = 1000
    }

    /// The local identity of the next call.
    func nextCall() -> Int {
        let call = calls.wrappingAdd(1, ordering: .relaxed).newValue
        return (localID / 1000 + 1) * 1000 + (localID % 1000 + call) % 1000
    }
}

extension RequestScope {
    /// The transaction that the request belongs to, made when somebody asks.
    var transaction: Transaction {
        keep { kept in
            let known =
                kept.transaction ?? Transaction(head.headers) ?? Transaction(connection: peer.number, request: number)
            kept.transaction = known
            return known
        }
    }

    /// The trace that the request belongs to, and where back ends go on with it; made when somebody asks.
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
    /// The transaction that the request belongs to: that which the client named (`X-Gtxn-Id` and `X-Ltxn-Id`), or one that begins
    /// here.
    public var transaction: Transaction { scope.transaction }

    /// The trace that the request belongs to (W3C Trace Context): that which the client named, or one that begins here.
    public var trace: TraceContext { scope.trace }

    /// The client for calls to back ends. It lives on the server's loops, so that a call of a handler does not leave the thread, and
    /// tells those who are called by HTTP the transaction and the trace of the request.
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
