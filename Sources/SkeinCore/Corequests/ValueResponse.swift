// Corequests that carry a value of the program's own: one that is there already, and one that is made of another's answer.

import Logging

/// The answer of a corequest whose content is any value.
public struct ValueResponse<Value: Sendable>: Response {
    /// What the caller attached to the corequest it was made of.
    public let meta: RequestMetadata
    /// 200, or the code of the failure.
    public let statusCode: Int
    /// The status in words.
    public let reason: String
    /// What the corequest it was made of did.
    public let method: String
    /// The value; nil when there was a failure.
    public let content: Value?
    /// The logger of the corequest it was made of.
    public let logger: Logger
    /// What went wrong.
    public let failure: SkeinError?
    /// Who was asked.
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

    /// The value, if it is one of the type.
    /// - Throws: code 709 when it is none.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        guard let value = content as? T else {
            throw SkeinError(.invalidContent, peer: peer, because: "the value is a \(Value.self), not a \(type)")
        }
        return value
    }

    /// The value as a list; one that is none is a list of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        if let list = content as? [T] { return list }
        return [try decode(type)]
    }
}

/// A value that looks like a corequest (`Mask`): for where one is wanted and its answer is known already, as from a cache.
/// - Parameter value: what `fetch` returns, at once.
public func mask<Value: Sendable>(_ value: Value) -> Corequest<ValueResponse<Value>> {
    let corequest = Corequest<ValueResponse<Value>>(shard: .standard)
    corequest.finish(ValueResponse(value))
    return corequest
}

extension Corequest {
    /// Goes on when the answer is there, as a corequest of its own (`then`): nobody has to wait meanwhile.
    ///
    /// With it, corequests of different protocols become of one kind, so that they can be one group.
    /// - Parameter work: makes a value of the response, on the corequest's event loop: it must not block. What it throws is the failure.
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

    /// Leaves the corequest to itself and returns something else: `return db.execute("…").returning(Accepted())`.
    @discardableResult
    public func returning<Value>(_ value: Value) -> Value { value }
}

/// Passes on what is said to the later corequest.
///
/// Unchecked: the task is stored before the later corequest is handed out.
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
