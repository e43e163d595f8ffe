// What arrives on a loop, for one task that takes it, bounded by back-pressure: messages of a socket, parts of a call.

import DequeModule
import Synchronization

/// What has arrived and not been taken.
///
/// Inlinable, so that it is plain code for the elements it is used with.
package final class Inbox<Element: Sendable>: Sendable {
    @usableFromInline package typealias Waiter = UnsafeContinuation<Element?, any Error>

    /// How it ends.
    package enum End: Sendable {
        case finished
        case failed(any Error)
    }

    /// What taking comes to.
    package enum Step {
        case element(Element, isCaughtUp: Bool)
        case end(End)
        /// There is nothing, and the one who waits, if any does, is kept.
        case wait
        /// Somebody waits already.
        case misuse
    }

    @usableFromInline struct State {
        @usableFromInline var elements = Deque<(element: Element, size: Int)>()
        @usableFromInline var size = 0
        @usableFromInline var waiter: Waiter?
        @usableFromInline var end: End?
        @usableFromInline var isPaused = false

        @usableFromInline init() {}
    }

    @usableFromInline let maximum: Int
    @usableFromInline let state: Mutex<State>

    /// - Parameter maximum: the size of all that waits above which no more should come for now.
    @inlinable package init(maximum: Int) {
        self.maximum = max(1, maximum)
        state = Mutex(State())
    }

    /// Adds an element. Returns false when no more should come until the consumer has caught up.
    @inlinable package func push(_ element: Element, size: Int) -> Bool {
        let (waiter, goOn) = state.withLock { state -> (Waiter?, Bool) in
            if state.end != nil { return (nil, true) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, true)
            }
            state.elements.append((element, size))
            state.size += size
            if state.size >= maximum { state.isPaused = true }
            return (nil, !state.isPaused)
        }
        waiter?.resume(returning: element)
        return goOn
    }

    /// Adds the end, behind what has arrived.
    @inlinable package func finish(_ end: End) {
        let waiter = state.withLock { state -> Waiter? in
            guard state.end == nil else { return nil }
            state.end = end
            defer { state.waiter = nil }
            return state.waiter
        }
        guard let waiter else { return }
        switch end {
        case .finished: waiter.resume(returning: nil)
        case .failed(let error): waiter.resume(throwing: error)
        }
    }

    /// Whether nothing more comes; something may still wait to be taken.
    package var hasEnded: Bool { state.withLock { $0.end != nil } }

    /// Lets the one who waits go, without an element.
    @inlinable package func cancelWaiter() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: CancellationError())
    }

    /// Takes an element or the end; when there is neither, keeps the one who waits, if any does.
    @inlinable package func take(or waiter: Waiter? = nil) -> Step {
        state.withLock { state in
            if let (element, size) = state.elements.popFirst() {
                state.size -= size
                guard state.isPaused, state.size <= maximum / 2 else { return .element(element, isCaughtUp: false) }
                state.isPaused = false
                return .element(element, isCaughtUp: true)
            }
            if let end = state.end { return .end(end) }
            if state.waiter != nil { return .misuse }
            state.waiter = waiter
            return .wait
        }
    }

    /// Waits for the next element; nil at the end. A function of its own, so that a task that waits keeps little memory.
    /// - Parameter consumer: told when it has caught up.
    @inlinable package func wait(for consumer: some InboxConsumer) async throws -> Element? {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                switch take(or: continuation) {
                case .element(let element, let isCaughtUp):
                    if isCaughtUp { consumer.caughtUp() }
                    continuation.resume(returning: element)
                case .end(.finished): continuation.resume(returning: nil)
                case .end(.failed(let error)): continuation.resume(throwing: error)
                case .misuse:
                    continuation.resume(
                        throwing: SkeinError(
                            .exception, because: "two tasks wait for the same messages; let one of them read"))
                case .wait: if Task.isCancelled { cancelWaiter() }
                }
            }
        } onCancel: {
            cancelWaiter()
        }
    }
}

/// Whoever takes from an ``Inbox``.
package protocol InboxConsumer: AnyObject, Sendable {
    /// There is room again: more may come.
    func caughtUp()
}
