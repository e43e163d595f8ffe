// Corequests that carry a value of the program's own: a ready one, or one derived from another response.

import Logging

/// A response with a value of any type.
public struct ValueResponse<Value: Sendable>: Response {
    /// The metadata of the original corequest.
    public let meta: RequestMetadata
    /// 200, or the code of the failure.
    public let statusCode: Int
    /// The name of the status.
    public let reason: String
    /// The operation of the original corequest.
    public let method: String
    /// The value; nil when there was a failure.
    public let content: Value?
    /// The logger of the original corequest.
    public let logger: Logger
    /// The failure, if any.
    public let failure: SkeinError?
    /// The peer of the original corequest.
    public let peer: String
    /// 299.
    public static var highestSuccess: Int { 299 }

    fileprivate init(_ value: Value) {
        self.init(.success(value), RequestMetadata(), method: "mask", logger: .screen(), peer: "")
    }

    package init(
        _ outcome: Result<Value, SkeinError>, _ meta: RequestMetadata, method: String, logger: Logger, peer: String
    ) {
        self.meta = meta
        self.method = method
        self.logger = logger
        self.peer = peer
        switch outcome {
        case .success(let value):
            content = value
            failure = nil
            statusCode = 200
            reason = "OK"
        case .failure(let error):
            content = nil
            failure = error
            statusCode = error.code.rawValue
            reason = error.code.name
        }
    }

    /// The value, if it has the type.
    /// - Throws: code 709 when it does not.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        guard let value = content as? T else {
            throw SkeinError(.invalidContent, peer: peer, because: "the value is a \(Value.self), not a \(type)")
        }
        return value
    }

    /// The value as a list; a single value is a list of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        if let list = content as? [T] { return list }
        return [try decode(type)]
    }
}

/// A value as a corequest (`Mask`), where a corequest is needed but the value is known already, for example from a
/// cache.
/// - Parameter value: the value that `fetch` returns, at once.
public func mask<Value: Sendable>(_ value: Value) -> Corequest<ValueResponse<Value>> {
    let corequest = Corequest<ValueResponse<Value>>(shard: .standard)
    corequest.finish(ValueResponse(value))
    return corequest
}

extension Corequest {
    /// Transforms the response when it arrives, as a corequest of its own (`then`), without a waiting task.
    ///
    /// Corequests of different protocols get one type by it, so that they can form one group.
    /// - Parameter work: makes a value from the response, on the corequest's event loop: it must not block. An error it
    ///   throws is the failure.
    /// - Returns: a corequest that ends with the value. Cancelling it cancels this one.
    public func then<Value: Sendable>(
        _ work: @escaping @Sendable (Result) async throws -> Value
    ) -> Corequest<ValueResponse<Value>> {
        let late = Corequest<ValueResponse<Value>>(shard: shard)
        let driver = ThenDriver(first: self)
        late.setDriver(driver)
        driver.task = Task(executorPreference: shard.executor) {
            let response = await self.dispatch()
            let outcome: Swift.Result<Value, SkeinError>
            do {
                outcome = .success(try await work(response))
            } catch {
                outcome = .failure(
                    error as? SkeinError
                        ?? SkeinError(.exception, peer: response.peer, because: "\(error)", cause: error))
            }
            late.finish(
                ValueResponse(
                    outcome, response.meta, method: response.method, logger: response.logger, peer: response.peer))
        }
        return late
    }

    /// Leaves the corequest running and returns another value: `return db.execute("…").returning(Accepted())`.
    @discardableResult
    public func returning<Value>(_ value: Value) -> Value { value }
}

/// Forwards cancellation and deadlines of the later corequest.
///
/// Unchecked: the task is stored before the later corequest is published.
private final class ThenDriver: CorequestDriver, @unchecked Sendable {
    private let first: CorequestState
    var task: Task<Void, Never>?

    init(first: CorequestState) { self.first = first }

    func cancel(_ error: SkeinError) {
        first.cancel()
        task?.cancel()
    }

    func tighten(_ deadline: Deadline) { first.tighten(deadline) }
}
