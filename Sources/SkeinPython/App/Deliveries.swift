// Responses on their way from Python to the event loops of connections. A loop is woken once for several responses:
// waking it for each would cost a thread switch for each request.

import SkeinCore
import SkeinEngine
import Synchronization

/// A response to a waiting request.
struct Delivery: Sendable {
    let shard: Shard
    let continuation: UnsafeContinuation<ServerResponse, any Error>
    let result: Result<ServerResponse, any Error>
}

/// Responses that have not been sent yet.
final class Deliveries: Sendable {
    private let waiting = Mutex<[Delivery]>([])

    /// Adds a response.
    /// - Returns: how many wait now.
    func add(_ delivery: Delivery) -> Int {
        waiting.withLock { waiting in
            waiting.append(delivery)
            return waiting.count
        }
    }

    /// Passes all of them to their loops.
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
