// For programs with threads instead of tasks.

import Dispatch
import Synchronization

/// Runs an asynchronous operation and blocks the calling thread until it is over.
///
/// For threads outside of Swift's concurrency only: on an event loop or inside a task it would deadlock.
/// - Throws: the error of the operation.
public func blocking<T: Sendable>(_ operation: @escaping @Sendable () async throws -> T) throws -> T {
    let outcome = Outbox<T>()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
        do {
            outcome.put(.success(try await operation()))
        } catch {
            outcome.put(.failure(error))
        }
        done.signal()
    }
    done.wait()
    return try outcome.take()
}

/// Carries one result from the task to the thread.
private final class Outbox<T: Sendable>: Sendable {
    private let result = Mutex<Result<T, any Error>?>(nil)

    func put(_ value: Result<T, any Error>) { result.withLock { $0 = value } }

    func take() throws -> T {
        guard let result = result.withLock({ $0 }) else {
            throw SkeinError(.exception, because: "the operation ended without a result")
        }
        return try result.get()
    }
}

extension Corequest {
    /// The waiting methods for plain threads: `corequest.blocking.fetch()`.
    public var blocking: BlockingCorequest<Result> { BlockingCorequest(corequest: self) }
}

/// The methods of a corequest that block a thread.
public struct BlockingCorequest<Result: Response>: Sendable {
    let corequest: Corequest<Result>

    /// Blocks until the end and returns the response.
    /// - Throws: code 701 on the corequest's own event loop, where it would deadlock.
    @discardableResult
    public func dispatch(timeout: Duration? = nil) throws -> Result {
        try run { await $0.dispatch(timeout: timeout) }
    }

    /// Blocks and returns the content of the response.
    public func fetch(timeout: Duration? = nil) throws -> Result.Content {
        try run { try await $0.fetch(timeout: timeout) }
    }

    /// Blocks and decodes the content of the response.
    public func fetch<T: Decodable & Sendable>(_ type: T.Type, timeout: Duration? = nil) throws -> T {
        try run { try await $0.fetch(type, timeout: timeout) }
    }

    /// Blocks and decodes the content, which must be exactly one record.
    public func one<T: Decodable & Sendable>(_ type: T.Type, timeout: Duration? = nil) throws -> T {
        try run { try await $0.one(type, timeout: timeout) }
    }

    /// Blocks until the response, and ignores its content.
    public func commit(timeout: Duration? = nil) throws {
        try run { try await $0.commit(timeout: timeout) }
    }

    private func run<T: Sendable>(_ wait: @escaping @Sendable (Corequest<Result>) async throws -> T) throws -> T {
        guard !corequest.shard.isCurrent else {
            throw SkeinError(.exception, because: "a blocking call on an event loop would wait for itself; use await")
        }
        return try SkeinCore.blocking { [corequest] in try await wait(corequest) }
    }
}
