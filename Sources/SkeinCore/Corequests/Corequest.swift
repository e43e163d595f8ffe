// The idea of Skein in one type: an exchange that has begun, and the choice of when and how strictly to wait for it.

import Synchronization

/// What drives a corequest until it ends; the protocol's own exchange object.
package protocol CorequestDriver: AnyObject, Sendable {
    /// Ends the exchange with an error. Any thread.
    func cancel(_ error: SkeinError)
    /// Ends the exchange at a moment, if it is earlier than the one in force. Any thread.
    func tighten(_ deadline: Deadline)
}

/// One exchange with one back end. It has started when you get it, lives on one event loop, and ends in one response.
///
/// Dropping a corequest does not cancel it. Cancelling a task that waits for it does.
public final class Corequest<Result: Response>: Sendable {
    private struct State {
        var result: Result?
        var driver: (any CorequestDriver)?
        var waiter: UnsafeContinuation<Result, Never>?
        var moreWaiters: [UnsafeContinuation<Result, Never>] = []
    }

    private let state: Mutex<State>
    /// The shard on whose loop the exchange lives.
    public let shard: Shard

    package init(shard: Shard) {
        self.shard = shard
        state = Mutex(State())
    }

    /// Says who drives the exchange; before it starts.
    package func setDriver(_ driver: any CorequestDriver) {
        state.withLock { if $0.result == nil { $0.driver = driver } }
    }

    /// Ends the corequest. Only the first end counts.
    package func finish(_ result: Result) {
        let (first, others, _) = state.withLock {
            state -> (UnsafeContinuation<Result, Never>?, [UnsafeContinuation<Result, Never>], (any CorequestDriver)?) in
            guard state.result == nil else { return (nil, [], nil) }
            state.result = result
            defer {
                state.waiter = nil
                state.moreWaiters = []
                state.driver = nil  // returned, so that it is released outside of the lock
            }
            return (state.waiter, state.moreWaiters, state.driver)
        }
        first?.resume(returning: result)
        for waiter in others { waiter.resume(returning: result) }
    }

    /// The response, when the exchange is over already.
    public var result: Result? { state.withLock { $0.result } }

    /// Waits for the end and returns the response, whatever it is. Never throws: a failure is a response with a code of 7xx.
    /// - Parameter timeout: from now on; it shortens the corequest's own deadline, for everybody who waits. Default: unchanged.
    @discardableResult
    public func dispatch(timeout: Duration? = nil) async -> Result {
        if let timeout { tighten(.after(timeout)) }
        if let result { return result }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let result = state.withLock { state -> Result? in
                    if let result = state.result { return result }
                    if state.waiter == nil {
                        state.waiter = continuation
                    } else {
                        state.moreWaiters.append(continuation)
                    }
                    return nil
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            cancel()
        }
    }

    /// Waits for the end and tells only how it went.
    @discardableResult
    public func wait(timeout: Duration? = nil) async -> Outcome { await dispatch(timeout: timeout).outcome }

    /// Waits and returns what the answer carries.
    /// - Throws: `SkeinError` when the exchange failed or the status is not a success.
    public func fetch(timeout: Duration? = nil) async throws -> Result.Content {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        return response.content
    }

    /// Waits and decodes what the answer carries.
    /// - Throws: `SkeinError` when the exchange failed or the status is not a success; code 709 when it does not decode.
    public func fetch<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> T {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        return try response.decode(type)
    }

    /// Waits and decodes the one record that the answer must carry.
    /// - Throws: `SkeinError` with code 410 unless there is exactly one record, and as ``fetch(_:timeout:)``.
    public func one<T: Decodable>(_ type: T.Type, timeout: Duration? = nil) async throws -> T {
        let response = await dispatch(timeout: timeout)
        try response.raiseForStatus()
        let records = try response.decodeRecords(type)
        guard records.count == 1, let record = records.first else {
            throw SkeinError.status(410, peer: response.peer, because: "one record was asked for, \(records.count) came")
        }
        return record
    }

    /// Waits for a change to be done; what the answer carries does not matter.
    /// - Throws: `SkeinError` when the exchange failed or the status is not a success.
    public func commit(timeout: Duration? = nil) async throws {
        try await dispatch(timeout: timeout).raiseForStatus()
    }

    /// Ends the exchange with code 712; does nothing when it is over. Safe at any time, from any thread.
    public func cancel() {
        let driver = state.withLock { $0.driver }
        driver?.cancel(SkeinError(.controlledShutdown, because: "the corequest was cancelled"))
    }

    /// Sets the moment by which the exchange ends with code 702, unless an earlier one is in force.
    public func tighten(_ deadline: Deadline) {
        let driver = state.withLock { $0.driver }
        driver?.tighten(deadline)
    }
}
