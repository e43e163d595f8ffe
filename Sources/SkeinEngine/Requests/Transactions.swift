// A request as part of a transaction and of a trace: what it brought, or what begins with it.

import SkeinHTTP

extension RequestScope: TransactionCarrier {
    /// The transaction that the request belongs to; made when somebody asks.
    package var transaction: Transaction {
        keep { kept in
            if let transaction = kept.transaction { return transaction }
            let made = Transaction(globalID: ownGlobalID) ?? Transaction()
            kept.transaction = made
            return made
        }
    }

    /// The identities as the log has them, without a transaction being made for it.
    var transactionIDs: (global: String, local: Int) {
        peek(\.transaction).map { ($0.globalID, $0.localID) } ?? (ownGlobalID, 1000)
    }

    private var ownGlobalID: String { "GTID-C\(connection)-R\(number)" }

    /// Takes what a request brought.
    func adopt(_ headers: Headers) {
        guard let global = headers.bytes("x-gtxn-id") else { return }
        let local = headers.bytes("x-ltxn-id").flatMap { Int(String(buffer: $0)) } ?? 1000
        guard let transaction = Transaction(globalID: String(buffer: global), localID: local) else { return }
        keep { $0.transaction = transaction }
    }
}

extension ServerRequest {
    /// The transaction that the request belongs to: that which the client named (`X-Gtxn-Id` and `X-Ltxn-Id`), or one that begins here.
    public var transaction: Transaction { scope.transaction }

    /// The trace that the request belongs to (W3C Trace Context); nil when the client named none.
    public var trace: TraceContext? {
        headers["traceparent"].flatMap { TraceContext(traceparent: $0, state: headers["tracestate"]) }
    }

    /// The client for calls to back ends. It lives on the server's loops, so that a call of a handler does not leave the thread, and
    /// tells back ends the transaction and the trace of the request.
    public var skein: Skein { scope.owner.skein }
}
