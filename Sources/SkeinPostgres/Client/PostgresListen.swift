// LISTEN and NOTIFY: notifications between sessions.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

extension PostgresClient {
    /// Receives notifications, on a separate connection: `for try await notification in try await db.listen("jobs")`.
    /// - Parameter channels: the channels.
    /// - Returns: the notifications from now on. The sequence throws when the connection is lost, since notifications
    ///   may be lost, too.
    /// - Throws: code 702 when no connection was free, the server's error.
    public func listen(_ channels: String...) async throws -> PostgresNotifications {
        let lease = try await grant()
        let notifications = PostgresNotifications(lease)
        do {
            for channel in channels { try await lease.execute("LISTEN \(identifier: channel)").commit() }
        } catch {
            await lease.end()
            throw error
        }
        return notifications
    }

    /// Sends a notification to all listeners of a channel.
    @discardableResult
    public func notify(_ channel: String, _ payload: String = "") -> Corequest<SQLResponse> {
        execute("SELECT pg_notify(\(channel), \(payload))")
    }
}

/// Notifications. It can be iterated over once, until it is released or `stop()` is called.
public final class PostgresNotifications: AsyncSequence, Sendable {
    public typealias Element = PostgresNotification

    private let lease: PostgresLease
    private let inbox = Inbox<PostgresNotification>(maximum: 10_000)

    fileprivate init(_ lease: PostgresLease) {
        self.lease = lease
        let inbox = inbox
        let connection = lease.connection
        connection.shard.run {
            connection.onNotification = { [weak connection] notification in
                if !inbox.push(notification, size: 1) { connection?.link.pauseReading(true) }
            }
            connection.link.channel?.closeFuture.whenComplete { _ in
                inbox.finish(
                    .failed(
                        SkeinError(
                            .connectionClosed, peer: connection.peer,
                            because: "the connection was lost, with all notifications since then; listen again")))
            }
        }
    }

    deinit { inbox.finish(.finished) }

    /// Stops listening, and returns the connection.
    public func stop() async {
        inbox.finish(.finished)
        await lease.end()
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(notifications: self) }

    /// Iterates over the notifications.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let notifications: PostgresNotifications

        /// The next notification.
        /// - Throws: code 710 when the connection is lost.
        public mutating func next() async throws -> PostgresNotification? {
            let connection = notifications.lease.connection
            return try await notifications.inbox.next { connection.shard.run { connection.link.pauseReading(false) } }
        }
    }
}
