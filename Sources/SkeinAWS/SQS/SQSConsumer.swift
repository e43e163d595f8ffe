// A worker on a queue: it takes messages, keeps them while they are worked on, and deletes those that are done.

import Logging
import SkeinCore
import Synchronization

extension SQSQueue {
    /// Handles messages until the task is cancelled: what the handler returns from is deleted; what it throws at comes again.
    ///
    /// While a message is worked on, its visibility is extended, so that nobody else receives it however long it takes. When the task is
    /// cancelled, no more messages are taken, and those that are being worked on are finished.
    /// - Parameters:
    ///   - concurrency: messages that are worked on at one time. Default: 10.
    ///   - visibility: how long a message is kept at a time, at least 2 s. Default: 30 s.
    ///   - failed: called with what a handler has thrown. Default: the message is given back at once, and the error is logged.
    ///   - handler: works on one message.
    /// - Throws: when the queue cannot be asked, for a reason that does not pass; what may pass is waited for.
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
                // Those that are done make room at once, and not only when there is none left.
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
                    // A task of its own kind: the end of the consumer is not the end of work that has begun.
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

    /// Whether the service may answer a while later.
    fileprivate static func passes(_ error: any Error) -> Bool {
        if let refusal = (error as? SkeinError)?.cause as? AWSError { return refusal.isTransient }
        return isTemporaryNetworkError(error)
    }
}

/// Works on messages.
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

    /// Messages that are being worked on.
    var busy: Int { count.load(ordering: .relaxed) }

    /// A message is about to be worked on.
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
