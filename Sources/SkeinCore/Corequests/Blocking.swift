// For programs that have plain threads and no tasks.

import Dispatch
import Synchronization

/// Runs an asynchronous operation and blocks the calling thread until it is over.
///
/// For plain threads only: on an event loop or inside a task it would stop what it waits for.
/// - Throws: what the operation throws.
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

/// A corequest as a plain thread sees it.
public struct BlockingCorequest<Result: Response>: Sendable {
    let corequest: Corequest<Result>

    /// Blocks until the end and returns the response.
    /// - Throws: code 701 on the corequest's own event loop, which would wait for itself.
    @discardableResult
    public func dispatch(timeout: Duration? = nil) throws -> Result {
        try run { await $0.dispatch(timeout: timeout) }
    }

    /// Blocks and returns what the answer carries.
    public func fetch(timeout: Duration? = nil) throws -> Result.Content {
        try run { try await $0.fetch(timeout: timeout) }
    }

    /// Blocks and decodes what the answer carries.
    public func fetch<T: Decodable & Sendable>(_ type: T.Type, timeout: Duration? = nil) throws -> T {
        try run { try await $0.fetch(type, timeout: timeout) }
    }

    /// Blocks and decodes the one record that the answer must carry.
    public func one<T: Decodable & Sendable>(_ type: T.Type, timeout: Duration? = nil) throws -> T {
        try run { try await $0.one(type, timeout: timeout) }
    }

    /// Blocks until a change is done.
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
