// The standard input of a program: bytes that are there from the beginning, or that are written while it runs.

import SkeinCore
import Synchronization

/// What a program reads, never more than a limit of it in memory.
final class ProcessInput: Sendable {
    private static let limit = 256 << 10

    private struct State {
        var bytes: [UInt8]
        var isOpen: Bool
        /// Nobody takes it any more.
        var isOver = false
        var writers: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    /// - Parameter isOpen: whether more is to come.
    init(_ bytes: [UInt8], isOpen: Bool = false) { state = Mutex(State(bytes: bytes, isOpen: isOpen)) }

    /// Adds bytes; waits while the program has not read what was written before.
    /// - Parameter wake: tells the program's thread that there is something.
    /// - Throws: code 701 when the input is closed, or the program does not read it any more.
    func write(_ bytes: [UInt8], wake: () -> Void) async throws(SkeinError) {
        let wasTaken = state.withLock { state in
            guard state.isOpen, !state.isOver else { return false }
            state.bytes += bytes
            return true
        }
        guard wasTaken else {
            throw SkeinError(.exception, because: "the program does not read its input any more")
        }
        wake()
        await withCheckedContinuation { continuation in
            let mayGoOn = state.withLock { state in
                if state.isOver || state.bytes.count <= Self.limit { return true }
                state.writers.append(continuation)
                return false
            }
            if mayGoOn { continuation.resume() }
        }
    }

    func close() { state.withLock { $0.isOpen = false } }

    /// What is to be read next; nil at the end of the input.
    func take() -> [UInt8]? {
        let (bytes, writers) = state.withLock { state -> ([UInt8]?, [CheckedContinuation<Void, Never>]) in
            guard !state.bytes.isEmpty || state.isOpen && !state.isOver else { return (nil, []) }
            defer { (state.bytes, state.writers) = ([], []) }
            return (state.bytes, state.writers)
        }
        for writer in writers { writer.resume() }
        return bytes
    }

    /// The program does not read any more.
    func end() {
        let writers = state.withLock { state in
            state.isOver = true
            defer { (state.bytes, state.writers) = ([], []) }
            return state.writers
        }
        for writer in writers { writer.resume() }
    }
}
