// Threads for blocking work.

import NIOPosix
import SkeinCore
import Synchronization

/// Threads for blocking work, with a queue.
///
/// The threads are started on first use. The standard pool is shared; use another one so that slow work does not delay
/// the rest.
public final class WorkPool: Sendable {
    /// 16 threads, and a queue of 1024.
    public static let standard = WorkPool(threads: 16, queue: 1024)
    /// 64 threads for programs that may run for long, and 1024 that wait for one.
    public static let programs = WorkPool(threads: 64, queue: 1024)

    private let threads: Int
    private let limit: Int
    private let open = Atomic<Int>(0)
    private let pool = Mutex<NIOThreadPool?>(nil)

    /// - Parameters:
    ///   - threads: concurrent work, from 1 to 1024.
    ///   - queue: the limit of the queue; further work is refused.
    public init(threads: Int, queue: Int) {
        self.threads = min(max(1, threads), 1024)
        limit = self.threads + max(0, queue)
    }

    deinit { pool.withLock { $0 }?.shutdownGracefully { _ in } }

    /// Runs work on a thread.
    /// - Throws: code 701 when the queue is full.
    func submit(_ work: @escaping @Sendable () -> Void) throws(SkeinError) {
        guard open.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
            open.subtract(1, ordering: .relaxed)
            throw SkeinError(.exception, because: "\(limit) work items are running or queued already")
        }
        let pool = pool.withLock { pool in
            if let pool { return pool }
            let made = NIOThreadPool(numberOfThreads: threads)
            made.start()
            pool = made
            return made
        }
        pool.submit { [self] _ in
            work()
            open.subtract(1, ordering: .relaxed)
        }
    }

    /// Runs work on a thread, and waits for it. A cancelled task does not wait any longer.
    func run<Value: Sendable>(
        _ work: @escaping @Sendable () throws -> Value, onCancel: @escaping @Sendable () -> Void = {}
    ) async throws -> Value {
        let answer = Answer<Value>()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                answer.await(continuation)
                do throws(SkeinError) {
                    try submit { if !answer.isOver { answer.give(Result { try work() }) } }
                } catch {
                    answer.give(.failure(error))
                }
            }
        } onCancel: {
            onCancel()
            answer.give(.failure(CancellationError()))
        }
    }
}

/// A result that a task waits for once.
private final class Answer<Value: Sendable>: Sendable {
    private enum State {
        case none
        case awaited(CheckedContinuation<Value, any Error>)
        case early(Result<Value, any Error>)
        case over
    }

    private let state = Mutex(State.none)

    var isOver: Bool {
        state.withLock { state in
            switch state {
            case .none, .awaited: false
            case .early, .over: true
            }
        }
    }

    func await(_ continuation: CheckedContinuation<Value, any Error>) {
        let early: Result<Value, any Error>? = state.withLock { state in
            if case .early(let result) = state {
                state = .over
                return result
            }
            state = .awaited(continuation)
            return nil
        }
        if let early { continuation.resume(with: early) }
    }

    func give(_ result: Result<Value, any Error>) {
        let waiting: CheckedContinuation<Value, any Error>? = state.withLock { state in
            switch state {
            case .none:
                state = .early(result)
                return nil
            case .awaited(let continuation):
                state = .over
                return continuation
            case .early, .over: return nil
            }
        }
        waiting?.resume(with: result)
    }
}
