// A queue from a loop to one consuming task, with back-pressure: messages of a socket, parts of a call.

import DequeModule
import Synchronization

/// Elements that have arrived and were not taken.
///
/// Inlinable, so that it is specialised for its elements.
public final class Inbox<Element: Sendable>: Sendable {
    public typealias Waiter = UnsafeContinuation<Element?, any Error>

    /// How the queue ends.
    public enum End: Sendable {
        case finished
        case failed(any Error)
    }

    /// The result of taking an element.
    public enum Step {
        case element(Element, isCaughtUp: Bool)
        case end(End)
        /// The queue is empty.
        case wait
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

    /// - Parameter maximum: the total size of waiting elements above which the source should pause.
    @inlinable public init(maximum: Int) {
        self.maximum = max(1, maximum)
        state = Mutex(State())
    }

    /// Adds an element. Returns false when the source should pause until the consumer has read everything.
    @inlinable public func push(_ element: Element, size: Int) -> Bool {
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

    /// Adds the end, after the elements.
    @inlinable public func finish(_ end: End) {
        let waiter = state.withLock { state -> Waiter? in
            guard state.end == nil else { return nil }
            state.end = end
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)  // the consumer then takes the end itself
    }

    /// Whether the end was added; elements may still wait to be taken.
    public var hasEnded: Bool { state.withLock { $0.end != nil } }

    /// Resumes the waiting consumer, without an element.
    @inlinable public func cancelWaiter() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: CancellationError())
    }

    /// Takes an element or the end, if available.
    @inlinable public func take() -> Step {
        state.withLock { state in
            if let (element, size) = state.elements.popFirst() {
                state.size -= size
                guard state.isPaused, state.size <= maximum / 2 else { return .element(element, isCaughtUp: false) }
                state.isPaused = false
                return .element(element, isCaughtUp: true)
            }
            return state.end.map { .end($0) } ?? .wait
        }
    }

    /// Waits for an element, when there is none to take; nil when there may be one now, or the end.
    ///
    /// A separate function with little state, so that a waiting task needs little memory.
    @inlinable public func wait() async throws -> Element? {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                switch keep(continuation) {
                case .kept: if Task.isCancelled { cancelWaiter() }
                case .notNeeded: continuation.resume(returning: nil)
                case .misuse:
                    continuation.resume(
                        throwing: SkeinError(
                            .exception, because: "two tasks wait for the same messages; let one of them read"))
                }
            }
        } onCancel: {
            cancelWaiter()
        }
    }

    /// Waits for the next element and takes it; nil after the last.
    /// - Parameter caughtUp: called when the source may resume.
    @inlinable public func next(caughtUp: () -> Void = {}) async throws -> Element? {
        while true {
            switch take() {
            case .element(let element, let isCaughtUp):
                if isCaughtUp { caughtUp() }
                return element
            case .end(.finished): return nil
            case .end(.failed(let error)): throw error
            case .wait: if let element = try await wait() { return element }
            }
        }
    }

    @usableFromInline enum Keeping {
        case kept
        case notNeeded
        case misuse
    }

    @inlinable func keep(_ waiter: Waiter) -> Keeping {
        state.withLock { state in
            if !state.elements.isEmpty || state.end != nil { return .notNeeded }
            if state.waiter != nil { return .misuse }
            state.waiter = waiter
            return .kept
        }
    }
}
