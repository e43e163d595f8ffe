// The received parts of a call, as the sequence that grpc-swift iterates over.

import GRPCCore
import SkeinCore

/// The call that the parts belong to.
protocol GRPCPartsOwner: AnyObject, Sendable {
    /// The consumer can take more.
    func caughtUp()
}

/// The single pass over the parts.
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
