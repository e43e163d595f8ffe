// LISTEN and NOTIFY: words between sessions.

import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

extension PostgresClient {
    /// Hears what others send by `NOTIFY`, on a connection of its own: `for try await word in try await db.listen("jobs")`.
    /// - Parameter channels: their names.
    /// - Returns: the words from now on. It ends with an error when the connection is lost, since what is sent meanwhile is lost, too.
    /// - Throws: code 702 when no connection was free, what the server says.
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

    /// Sends a word to all who listen to a channel.
    @discardableResult
    public func notify(_ channel: String, _ payload: String = "") -> Corequest<SQLResponse> {
        execute("SELECT pg_notify(\(channel), \(payload))")
    }
}

/// What others send by `NOTIFY`. One walk over it, until it is let go of or `stop()` is called.
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

    /// Hears nothing more, and gives the connection back.
    public func stop() async {
        inbox.finish(.finished)
        await lease.end()
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(notifications: self) }

    /// A walk over the words.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let notifications: PostgresNotifications

        /// The next word.
        /// - Throws: code 710 when the connection is lost.
        public mutating func next() async throws -> PostgresNotification? {
            let connection = notifications.lease.connection
            return try await notifications.inbox.next { connection.shard.run { connection.link.pauseReading(false) } }
        }
    }
}
