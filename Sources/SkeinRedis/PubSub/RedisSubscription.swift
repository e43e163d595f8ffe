// Published messages as a sequence.

import NIOCore
import SkeinCore

/// A published message.
public struct RedisMessage: Hashable, Sendable {
    /// The channel.
    public let channel: String
    /// The payload.
    public let payload: RedisValue
    /// The pattern that matches the channel, for a pattern subscription.
    public let pattern: String?

    init(_ channel: RedisValue, _ payload: RedisValue, pattern: String?) {
        self.channel = channel.string ?? ""
        self.payload = payload
        self.pattern = pattern
    }
}

/// The messages of a subscription, until it is released or `stop()` is called.
public final class RedisSubscription: AsyncSequence, Sendable {
    public typealias Element = RedisMessage

    /// Receives messages on the loop.
    final class Listener: Sendable {
        let inbox: Inbox<RedisMessage>

        init(limit: Int) { inbox = Inbox(maximum: limit) }

        func push(_ message: RedisMessage) {
            guard !inbox.push(message, size: 1) else { return }
            // The connection is shared: a slow subscriber must not stop the others.
            fail(
                SkeinError(
                    .contentTooLarge,
                    because: "the subscriber reads too slowly, and messages would be lost; read them faster"))
        }

        func fail(_ error: SkeinError) { inbox.finish(.failed(error)) }
    }

    private let subscriber: RedisSubscriber
    private let channels: [RedisChannel]
    private let listener: Listener

    fileprivate init(_ subscriber: RedisSubscriber, _ channels: [RedisChannel], limit: Int) {
        self.subscriber = subscriber
        self.channels = channels
        listener = Listener(limit: limit)
    }

    deinit { end() }

    fileprivate func begin() async throws {
        let promise = subscriber.shard.eventLoop.makePromise(of: Void.self)
        subscriber.shard.run { [subscriber, listener, channels] in
            subscriber.add(listener, to: channels).cascade(to: promise)
        }
        let limit = Deadline.after(subscriber.confirmationTimeout)
        let timer = subscriber.shard.eventLoop.scheduleTask(
            deadline: Swift.min(limit, Deadline.current ?? limit).moment
        ) {
            promise.fail(SkeinError(.timeout, because: "the server did not confirm the subscription in time"))
        }
        defer { timer.cancel() }
        try await withTaskCancellationHandler {
            try await promise.futureResult.get()
        } onCancel: {
            promise.fail(CancellationError())
        }
    }

    /// Ends the subscription.
    public func stop() { end() }

    private func end() {
        listener.inbox.finish(.finished)
        subscriber.shard.run { [subscriber, listener, channels] in subscriber.remove(listener, from: channels) }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }

    /// Iterates over the messages.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let subscription: RedisSubscription

        /// The next message; nil after the end.
        /// - Throws: code 710 when the connection is lost, 719 when the consumer is too slow.
        public mutating func next() async throws -> RedisMessage? { try await subscription.listener.inbox.next() }
    }
}

extension RedisClient {
    /// Subscribes to channels: `for try await message in try await redis.subscribe("news")`.
    /// - Parameters:
    ///   - channels: the channels.
    ///   - limit: messages that may be queued; above it, the subscription ends with code 719. Default: 10 000.
    /// - Returns: the messages after the server's confirmation.
    /// - Throws: the failure to subscribe.
    public func subscribe(_ channels: String..., limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe(channels, limit: limit)
    }

    /// Subscribes to channels.
    public func subscribe(_ channels: [String], limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe(channels.map { .channel($0) }, limit)
    }

    /// Subscribes to channels whose names match patterns: `news.*`.
    public func psubscribe(_ patterns: String..., limit: Int = 10_000) async throws -> RedisSubscription {
        try await psubscribe(patterns, limit: limit)
    }

    /// Subscribes to channels whose names match patterns.
    public func psubscribe(_ patterns: [String], limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe(patterns.map { .pattern($0) }, limit)
    }

    /// Subscribes to key events: the message's payload is the event, and the last part of its channel is the key.
    ///
    /// The server sends them only when enabled: `redis.configSet("notify-keyspace-events", "KA")`.
    /// - Parameter pattern: the keys. Default: all.
    public func keyspaceEvents(_ pattern: String = "*", limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe([.pattern("__keyspace@\(configuration.database)__:\(pattern)")], limit)
    }

    private func subscribe(_ channels: [RedisChannel], _ limit: Int) async throws -> RedisSubscription {
        let subscription = RedisSubscription(subscriber, channels, limit: limit)
        try await subscription.begin()
        return subscription
    }
}
