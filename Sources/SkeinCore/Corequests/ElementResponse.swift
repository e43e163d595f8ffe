// Responses that are walked over: the pieces of a content, the rows of an answer.

/// A response that carries a sequence.
public protocol ElementResponse: Response {
    /// The sequence: pieces of a content, rows.
    associatedtype Elements: AsyncSequence

    /// What the response carries, in order. A content that arrives while it is read can be walked over once.
    func elements() -> Elements
}

/// A corequest is walked over when its response carries a sequence: `for try await row in database.query("SELECT …")`.
///
/// Its first step waits for the response, and throws `SkeinError` when the exchange failed or the status is no success.
extension Corequest: AsyncSequence where Result: ElementResponse {
    /// What the response carries.
    public typealias Element = Result.Elements.Element

    /// Waits for the response, then walks over it.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let corequest: Corequest
        private var inner: Result.Elements.AsyncIterator?

        fileprivate init(_ corequest: Corequest) { self.corequest = corequest }

        /// The next element; nil behind the last one.
        public mutating func next() async throws -> Element? { try await next(isolation: #isolation) }

        /// The next element, without leaving the caller's isolation.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(any Error) -> Element? {
            var iterator: Result.Elements.AsyncIterator
            if let inner {
                iterator = inner
            } else {
                let response = await corequest.dispatch()
                try response.raiseForStatus()
                iterator = response.elements().makeAsyncIterator()
            }
            defer { inner = iterator }
            return try await iterator.next(isolation: actor)
        }
    }

    /// Begins at the first element.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}

/// Elements that are all here, as an asynchronous sequence.
public struct ReadyElements<Base: Sequence & Sendable>: AsyncSequence, Sendable {
    private let base: Base

    /// Walks over a sequence.
    public init(_ base: Base) { self.base = base }

    /// Walks over the elements.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var iterator: Base.Iterator

        /// The next element; nil behind the last one.
        public mutating func next() async -> Base.Element? { iterator.next() }
    }

    /// Begins at the first element.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(iterator: base.makeIterator()) }
}
