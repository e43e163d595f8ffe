// The standard input of a program: bytes that exist from the start, or that are written while it runs.

import SkeinCore
import Synchronization

/// What a program reads, never more than a limit of it in memory.
final class ProcessInput: Sendable {
    private static let limit = 256 << 10

    private struct State {
        var bytes: [UInt8]
        var isOpen: Bool
        /// The program does not read any more.
        var isOver = false
        /// Those that wait; they are told whether the program goes on.
        var writers: [Int: CheckedContinuation<Bool, Never>] = [:]
        var lastWriter = 0
    }

    private let state: Mutex<State>

    /// - Parameter isOpen: whether more is to come.
    init(_ bytes: [UInt8], isOpen: Bool = false) { state = Mutex(State(bytes: bytes, isOpen: isOpen)) }

    /// Adds bytes; waits while the program has not read the bytes before.
    /// - Parameter wake: tells the program's thread that there is something.
    /// - Throws: code 701 when the input is closed, or the program does not read it any more; 712 when the task is cancelled.
    func write(_ bytes: [UInt8], wake: () -> Void) async throws(SkeinError) {
        let writer: Int? = state.withLock { state in
            guard state.isOpen, !state.isOver else { return nil }
            state.bytes += bytes
            state.lastWriter += 1
            return state.lastWriter
        }
        guard let writer else { throw Self.notRead }
        wake()
        let isRead = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRead: Bool? = state.withLock { state in
                    if Task.isCancelled { return false }
                    if state.isOver || state.bytes.count <= Self.limit { return true }
                    state.writers[writer] = continuation
                    return nil
                }
                if let isRead { continuation.resume(returning: isRead) }
            }
        } onCancel: {
            state.withLock { $0.writers.removeValue(forKey: writer) }?.resume(returning: false)
        }
        guard isRead else {
            throw Task.isCancelled
                ? SkeinError(.cancelled, because: "the write to the program was cancelled") : Self.notRead
        }
    }

    private static var notRead: SkeinError {
        SkeinError(.exception, because: "the program does not read its input any more")
    }

    func close() { state.withLock { $0.isOpen = false } }

    /// The next bytes; nil at the end of the input.
    func take() -> [UInt8]? {
        let (bytes, writers) = state.withLock { state -> ([UInt8]?, [CheckedContinuation<Bool, Never>]) in
            guard !state.bytes.isEmpty || state.isOpen && !state.isOver else { return (nil, []) }
            defer { (state.bytes, state.writers) = ([], [:]) }
            return (state.bytes, Array(state.writers.values))
        }
        for writer in writers { writer.resume(returning: true) }
        return bytes
    }

    /// The program does not read any more.
    func end() {
        let writers = state.withLock { state in
            state.isOver = true
            defer { (state.bytes, state.writers) = ([], [:]) }
            return Array(state.writers.values)
        }
        for writer in writers { writer.resume(returning: false) }
    }
}
