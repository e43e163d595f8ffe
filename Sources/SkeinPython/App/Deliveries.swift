// Answers on their way from Python to the loops of connections. A loop is woken once for several: waking it for each would be a change of
// threads for each request.

import SkeinCore
import SkeinEngine
import Synchronization

/// An answer for a request that waits.
struct Delivery: Sendable {
    let shard: Shard
    let continuation: UnsafeContinuation<ServerResponse, any Error>
    let result: Result<ServerResponse, any Error>
}

/// Answers that have not left yet.
final class Deliveries: Sendable {
    private let waiting = Mutex<[Delivery]>([])

    /// Adds an answer.
    /// - Returns: how many wait now.
    func add(_ delivery: Delivery) -> Int {
        waiting.withLock { waiting in
            waiting.append(delivery)
            return waiting.count
        }
    }

    /// Sends all of them to their loops.
    func flush() {
        var rest = waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        while let shard = rest.first?.shard {
            let own = rest.filter { $0.shard === shard }
            rest = rest.count == own.count ? [] : rest.filter { $0.shard !== shard }
            shard.eventLoop.execute { for delivery in own { delivery.continuation.resume(with: delivery.result) } }
        }
    }
}
