// A consumer of a queue: it receives messages, extends their visibility during processing, and deletes completed ones.

import Logging
import SkeinCore
import Synchronization

extension SQSQueue {
    /// Handles messages until the task is cancelled: a message is deleted when the handler returns, and redelivered
    /// when it throws.
    ///
    /// During processing, a message's visibility is extended, so that no other consumer receives it. When the task is
    /// cancelled, no more messages are received, and those in progress are completed.
    /// - Parameters:
    ///   - concurrency: messages processed concurrently. Default: 10.
    ///   - visibility: the visibility timeout, at least 2 s, which is extended as needed. Default: 30 s.
    ///   - failed: called with an error of the handler. Default: the message is made visible at once, and the error is
    ///     logged.
    ///   - handler: processes one message.
    /// - Throws: when the queue fails permanently; transient failures are retried.
    public func consume(
        concurrency: Int = 10, visibility: Duration = .seconds(30),
        failed: (@Sendable (SQSMessage, any Error) async -> Void)? = nil,
        _ handler: @escaping @Sendable (SQSMessage) async throws -> Void
    ) async throws {
        let worker = SQSWorker(queue: self, visibility: max(.seconds(2), visibility), failed: failed, handler: handler)
        let limit = max(1, concurrency)
        try await withThrowingTaskGroup(of: Void.self) { group in
            var underWay = 0
            let backoff = Backoff(first: firstPause, longest: service.configuration.longestWait)
            var failures = 0
            while !Task.isCancelled {
                // Each completed message makes room at once.
                while underWay > worker.busy || underWay >= limit {
                    try await group.next()
                    underWay -= 1
                }
                let found: [SQSMessage]
                do {
                    found = try await messages(maximum: min(10, limit - underWay), visibility: worker.visibility)
                } catch {
                    if Task.isCancelled { break }
                    guard Self.passes(error) else { throw error }
                    failures += 1
                    if (try? await backoff.wait(after: failures)) == false { throw error }
                    continue
                }
                failures = 0
                for message in found {
                    // Detached: cancelling the consumer does not cancel work that has begun.
                    worker.begin()
                    group.addTask { await Task.detached { await worker.work(on: message) }.value }
                    underWay += 1
                }
            }
            try await group.waitForAll()
        }
    }
}

extension SQSQueue {
    fileprivate var firstPause: Duration { max(service.configuration.firstWait, .milliseconds(500)) }

    /// Whether the failure is transient.
    fileprivate static func passes(_ error: any Error) -> Bool {
        if let refusal = (error as? SkeinError)?.cause as? AWSError { return refusal.isTransient }
        return isTemporaryNetworkError(error)
    }
}

/// Processes messages.
private final class SQSWorker: Sendable {
    private let queue: SQSQueue
    let visibility: Duration
    private let failed: (@Sendable (SQSMessage, any Error) async -> Void)?
    private let handler: @Sendable (SQSMessage) async throws -> Void
    private let count = Atomic<Int>(0)

    init(
        queue: SQSQueue, visibility: Duration, failed: (@Sendable (SQSMessage, any Error) async -> Void)?,
        handler: @escaping @Sendable (SQSMessage) async throws -> Void
    ) {
        self.queue = queue
        self.visibility = visibility
        self.failed = failed
        self.handler = handler
    }

    /// Messages in progress.
    var busy: Int { count.load(ordering: .relaxed) }

    /// A message is about to be processed.
    func begin() { count.wrappingAdd(1, ordering: .relaxed) }

    func work(on message: SQSMessage) async {
        defer { count.wrappingSubtract(1, ordering: .relaxed) }
        let extender = Task { [queue, visibility] in
            while true {
                try await Task.sleep(for: visibility / 2)
                await queue.changeVisibility(message, to: visibility).dispatch()
            }
        }
        do {
            try await handler(message)
            extender.cancel()
            let response = await queue.delete(message).dispatch()
            if response.failure != nil || response.error != nil {
                response.logger.warning(
                    "message \(message.id) was handled but could not be deleted, and will be delivered again: \(response.reason)"
                )
            }
        } catch {
            extender.cancel()
            if let failed { return await failed(message, error) }
            let response = await queue.changeVisibility(message, to: .zero).dispatch()
            response.logger.warning("message \(message.id) was not handled, and will be delivered again: \(error)")
        }
    }
}
