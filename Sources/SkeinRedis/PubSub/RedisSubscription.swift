// What is published, as a sequence.

import NIOCore
import SkeinCore

/// A message that was published.
public struct RedisMessage: Hashable, Sendable {
    /// Where it was published.
    public let channel: String
    /// What was published.
    public let payload: RedisValue
    /// The pattern that the channel's name fits, of a subscription to patterns.
    public let pattern: String?

    init(_ channel: RedisValue, _ payload: RedisValue, pattern: String?) {
        self.channel = channel.string ?? ""
        self.payload = payload
        self.pattern = pattern
    }
}

/// Messages from a subscription on, until it is let go of or `stop()` is called.
public final class RedisSubscription: AsyncSequence, Sendable {
    public typealias Element = RedisMessage

    /// Takes messages on the loop.
    final class Listener: Sendable {
        let inbox: Inbox<RedisMessage>

        init(limit: Int) { inbox = Inbox(maximum: limit) }

        func push(_ message: RedisMessage) {
            guard !inbox.push(message, size: 1) else { return }
            // The connection is everybody's: one who does not listen must not stop the others.
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

    /// Hears nothing more.
    public func stop() { end() }

    private func end() {
        listener.inbox.finish(.finished)
        subscriber.shard.run { [subscriber, listener, channels] in subscriber.remove(listener, from: channels) }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }

    /// A walk over the messages.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let subscription: RedisSubscription

        /// The next message; nil behind the end.
        /// - Throws: code 710 when the connection is lost, 719 when this side fell behind.
        public mutating func next() async throws -> RedisMessage? { try await subscription.listener.inbox.next() }
    }
}

extension RedisClient {
    /// Hears what is published to channels: `for try await message in try await redis.subscribe("news")`.
    /// - Parameters:
    ///   - channels: their names.
    ///   - limit: messages that may wait to be taken; with more, the subscription ends with code 719. Default: 10 000.
    /// - Returns: the messages from the server's confirmation on.
    /// - Throws: what prevented the subscription.
    public func subscribe(_ channels: String..., limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe(channels, limit: limit)
    }

    /// Hears what is published to channels.
    public func subscribe(_ channels: [String], limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe(channels.map { .channel($0) }, limit)
    }

    /// Hears what is published to channels whose names fit patterns: `news.*`.
    public func psubscribe(_ patterns: String..., limit: Int = 10_000) async throws -> RedisSubscription {
        try await psubscribe(patterns, limit: limit)
    }

    /// Hears what is published to channels whose names fit patterns.
    public func psubscribe(_ patterns: [String], limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe(patterns.map { .pattern($0) }, limit)
    }

    /// Hears what happens to keys: the message's payload is the event, and the last part of its channel the key.
    ///
    /// The server tells of it only when it was told to: `redis.configSet("notify-keyspace-events", "KA")`.
    /// - Parameter pattern: what keys are heard of. Default: all.
    public func keyspaceEvents(_ pattern: String = "*", limit: Int = 10_000) async throws -> RedisSubscription {
        try await subscribe([.pattern("__keyspace@\(configuration.database)__:\(pattern)")], limit)
    }

    private func subscribe(_ channels: [RedisChannel], _ limit: Int) async throws -> RedisSubscription {
        let subscription = RedisSubscription(subscriber, channels, limit: limit)
        try await subscription.begin()
        return subscription
    }
}
