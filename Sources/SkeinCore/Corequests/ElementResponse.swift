// Responses that can be iterated over: the pieces of a content, the rows of a result.

/// A response that carries a sequence.
public protocol ElementResponse: Response {
    /// The sequence, of pieces of content or of rows.
    associatedtype Elements: AsyncSequence

    /// The elements of the response, in order. Streamed content can be iterated over once.
    func elements() -> Elements
}

/// A corequest can be iterated over when its response carries a sequence:
/// `for try await row in database.query("SELECT …")`.
///
/// The first step waits for the response, and throws `SkeinError` when the exchange failed or the status is not a
/// success.
extension Corequest: AsyncSequence where Result: ElementResponse {
    /// An element of the response.
    public typealias Element = Result.Elements.Element

    /// Waits for the response, then iterates over it.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let corequest: Corequest
        private var inner: Result.Elements.AsyncIterator?

        fileprivate init(_ corequest: Corequest) { self.corequest = corequest }

        /// The next element; nil after the last one.
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

    /// Starts at the first element.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}

/// Elements in memory, as an asynchronous sequence.
public struct ReadyElements<Base: Sequence & Sendable>: AsyncSequence, Sendable {
    private let base: Base

    /// Wraps a sequence.
    public init(_ base: Base) { self.base = base }

    /// Iterates over the elements.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var iterator: Base.Iterator

        /// The next element; nil after the last one.
        public mutating func next() async -> Base.Element? { iterator.next() }
    }

    /// Starts at the first element.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(iterator: base.makeIterator()) }
}
