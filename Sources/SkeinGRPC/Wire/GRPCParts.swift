// The parts of a call that have arrived, as the sequence that grpc-swift walks over.

import GRPCCore
import SkeinCore

/// Whose parts they are.
protocol GRPCPartsOwner: AnyObject, Sendable {
    /// Room has been made: more may come.
    func caughtUp()
}

/// One pass over what arrives.
struct GRPCParts<Part: Sendable, Call: GRPCPartsOwner>: AsyncSequence, Sendable {
    typealias Element = Part
    typealias Failure = any Error

    let inbox: Inbox<Part>
    let call: Call

    struct AsyncIterator: AsyncIteratorProtocol {
        let inbox: Inbox<Part>
        let call: Call

        mutating func next() async throws -> Part? { try await next(isolation: nil) }

        mutating func next(isolation actor: isolated (any Actor)?) async throws(any Error) -> Part? {
            while true {
                switch inbox.take() {
                case .element(let part, let isCaughtUp):
                    if isCaughtUp { call.caughtUp() }
                    return part
                case .end(.finished): return nil
                case .end(.failed(let error)): throw error
                case .wait: if let part = try await inbox.wait() { return part }
                }
            }
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(inbox: inbox, call: call) }
}
