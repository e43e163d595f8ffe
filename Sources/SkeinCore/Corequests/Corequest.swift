// The central type of Skein: an exchange that has started, with methods to wait for it.

import Synchronization

/// Drives a corequest until it ends; the protocol's own exchange object.
package protocol CorequestDriver: AnyObject, Sendable {
    /// Ends the exchange with an error. Any thread.
    func cancel(_ error: SkeinError)
    /// Sets the deadline of the exchange, if it is earlier than the one in force. Any thread.
    func tighten(_ deadline: Deadline)
}

/// The part of a corequest that is independent of its protocol: its waiting callers and its driver.
///
/// Independent of the response's type, so that waiting and resuming are not generic code.
public class CorequestState: @unchecked Sendable {
    private struct State {
        var isOver = false
        var driver: (any CorequestDriver)?
        var waiter: UnsafeContinuation<Void, Never>?
        var moreWaiters: [UnsafeContinuation<Void, Never>]?
    }

    private let state = Mutex(State())
    /// The shard whose loop drives the exchange.
    public let shard: Shard

    fileprivate init(shard: Shard) { self.shard = shard }

    /// Sets the driver of the exchange; before it starts.
    package func setDriver(_ driver: any CorequestDriver) {
        state.withLock { if !$0.isOver { $0.driver = driver } }
    }

    /// Whether the exchange has ended.
    public var isOver: Bool { state.withLock { $0.isOver } }

    /// Publishes the end, after the result was stored.
    @usableFromInline func wake() {
        let (first, others, _) = state.withLock {
            state -> (UnsafeContinuation<Void, Never>?, [UnsafeContinuation<Void, Never>]?, (any CorequestDriver)?) in
            state.isOver = true
            defer {
                state.waiter = nil
                state.moreWaiters = nil
                state.driver = nil  // returned, so that it is released outside of the lock
            }
            return (state.waiter, state.moreWaiters, state.driver)
        }
        first?.resume()
        if let others { for waiter in others { waiter.resume() } }
    }

    @usableFromInline func untilOver() async {
        if isOver { return }
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isOver { return true }
                    if state.waiter == nil {
                        state.waiter = continuation
                    } else {
                        state.moreWaiters = state.moreWaiters ?? []
                        state.moreWaiters?.append(continuation)
                    }
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            cancel()
        }
    }

    /// Ends the exchange with code 712; does nothing when it is over. Safe at any time, from any thread.
    public func cancel() {
        let driver = state.withLock { $0.driver }
        driver?.cancel(SkeinError(.cancelled, because: "the corequest was cancelled"))
    }

    /// Sets the moment by which the exchange ends with code 702, unless an earlier one is in force.
    public func tighten(_ deadline: Deadline) {
        let driver = state.withLock { $0.driver }
        driver?.tighten(deadline)
    }
}

/// One exchange with one back end. It has started when you get it, runs on one event loop, and ends in one response.
///
/// Dropping a corequest does not cancel it. Cancelling a task that waits for it does.
///
/// Unchecked: the response is stored once, on the shard's loop, before the lock of the state publishes the end, and read
/// only after it.
public final class Corequest<Result: Response>: CorequestState, @unchecked Sendable {
    // Inlinable from here on: the caller knows the response's type, so this is not generic code.
    @usableFromInline @exclusivity(unchecked) var stored: Result?

    package override init(shard: Shard) { super.init(shard: shard) }

    /// Ends the corequest. On its shard's loop, once.
    @inlinable package func finish(_ result: Result) {
        stored = result
        wake()
    }

    /// The response, when the exchange is over already.
    public var result: Result? { isOver ? stored : nil }

    /// Waits for the end and returns the response with any status. Never throws: a failure is a response with a code of
    /// 7xx.
    /// - Parameter timeout: from now on; it shortens the corequest's own deadline, for all waiting callers. Default:
    ///   unchanged.
    @discardableResult
    @inlinable public func dispatch(timeout: Duration? = nil) async -> Result {
        if let timeout { tighten(.after(timeout)) }
        await untilOver()
        guard let stored else { preconditionFailure("a corequest is over before its response is stored") }
        return stored
    }

    /// Waits for the response: `let response = try await client.get(url).response`.
    ///
    /// No status is an error here, not even 404 or 500; see ``fetch(timeout:)`` for that.
    /// - Throws: `SkeinError` when the exchange failed, so that there is no response.
    public var response: Result {
        get async throws(SkeinError) {
            let response = await dispatch()
            if let failure = response.failure { throw failure }
            return response
        }
    }

    /// Waits for the end and returns the outcome only.
    @discardableResult
    public func wait(timeout: Duration? = nil) async -> Outcome { await dispatch(timeout: timeout).outcome }

    /// Waits and returns the content of the response.
    /// - Throws: `SkeinError` when the exchange failed or the status is not a success.
    public func fetch(timeout: Duration? = nil) async throws -> Result.Content {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        return response.content
    }

    /// Waits and decodes the content of the response.
    /// - Throws: `SkeinError` when the exchange failed or the status is not a success; code 709 when the content cannot
    ///   be decoded.
    public func fetch<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> T {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        return try response.decode(type)
    }

    /// Waits and decodes the content as the inferred type: `let user: User = try await client.get(url).fetch()`.
    /// - Throws: the errors of ``fetch(_:timeout:)``.
    @_disfavoredOverload
    public func fetch<T: Decodable>(timeout: Duration? = nil) async throws -> T {
        try await fetch(T.self, timeout: timeout)
    }

    /// Waits and decodes the content, which must be exactly one record.
    /// - Throws: `SkeinError` with code 410 unless there is exactly one record, and the errors of
    ///   ``fetch(_:timeout:)``.
    public func one<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> T {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        let records = try response.decodeRecords(type)
        guard records.count == 1, let record = records.first else {
            throw SkeinError.status(
                410, peer: response.peer,
                because: "expected exactly one record, got \(records.isEmpty ? "none" : "\(records.count)")")
        }
        return record
    }

    /// Waits for the success of a change, and ignores the content.
    /// - Throws: `SkeinError` when the exchange failed or the status is not a success.
    public func commit(timeout: Duration? = nil) async throws {
        try await dispatch(timeout: timeout).raiseForStatus()
    }
}
