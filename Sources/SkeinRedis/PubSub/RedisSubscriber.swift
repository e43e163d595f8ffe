// The connection that receives the messages of all subscriptions of a client.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport

/// The target of a subscription.
enum RedisChannel: Hashable {
    case channel(ByteKey)
    case pattern(ByteKey)

    static func channel(_ name: String) -> RedisChannel { .channel(ByteKey(name)) }
    static func pattern(_ name: String) -> RedisChannel { .pattern(ByteKey(name)) }

    var subscribe: RedisCommand {
        switch self {
        case .channel(let name): RedisCommand("SUBSCRIBE", [name.text])
        case .pattern(let name): RedisCommand("PSUBSCRIBE", [name.text])
        }
    }

    var unsubscribe: RedisCommand {
        switch self {
        case .channel(let name): RedisCommand("UNSUBSCRIBE", [name.text])
        case .pattern(let name): RedisCommand("PUNSUBSCRIBE", [name.text])
        }
    }
}

/// Keeps the connection open while there are subscriptions.
///
/// Unchecked: used on its shard's loop only.
final class RedisSubscriber: @unchecked Sendable {
    private let connector: RedisConnector
    let shard: Shard
    private var connection: RedisConnection?
    private var connecting: EventLoopFuture<RedisConnection>?
    private var subscriptions: [RedisChannel: [RedisSubscription.Listener]] = [:]
    /// Subscriptions that wait for confirmation.
    private var unconfirmed: [RedisChannel: [EventLoopPromise<Void>]] = [:]
    /// Commands that were sent and not answered, oldest first; with the channel of a subscription.
    private var told = Deque<RedisChannel?>()

    init(_ connector: RedisConnector, on shard: Shard) {
        self.connector = connector
        self.shard = shard
    }

    var confirmationTimeout: Duration { connector.configuration.timeout }

    /// Adds a listener; the future succeeds when the server has confirmed it.
    func add(_ listener: RedisSubscription.Listener, to channels: [RedisChannel]) -> EventLoopFuture<Void> {
        ready().flatMap { connection in
            guard !listener.inbox.hasEnded else {  // ended while the connection was being opened
                self.closeIfUnused()
                return self.shard.eventLoop.makeFailedFuture(CancellationError())
            }
            var confirmations: [EventLoopFuture<Void>] = []
            for channel in channels {
                let isFirst = self.subscriptions[channel] == nil
                self.subscriptions[channel, default: []].append(listener)
                if isFirst || self.unconfirmed[channel] != nil {
                    let promise = self.shard.eventLoop.makePromise(of: Void.self)
                    self.unconfirmed[channel, default: []].append(promise)
                    confirmations.append(promise.futureResult)
                }
                if isFirst { self.tell(connection, channel.subscribe, channel) }
            }
            return EventLoopFuture.andAllSucceed(confirmations, on: self.shard.eventLoop)
        }
    }

    func remove(_ listener: RedisSubscription.Listener, from channels: [RedisChannel]) {
        for channel in channels {
            subscriptions[channel]?.removeAll { $0 === listener }
            guard subscriptions[channel]?.isEmpty == true else { continue }
            subscriptions[channel] = nil
            if let connection { tell(connection, channel.unsubscribe, nil) }
        }
        closeIfUnused()
    }

    private func tell(_ connection: RedisConnection, _ command: RedisCommand, _ channel: RedisChannel?) {
        told.append(channel)
        connection.tell(command)
    }

    /// A reply to the oldest command has arrived.
    /// - Parameter refusal: the server's error.
    private func replied(_ refusal: RedisError?) {
        guard let first = told.popFirst(), let channel = first, let refusal else { return }
        let error = SkeinError.status(
            500, peer: connection?.peer, because: "the server refuses the subscription: \(refusal)")
        let promises = unconfirmed.removeValue(forKey: channel) ?? []
        let listeners = subscriptions.removeValue(forKey: channel) ?? []
        for listener in listeners { listener.fail(error) }
        for promise in promises { promise.fail(error) }
        closeIfUnused()
    }

    private func closeIfUnused() {
        guard subscriptions.isEmpty, unconfirmed.isEmpty else { return }
        connection?.close()
        connection = nil
    }

    private func ready() -> EventLoopFuture<RedisConnection> {
        if let connection, !connection.isClosed { return shard.eventLoop.makeSucceededFuture(connection) }
        let future = connecting ?? connector.connect(shard, cache: nil)
        connecting = future
        return future.flatMapThrowing { made in
            self.connecting = nil
            if let connection = self.connection, !connection.isClosed { return connection }
            self.connection = made
            made.isSubscriber = true
            self.told = []
            made.onPush = { [weak self] in self?.hear($0) }
            made.onReply = { [weak self] in self?.replied($0) }
            made.link.channel?.closeFuture.whenComplete { _ in self.lost(made) }
            self.watch(made)
            return made
        }.flatMapErrorThrowing { error in
            self.connecting = nil
            throw error
        }
    }

    /// Checks periodically whether the server is alive, since no message may arrive for a long time.
    private func watch(_ connection: RedisConnection) {
        let asked = shard.now
        tell(connection, RedisCommand("PING"), nil)
        shard.eventLoop.scheduleTask(in: TimeAmount(connector.configuration.pool.checkInterval)) {
            guard !connection.isClosed else { return }
            guard connection.lastProgress >= asked else {
                return connection.close(
                    because: SkeinError(
                        .timeout, peer: connection.peer, because: "the server did not answer a liveness check"))
            }
            self.watch(connection)
        }
    }

    private func hear(_ message: [RedisValue]) {
        guard let kind = message.first?.string else { return }
        if kind == "pong" { return replied(nil) }
        guard message.count >= 3 else { return }
        switch kind {
        case "message": deliver(.channel(message[1].string ?? ""), RedisMessage(message[1], message[2], pattern: nil))
        case "pmessage" where message.count >= 4:
            let pattern = message[1].string ?? ""
            deliver(.pattern(pattern), RedisMessage(message[2], message[3], pattern: pattern))
        case "subscribe":
            replied(nil)
            confirm(.channel(message[1].string ?? ""))
        case "psubscribe":
            replied(nil)
            confirm(.pattern(message[1].string ?? ""))
        case "unsubscribe", "punsubscribe": replied(nil)
        default: break
        }
    }

    private func deliver(_ channel: RedisChannel, _ message: RedisMessage) {
        for listener in subscriptions[channel] ?? [] { listener.push(message) }
    }

    private func confirm(_ channel: RedisChannel) {
        for promise in unconfirmed.removeValue(forKey: channel) ?? [] { promise.succeed() }
        closeIfUnused()  // its subscription may have ended already
    }

    private func lost(_ lost: RedisConnection) {
        guard connection === lost || connection == nil else { return }
        connection = nil
        let error = SkeinError(
            .connectionClosed, peer: lost.peer,
            because: "the connection was lost, with all messages published since then; subscribe again")
        let listeners = subscriptions.values.flatMap { $0 }
        let promises = unconfirmed.values.flatMap { $0 }
        subscriptions = [:]
        unconfirmed = [:]
        told = []
        for listener in listeners { listener.fail(error) }
        for promise in promises { promise.fail(error) }
    }

    /// Ends all subscriptions.
    func close() { shard.run { self.connection?.close() } }
}
