// Messages between the loop that receives them and the task that takes them.

import DequeModule
import SkeinCore
import SkeinWire
import Synchronization

/// What has arrived and not been taken, bounded by the link's back-pressure.
final class WebSocketInbox: Sendable {
    enum End {
        case finished
        case failed(SkeinError)
    }

    enum Step {
        case message(WebSocketMessage, isCaughtUp: Bool)
        case end(End)
        case wait
        case misuse
    }

    private struct State {
        var messages = Deque<WebSocketMessage>()
        var bytes = 0
        var waiter: UnsafeContinuation<WebSocketMessage?, any Error>?
        var end: End?
        var isPaused = false
        var closing: WebSocketClosing?
    }

    /// What a message costs beside its bytes.
    private static let overhead = 64

    private let maximum: Int
    private let state = Mutex(State())

    init(maximum: Int) { self.maximum = max(1, maximum) }

    var closing: WebSocketClosing? { state.withLock { $0.closing } }

    /// Adds a message. Returns false when no more should come until the consumer has caught up.
    func push(_ message: WebSocketMessage) -> Bool {
        let (waiter, goOn) = state.withLock { state -> (UnsafeContinuation<WebSocketMessage?, any Error>?, Bool) in
            if state.end != nil { return (nil, true) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, true)
            }
            state.messages.append(message)
            state.bytes += message.bytes.readableBytes + Self.overhead
            if state.bytes >= maximum { state.isPaused = true }
            return (nil, !state.isPaused)
        }
        waiter?.resume(returning: message)
        return goOn
    }

    /// Adds the end, behind what has arrived.
    func finish(_ end: End, _ closing: WebSocketClosing) {
        let waiter = state.withLock { state -> UnsafeContinuation<WebSocketMessage?, any Error>? in
            guard state.end == nil else { return nil }
            state.end = end
            state.closing = closing
            defer { state.waiter = nil }
            return state.waiter
        }
        guard let waiter else { return }
        switch end {
        case .finished: waiter.resume(returning: nil)
        case .failed(let error): waiter.resume(throwing: error)
        }
    }

    /// Lets the one who waits go, without a message.
    func cancelWaiter() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: CancellationError())
    }

    /// Takes a message or the end; when there is neither, keeps the one who waits, if any does.
    func take(or waiter: UnsafeContinuation<WebSocketMessage?, any Error>? = nil) -> Step {
        state.withLock { state in
            if let message = state.messages.popFirst() {
                state.bytes -= message.bytes.readableBytes + Self.overhead
                guard state.isPaused, state.bytes <= maximum / 2 else { return .message(message, isCaughtUp: false) }
                state.isPaused = false
                return .message(message, isCaughtUp: true)
            }
            if let end = state.end { return .end(end) }
            if state.waiter != nil { return .misuse }
            state.waiter = waiter
            return .wait
        }
    }
}
