// The WebSocket API: messages are received by iteration or by a handler object, and sent from any thread.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// Receives the events of one socket, or of many. Its methods are called on the socket's loop and must not block; they
/// reply by ``WebSocket/trySend(_:)`` or start a task.
public protocol WebSocketHandler: Sendable {
    /// The socket is open; called again after each reconnect.
    func onOpen(_ socket: WebSocket)
    /// A message has arrived.
    func onMessage(_ message: WebSocketMessage, _ socket: WebSocket)
    /// The socket has ended for good.
    func onClose(_ closing: WebSocketClosing, _ socket: WebSocket)
}

extension WebSocketHandler {
    /// Does nothing.
    public func onOpen(_ socket: WebSocket) {}
    /// Does nothing.
    public func onClose(_ closing: WebSocketClosing, _ socket: WebSocket) {}
}

/// An open WebSocket (RFC 6455), of a client or of a server.
///
/// Iterate over it for the peer's messages: `for try await message in socket`. The iteration ends when the socket is
/// closed
/// normally, and throws when the connection is lost or the peer violates the protocol. While no message is taken,
/// reading stops.
/// Pings are answered automatically. A socket stays open until it is closed; dropping it does not close it.
///
/// Unchecked: variables are used on the shard's loop only, or have a lock.
public final class WebSocket: AsyncSequence, @unchecked Sendable {
    public typealias Element = WebSocketMessage

    /// The memory of a message beside its bytes.
    private static let overhead = 64

    /// The result of sending a message.
    private enum Sent {
        case done
        /// It is being sent, but the next one must wait.
        case full
        /// The connection is being reopened, or a fragmented message must end first.
        case later
    }

    /// The shard on whose loop the socket runs; tasks that prefer its executor use it without leaving the thread.
    public let shard: Shard
    private let inbox: Inbox<WebSocketMessage>
    private let ending = Mutex<WebSocketClosing?>(nil)
    private let handler: (any WebSocketHandler)?
    /// Reopens the connection; nil for a server's socket.
    private let reopen: (@Sendable (WebSocket) async throws(SkeinError) -> Void)?
    private let reconnects: Bool
    @exclusivity(unchecked) private var link: WebSocketLink?
    private var agreed: String?
    private var isClosedHere = false
    private var reopening: Task<Void, Never>?
    private var waiters: [(number: Int, resume: @Sendable ((any Error)?) -> Void)] = []
    private var waiterNumber = 0
    private var cancelled: Set<Int> = []

    package init(
        _ configuration: WebSocketConfiguration, shard: Shard, handler: (any WebSocketHandler)? = nil,
        reopen: (@Sendable (WebSocket) async throws(SkeinError) -> Void)? = nil
    ) {
        reconnects = configuration.reconnect != nil
        self.shard = shard
        self.handler = handler
        self.reopen = reopen
        inbox = Inbox(maximum: configuration.maximumWaiting)
    }

    /// How the socket ended; nil while it is open.
    public var closing: WebSocketClosing? { ending.withLock { $0 } }

    /// The negotiated subprotocol, if any.
    public var subprotocol: String? { get async { (try? await onLoop { $0.agreed }) ?? nil } }

    // MARK: Messages

    /// Iterates over the messages.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let socket: WebSocket

