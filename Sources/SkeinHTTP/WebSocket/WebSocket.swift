// A WebSocket as a program uses it: messages come as an asynchronous sequence or to a handler object, and are sent from anywhere.

import NIOCore
import SkeinCore
import SkeinWire
import Synchronization

/// Hears of one socket, or of many. Its methods are called on the socket's loop and must not block; they answer by
/// ``WebSocket/trySend(_:)`` or start a task.
public protocol WebSocketHandler: Sendable {
    /// The socket is open; once more after each time it was connected again.
    func onOpen(_ socket: WebSocket)
    /// A message has come.
    func onMessage(_ message: WebSocketMessage, _ socket: WebSocket)
    /// The socket has ended and does not come back.
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
/// Walk over it for the peer's messages: `for try await message in socket`. The walk ends when the peer closes in order, and throws
/// when the connection is lost or the peer breaks the protocol. While nobody takes messages, the peer has to wait. Pings are
/// answered by themselves. A socket stays open until somebody closes it; dropping it does not.
///
/// Unchecked: what is not constant is touched on the shard's loop only, or has a lock.
public final class WebSocket: AsyncSequence, @unchecked Sendable {
    public typealias Element = WebSocketMessage

    /// What a message costs in memory beside its bytes.
    private static let overhead = 64

    /// What became of a message.
    private enum Sent {
        case done
        /// It is on its way, but the next one has to wait.
        case full
        /// The connection is being made again, or a message in fragments has to end first.
        case later
    }

    /// The shard on whose loop the socket lives; tasks that prefer its executor use it without leaving the thread.
    public let shard: Shard
    private let inbox: Inbox<WebSocketMessage>
    private let ending = Mutex<WebSocketClosing?>(nil)
    private let handler: (any WebSocketHandler)?
    /// Makes the connection again; nil for a server's socket.
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

    /// How the socket ended; nil while it has not.
    public var closing: WebSocketClosing? { ending.withLock { $0 } }

    /// The subprotocol that was agreed on, if any.
    public var subprotocol: String? { get async { (try? await onLoop { $0.agreed }) ?? nil } }

    // MARK: Messages

    /// Walks over the messages.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let socket: WebSocket

        /// The next message; nil when the socket was closed in order, by either side.
        /// - Throws: `SkeinError` 710 when the connection was lost or closed with an error's code, 707, 709 or 719 when the peer
        ///   broke the protocol or a limit; `CancellationError`.
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

    /// Starts or goes on with the walk; messages are not lost between two walks. One task at a time.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(socket: self) }

    /// Waits for one message.
    /// - Returns: nil when the socket was closed in order.
    /// - Throws: as the walk does.
    public func receive() async throws -> WebSocketMessage? {
        var iterator = makeAsyncIterator()
        return try await iterator.next()
    }

    /// Sends a message, and waits while the peer does not take what was sent before.
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

    /// Sends one message in fragments as its pieces are made, no faster than the peer takes them. Other messages of this socket
    /// have to wait for its end.
    /// - Throws: what the pieces throw, and the socket is closed then, since half a message is none; else as for whole messages.
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

    /// Sends a message without waiting, from anywhere.
    /// - Returns: false when it was not sent, since the socket is closed or the peer is too slow (`maximumUnsent`). Off the
    ///   shard's loop that is not known yet, and the answer is true.
    @discardableResult
    public func trySend(_ message: WebSocketMessage) -> Bool {
        guard shard.isCurrent else {
            shard.eventLoop.execute { self.trySend(message) }
            return true
        }
        return link?.trySend(message) ?? false
    }

    /// Asks the peer by a Ping whether it is there.
    /// - Returns: the time until its Pong.
    /// - Throws: `SkeinError` 702 when it does not answer in `pingTimeout`, 710 when the socket is closed.
    @discardableResult
    public func ping() async throws -> Duration {
        try await withUnsafeThrowingContinuation { continuation in
            shard.run {
                guard let link = self.link else { return continuation.resume(throwing: WebSocketLink.closed) }
                link.ping { continuation.resume(with: $0.mapError { $0 }) }
            }
        }
    }

    /// Closes the socket, and waits until the peer has closed it too or `closeTimeout` is over.
    /// - Parameters:
    ///   - code: why; one that must not be sent is left out. Default: 1000.
    ///   - reason: for people, up to 123 bytes of UTF-8. Default: none.
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

    /// Sends something by the link, if there is one and no other message is under way on it.
    private func submit(
        isBeginning: Bool = true, _ send: (WebSocketLink) throws(SkeinError) -> Bool?
    ) throws(SkeinError) -> Sent {
        guard let link else {
            // Half of a message on the old connection is none on the new one.
            if reopening != nil, isBeginning { return .later }
            throw WebSocketLink.closed
        }
        if isBeginning, link.isInMessage { return .later }
        guard let hasRoom = try send(link) else { throw WebSocketLink.closed }
        if !isBeginning, !link.isInMessage { wake(nil) }
        return hasRoom ? .done : .full
    }

    /// Waits until the link is as wanted, or there is one again.
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
                    self.cancelled.insert(number)  // it comes before the one whom it cancels, or after its end
                }
            }
        }
        try await onLoop { _ = $0.cancelled.remove(number) }
    }

    private func keep(
        _ continuation: UnsafeContinuation<Void, any Error>, _ number: Int, _ isReady: (WebSocketLink) -> Bool
    ) {
        if cancelled.remove(number) != nil { return continuation.resume(throwing: CancellationError()) }
        // What is waited for may have happened since it was missing.
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

    /// A link has begun to speak.
    func opened(_ link: WebSocketLink) {
        self.link = link
        agreed = link.agreement.subprotocol
        reopening = nil
        if isClosedHere { return link.close(WebSocketClosing(.normal)) }
        handler?.onOpen(self)
        wake(nil)
    }

    /// Takes a message off the link. Returns false when no more should come for now.
    func deliver(_ message: WebSocketMessage) -> Bool {
        guard let handler else { return inbox.push(message, size: message.bytes.readableBytes + Self.overhead) }
        handler.onMessage(message, self)
        return true
    }

    /// Room has been made.
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
