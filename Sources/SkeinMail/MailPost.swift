// Sends mail from an app: stores it in a spool, as a corequest, without waiting for a mail server.

import NIOPosix
@_exported import SkeinCore
import SkeinHTTP
import Synchronization

/// The mail of an app: its spool, and the outcomes of its messages.
public final class MailPost: BackEnd {
    private static let threads = 8
    /// Messages that may wait for a thread.
    private static let limit = 1024

    /// The spool.
    public let spool: MailSpool
    /// The default relay of messages; nil for the agent's.
    public let relay: String?
    private let name: String
    private let pool = NIOThreadPool(numberOfThreads: threads)
    private let waiting = Atomic<Int>(0)
    private let watching = Mutex<Task<Void, Never>?>(nil)

    /// - Parameters:
    ///   - spool: the spool; other processes may use the same.
    ///   - relay: the default relay of messages, `smtp://user:password@host:587`. Default: the agent's.
    ///   - name: the name by which outcomes are assigned to the app, of letters, digits and hyphens; workers of one app
    ///     share it. Default: `app`.
    ///   - onDelivered: called when servers have accepted a message for all of its recipients.
    ///   - onBounced: called when a message could not be delivered to some. Both may be called again after a crash.
    public init(
        _ spool: MailSpool, relay: String? = nil, name: String = "app",
        onDelivered: (@Sendable (MailOutcome) async -> Void)? = nil,
        onBounced: (@Sendable (MailOutcome) async -> Void)? = nil
    ) throws(SkeinError) {
        if let relay { _ = try MailRelay(relay) }
        try Self.check(name: name)
        self.spool = spool
        self.relay = relay
        self.name = onDelivered == nil && onBounced == nil ? "" : name
        pool.start()
        guard !self.name.isEmpty else { return }
        let watcher = OutcomeWatcher(folder: "\(spool.folder)/reports/\(name)")
        let task = Task {
            await watcher.run { outcome in
                if outcome.failed.isEmpty { await onDelivered?(outcome) } else { await onBounced?(outcome) }
            }
        }
        watching.withLock { $0 = task }
    }

    /// - Throws: code 701 for a name that could be a path.
    static func check(name: String) throws(SkeinError) {
        let isSound = name.utf8.allSatisfy {
            Bytes.isDigit($0) || Bytes.lowercased($0) &- 0x61 < 26 || $0 == UInt8(ascii: "-")
        }
        guard isSound, (1...64).contains(name.utf8.count) else {
            throw SkeinError(
                .exception, because: "\(name.debugDescription) is not a name; use letters, digits and hyphens")
        }
    }

    deinit {
        watching.withLock { $0 }?.cancel()
        pool.shutdownGracefully { _ in }
    }

    /// Ends the threads, after messages in progress are stored.
    package func shutdown() async {
        let task = watching.withLock { $0 }
        task?.cancel()
        await task?.value
        try? await pool.shutdownGracefully()
    }

    /// Stores a message on a thread.
    func store(_ message: MailMessage, _ options: MailSpool.Options) async throws(SkeinError) -> MailID {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= Self.limit else {
            waiting.subtract(1, ordering: .relaxed)
            throw SkeinError(.overloaded, because: "\(Self.limit) messages are queued for the spool already")
        }
        defer { waiting.subtract(1, ordering: .relaxed) }
        var options = options
        options.relay = options.relay ?? relay
        options.report = options.report ?? (name.isEmpty ? nil : name)
        let settings = options
        do {
            return try await pool.runIfActive { [spool] in try spool.store(message, settings) }
        } catch {
            throw error as? SkeinError
                ?? SkeinError(.shuttingDown, because: "the client is shut down: \(error)", cause: error)
        }
    }
}

extension SkeinClient {
    /// Sets the mail of this client; before the first message.
    public func useMail(_ post: MailPost) { backEnds.set(post, as: "mail") }

    /// Sends a message, as a corequest: it ends when the message is stored in the spool, from which an agent delivers
    /// it.
    ///
    ///     let sent = request.skein.mail(MailMessage(from: "shop@example.org", to: ["ada@example.org"], subject: "Your order", text: "…"))
    ///     let id = try await sent.fetch(MailID.self)
    ///
    /// - Parameters:
    ///   - message: the message; attached files are read now.
    ///   - options: delay, relay and key. Default: at once, by the agent's relay.
    ///   - meta: metadata that the response carries.
    /// - Returns: the corequest, already started, with the ID of the message. It fails with code 701 for an invalid
    ///   message, 703 when the spool is full, and 719 for one that is too large. Storing is completed even if the
    ///   corequest is cancelled.
    @discardableResult
    public func mail(
        _ message: MailMessage, _ options: MailSpool.Options = MailSpool.Options(),
        meta: RequestMetadata = RequestMetadata()
    ) -> Corequest<ValueResponse<MailID>> {
        let logger = session.logger
        let post: Result<MailPost, SkeinError> = Result { () throws(SkeinError) in
            try backEnds.client("mail") { () throws(SkeinError) in
                try MailPost(try MailSpool(MailSpool.standardFolder))
            }
        }
        @Sendable func response(_ result: Result<MailID, SkeinError>) -> ValueResponse<MailID> {
            ValueResponse(result, meta, method: "mail", logger: logger, peer: (try? post.get().spool.folder) ?? "")
        }
        return CorequestTask.start(
            session,
            {
                do throws(SkeinError) {
                    return response(.success(try await post.get().store(message, options)))
                } catch {
                    return response(.failure(error))
                }
            },
            failed: { error, made in made.failure == nil ? made : response(.failure(error)) }, callback: nil)
    }
}
