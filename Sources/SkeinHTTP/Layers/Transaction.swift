// Transaction identities: one for all that a client's request sets off anywhere, and one for each call within it.

import SkeinWire
import Synchronization

/// A request as part of a transaction (the ancestor's `GTID-C4676-R67` with 1000, 2001, 3002 …).
///
/// The global identity stays the same from hop to hop. The first digit of the local one is the depth of the call, the others count:
/// the request 1000 makes the calls 2001, 2002 …, and the request 2001 makes 3002, 3003 ….
public final class Transaction: Sendable {
    /// The transaction that a task works for.
    public static var current: Transaction? { carrier?.transaction }
    @TaskLocal package static var carrier: (any TransactionCarrier)?

    /// The fields by which identities travel.
    package static let globalField = "X-Gtxn-Id"
    package static let localField = "X-Ltxn-Id"

    /// The identity that all requests of the transaction have.
    public let globalID: String
    /// The identity of this request among them.
    public let localID: Int
    private let calls = Atomic<Int>(0)

    /// - Parameters:
    ///   - globalID: letters, digits, `-`, `_`, `.` and `:`, 64 at most; nil from anything else.
    ///   - localID: four digits or more. Default: 1000, the first request of all.
    public init?(globalID: String, localID: Int = 1000) {
        let isSound = globalID.utf8.allSatisfy { Percent.isUnreserved($0) || $0 == Bytes.colon }
        guard !globalID.isEmpty, globalID.utf8.count <= 64, isSound, (1000..<1_000_000).contains(localID) else {
            return nil
        }
        self.globalID = globalID
        self.localID = localID
    }

    /// A transaction without a name of its own.
    package init() {
        globalID = "GTID-0"
        localID = 1000
    }

    /// The local identity of the next call.
    func nextCall() -> Int {
        let call = calls.wrappingAdd(1, ordering: .relaxed).newValue
        return (localID / 1000 + 1) * 1000 + (localID % 1000 + call) % 1000
    }
}

/// What belongs to a transaction, and knows it when it is asked.
package protocol TransactionCarrier: AnyObject, Sendable {
    var transaction: Transaction { get }
}

/// Tells the server which transaction a request belongs to: that of the task, if there is one.
public struct TransactionLayer: HTTPLayer {
    /// The layer.
    public init() {}

    /// Adds the fields `X-Gtxn-Id` and `X-Ltxn-Id`.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        guard let transaction = Transaction.current, !request.headers.contains(Transaction.globalField) else {
            return await next.send(request)
        }
        var request = request
        request.headers.add(Transaction.globalField, transaction.globalID)
        request.headers.add(Transaction.localField, String(transaction.nextCall()))
        return await next.send(request)
    }
}