        /// The next message; nil when the socket was closed normally, by either side.
        /// - Throws: `SkeinError` 710 when the connection was lost or closed with an error code, 707, 709 or 719 when
        ///   the peer violated the protocol or a limit; `CancellationError`.
        public mutating func next() async throws -> WebSocketMessage? {
            while true {
                switch socket.inbox.take() {
                case .element(let message, let isCaughtUp):
                    if isCaughtUp { socket.caughtUp() }
                    return message
                case .end(.finished): return nil
                case .end(.failed(let error)): throw error
                case .wait: if let message = try await socket.inbox.wait() { return message }
                }
            }
        }
    }

    /// Starts or continues the iteration; no messages are lost in between. One task at a time.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(socket: self) }

    /// Waits for one message.
    /// - Returns: nil when the socket was closed normally.
    /// - Throws: the errors of the iteration.
    public func receive() async throws -> WebSocketMessage? {
        var iterator = makeAsyncIterator()
        return try await iterator.next()
    }

    /// Sends a message; waits while the peer has not read the earlier ones.
    /// - Throws: `SkeinError` 710 when the socket is closed; `CancellationError`.
    public func send(_ message: WebSocketMessage) async throws {
        while true {
            let sent: Sent
            if shard.isCurrent {
                sent = try submit { link throws(SkeinError) in try link.send(message) }
            } else {
                sent = try await onLoop { socket throws(SkeinError) in
                    try socket.submit { link throws(SkeinError) in try link.send(message) }
                }
            }
            switch sent {
            case .done: return
            case .full: return try await untilReady { $0.hasRoom }
            case .later: try await untilReady { !$0.isInMessage }
            }
        }
    }

    /// Sends a text.
    /// - Throws: as ``send(_:)-(WebSocketMessage)``.
    public func send(_ text: String) async throws { try await send(.text(text)) }

    /// Sends one message in fragments as its pieces are made, no faster than the peer reads them. Other messages of
    /// this socket wait for its end.
    /// - Throws: the error of the pieces, after which the socket is closed, since the message is incomplete; else as
    ///   for whole messages.
    public func send<Pieces: AsyncSequence>(
        _ kind: WebSocketMessage.Kind, fragments pieces: Pieces
    ) async throws where Pieces.Element == ByteBuffer {
        var isFirst = true
        do {
            for try await piece in pieces {
                let first = isFirst
                isFirst = false
                try await sendFragment(piece, kind, isFirst: first, isLast: false)
            }
        } catch {
            await close(.internalError, "a message could not be completed")
            throw error
        }
        try await sendFragment(ByteBuffer(), kind, isFirst: isFirst, isLast: true)
    }

    private func sendFragment(
        _ piece: ByteBuffer, _ kind: WebSocketMessage.Kind, isFirst: Bool, isLast: Bool
    ) async throws {
        while true {
            let sent = try await onLoop { socket throws(SkeinError) in
                try socket.submit(isBeginning: isFirst) { link throws(SkeinError) in
                    link.send(piece, kind, isFirst: isFirst, isLast: isLast)
                }
            }
            switch sent {
            case .done: return
            case .full: return try await untilReady { $0.hasRoom }
            case .later: try await untilReady { !$0.isInMessage }
            }
        }
    }

    /// Sends a message without waiting, from any thread.
    /// - Returns: false when it was not sent, since the socket is closed or the peer is too slow (`maximumUnsent`).
    ///   Outside the shard's loop that is not known yet, and the result is true.
    @discardableResult
    public func trySend(_ message: WebSocketMessage) -> Bool {
        guard shard.isCurrent else {
            shard.eventLoop.execute { self.trySend(message) }
            return true
        }
        return link?.trySend(message) ?? false
    }

    /// Sends a Ping and waits for the Pong.
    /// - Returns: the time until the Pong.
    /// - Throws: `SkeinError` 702 when there is no Pong within `pingTimeout`, 710 when the socket is closed.
    @discardableResult
    public func ping() async throws -> Duration {
        try await withUnsafeThrowingContinuation { continuation in
            shard.run {
                guard let link = self.link else { return continuation.resume(throwing: WebSocketLink.closed) }
                link.ping { continuation.resume(with: $0.mapError { $0 }) }
            }
        }
    }

    /// Closes the socket, and waits for the peer's Close, at most `closeTimeout`.
    /// - Parameters:
    ///   - code: the close code; one that must not be sent is left out. Default: 1000.
    ///   - reason: a text for people, up to 123 bytes of UTF-8. Default: none.
    public func close(_ code: WebSocketCloseCode = .normal, _ reason: String = "") async {
        await withUnsafeContinuation { continuation in
            shard.run {
                if self.link == nil { continuation.resume() } else { self.wait { _ in continuation.resume() } }
                self.beginClose(code, reason)
            }
        }
    }

    /// Closes the socket without waiting for the peer. On the loop.
    func beginClose(_ code: WebSocketCloseCode = .normal, _ reason: String = "") {
        isClosedHere = true
        reopening?.cancel()
        link?.close(WebSocketClosing(code, reason))
    }

    // MARK: On the loop

    private func onLoop<T: Sendable, Failure: Error>(
        _ work: @escaping @Sendable (WebSocket) throws(Failure) -> T
    ) async throws(any Error) -> T {
        if shard.isCurrent { return try work(self) }
        return try await shard.eventLoop.submit { try work(self) }.get()
    }

    /// Sends over the link, if there is one and no other message is being sent.
    private func submit(
        isBeginning: Bool = true, _ send: (WebSocketLink) throws(SkeinError) -> Bool?
    ) throws(SkeinError) -> Sent {
        guard let link else {
            // The rest of a message from the old connection must not be sent on the new one.
            if reopening != nil, isBeginning { return .later }
            throw WebSocketLink.closed
        }
        if isBeginning, link.isInMessage { return .later }
        guard let hasRoom = try send(link) else { throw WebSocketLink.closed }
        if !isBeginning, !link.isInMessage { wake(nil) }
        return hasRoom ? .done : .full
    }

    /// Waits until the link meets a condition, or there is a new link.
    private func untilReady(_ isReady: @escaping @Sendable (WebSocketLink) -> Bool) async throws {
        let number = try await onLoop { socket in
            socket.waiterNumber += 1
            return socket.waiterNumber
        }
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
                shard.run { self.keep(continuation, number, isReady) }
            }
        } onCancel: {
            shard.run {
                if let place = self.waiters.firstIndex(where: { $0.number == number }) {
                    self.waiters.remove(at: place).resume(CancellationError())
                } else {
                    self.cancelled.insert(number)  // it may come before the wait that it cancels, or after its end
                }
            }
        }
        try await onLoop { _ = $0.cancelled.remove(number) }
    }

    private func keep(
        _ continuation: UnsafeContinuation<Void, any Error>, _ number: Int, _ isReady: (WebSocketLink) -> Bool
    ) {
        if cancelled.remove(number) != nil { return continuation.resume(throwing: CancellationError()) }
        // The condition may have become true meanwhile.
        if let link, isReady(link) { return continuation.resume() }
        if link == nil, reopening == nil { return continuation.resume(throwing: WebSocketLink.closed) }
        waiters.append(
            (number, { if let error = $0 { continuation.resume(throwing: error) } else { continuation.resume() } }))
    }

    private func wait(_ resume: @escaping @Sendable ((any Error)?) -> Void) {
        waiters.append((0, resume))
    }

    private func wake(_ error: (any Error)?) {
        let woken = waiters
        waiters = []
        for waiter in woken { waiter.resume(error) }
    }

    /// A link has opened.
    func opened(_ link: WebSocketLink) {
        self.link = link
        agreed = link.agreement.subprotocol
        reopening = nil
        if isClosedHere { return link.close(WebSocketClosing(.normal)) }
        handler?.onOpen(self)
        wake(nil)
    }

    /// Takes a message from the link. Returns false when no more should be delivered for now.
    func deliver(_ message: WebSocketMessage) -> Bool {
        guard let handler else { return inbox.push(message, size: message.bytes.readableBytes + Self.overhead) }
        handler.onMessage(message, self)
        return true
    }

    /// The consumer can take more.
    private func caughtUp() { shard.run { self.link?.resume() } }

    func becameWritable() { if !waiters.isEmpty, !isClosedHere { wake(nil) } }

    /// The link has ended.
    func ended(_ link: WebSocketLink, _ closing: WebSocketClosing, _ error: SkeinError?) {
        guard link === self.link else { return }
        self.link = nil
        let isLost = [.abnormal, .goingAway, .internalError, .serviceRestart, .tryAgainLater].contains(closing.code)
        if let reopen, reconnects, !isClosedHere, isLost {
            reopening = Task(executorPreference: shard.executor) {
                do throws(SkeinError) {
                    try await reopen(self)
                } catch {
                    self.shard.run { self.finish(closing, self.isClosedHere ? nil : error) }
                }
            }
            return
        }
        let failure =
            error
            ?? (closing.code.isOrderly
                ? nil : SkeinError(.connectionClosed, because: "the peer closed the socket: \(closing)"))
        finish(closing, isClosedHere ? nil : failure)
    }

    private func finish(_ closing: WebSocketClosing, _ failure: SkeinError?) {
        reopening = nil
        ending.withLock { $0 = closing }
        inbox.finish(failure.map { .failed($0) } ?? .finished)
        handler?.onClose(closing, self)
        wake(failure ?? WebSocketLink.closed)
    }
}
