// The client: one queue, one pool, one summary for all protocols.

import Logging
import SkeinCore
import SkeinWire
import Synchronization

/// A session: it starts requests, reuses connections, and tracks the requests in flight.
///
/// Every call that makes a request starts it and returns at once, from any thread, with a ``SkeinCore/Corequest``.
public final class SkeinClient: Sendable {
    /// A handler for responses.
    public typealias Callback = @Sendable (HTTPResponse) -> Void

    /// The settings of the session.
    public let configuration: Configuration
    package let session: Session
    package let http: HTTPClient
    private let requests: RequestNumbers
    /// Whether it is a view of another session, which owns the connections.
    private let isShared: Bool
    package let backEnds: BackEnds
    /// Changes each request before it starts; nil for no change.
    let mark: (@Sendable (inout HTTPRequest) -> Void)?

    /// A session.
    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        session = Session(
            threads: configuration.threads, shards: configuration.shards, concurrency: configuration.concurrency,
            maximumQueued: configuration.maximumQueued, order: configuration.order, logger: configuration.logger)
        http = HTTPClient(session: session, configuration: configuration.http)
        backEnds = BackEnds()
        requests = RequestNumbers()
        isShared = false
        mark = nil
    }

    /// A view of another session, which changes each request before it starts.
    package init(sharing other: SkeinClient, marking mark: @escaping @Sendable (inout HTTPRequest) -> Void) {
        configuration = other.configuration
        session = other.session
        http = other.http
        backEnds = other.backEnds
        requests = other.requests
        isShared = true
        self.mark = mark
    }

    /// A session with the most common settings.
    /// - Parameters:
    ///   - concurrency: concurrent requests.
    ///   - timeout: for each request. Default: 30 s.
    ///   - report: whether a response without a callback is logged in a line.
    ///   - callback: called with every response that has no callback of its own.
    public convenience init(
        concurrency: Int, timeout: Duration = .seconds(30), report: Bool = false, callback: Callback? = nil
    ) {
        var configuration = Configuration()
        configuration.concurrency = concurrency
        configuration.http.timeout = timeout
        configuration.report = report
        configuration.callback = callback
        self.init(configuration)
    }

    /// The shards of the session; a task that prefers a shard's executor calls the session without leaving its thread.
    public var shards: [Shard] { session.shards.shards }

    /// Connections opened since the session began.
    public var connectCount: Int { session.statistics.connectCount }

    /// Starts a request value.
    /// - Parameters:
    ///   - request: the request.
    ///   - callback: called with the response, on an event loop, instead of the session's callback.
    /// - Returns: the corequest, already started. Dropping it does not cancel it; `cancel()` does.
    @discardableResult
    public func start(_ request: consuming HTTPRequest, callback: Callback? = nil) -> Corequest<HTTPResponse> {
        mark?(&request)
        stamp(&request, hasCallback: callback != nil)
        return http.start(request, callback: callback ?? sessionCallback)
    }

    /// Starts a request with a method of any name and returns at once.
    /// - Parameters:
    ///   - method: the method.
    ///   - url: an absolute URL, as text or as a `URL`; a malformed one ends the corequest with code 701.
    ///   - body: the content, for example `.json(value)`, `.form(["a": 1])`, `.xml(text)`, `.text(text)`. Default:
    ///     none.
    ///   - parameters: query parameters to append to the URL.
    ///   - auth: credentials, such as `.basic(user, password)`. Default: none.
    ///   - cookies: names and values for this request, beside those of the session's jar.
    ///   - headers: header fields; an invalid one ends the corequest with code 701.
    ///   - timeout: from the moment it gets a slot to the last byte of the response. Default: the session's.
    ///   - meta: metadata that the response carries.
    ///   - callback: called with the response, on an event loop, instead of the session's callback.
    /// - Returns: the corequest, already started. Dropping it does not cancel it; `cancel()` does.
    @discardableResult
    public func request(
        _ method: HTTPMethod, _ url: some HTTPURLConvertible, body: HTTPBody = .none, parameters: Parameters = [:],
        headers: Headers = Headers(), auth: HTTPAuth? = nil, cookies: [String: String] = [:],
        timeout: Duration? = nil, meta: RequestMetadata = RequestMetadata(), callback: Callback? = nil
    ) -> Corequest<HTTPResponse> {
        request(
            method, url, body: body, parameters: parameters, headers: headers, auth: auth, cookies: cookies,
            timeout: timeout,
            isStreamed: false, meta: meta, callback: callback)
    }

    func request(
        _ method: HTTPMethod, _ url: some HTTPURLConvertible, body: HTTPBody = .none, parameters: Parameters,
        headers: Headers, auth: HTTPAuth?, cookies: [String: String], timeout: Duration?, isStreamed: Bool,
        meta: RequestMetadata,
        callback: Callback?
    ) -> Corequest<HTTPResponse> {
        do {
            var request = HTTPRequest(
                method, try url.httpURL(parameters: parameters), headers: headers, body: body, auth: auth,
                timeout: timeout, isStreamed: isStreamed, meta: meta)
            if !cookies.isEmpty { request.cookies = cookies }
            return start(request, callback: callback)
        } catch {
            var request = HTTPRequest(
                method, .unusable(url.urlText), headers: headers, body: body, timeout: timeout, meta: meta)
            stamp(&request, hasCallback: callback != nil)
            return http.fail(request, error, callback: callback ?? sessionCallback)
        }
    }

    /// Waits until no request of any caller is queued or in flight, or until the task is cancelled.
    /// - Returns: the summary since the session began, or since the last summary.
    @discardableResult
    public nonisolated(nonsending) func fetchAll() async -> SessionSummary {
        try? await session.untilIdle()
        return session.statistics.takeSummary()
    }

    /// A value in the form of a corequest that has ended, for code that takes corequests (`Mask`).
    public func mask<Value: Sendable>(_ value: Value) -> Corequest<ValueResponse<Value>> { SkeinCore.mask(value) }

    /// Waits; pooled connections stay open.
    /// - Parameter time: the duration.
    /// - Throws: `CancellationError` when the task is cancelled earlier.
    public nonisolated(nonsending) func suspend(_ time: Duration) async throws {
        try await session.pickShard().sleep(until: .after(time))
    }

    /// The resources that the session holds right now, for finding leaks.
    public var tracking: Tracking {
        Tracking(exchanges: session.statistics.liveExchanges, connections: session.statistics.openConnections)
    }

    /// Closes every connection, fails requests that wait for one with code 705, and ends the threads of the session.
    /// The session cannot be used afterwards. On the client that a server gives to its handlers, it has no effect.
    public nonisolated(nonsending) func shutdown() async {
        guard !isShared else {
            return session.logger.warning("a handler cannot shut down the client of its server; shutdown() did nothing")
        }
        await backEnds.shutdown()
        await http.shutdown()
        // The threads must outlive the requests in flight, also when the task that shuts down is cancelled.
        await Task { [session] in
            try? await session.untilIdle()
            await session.untilClosed()
        }.value
        await session.shutdown()
    }

    package func stamp(_ request: inout HTTPRequest, hasCallback: Bool) {
        stamp(&request.meta, method: request.method.rawValue, hasCallback: hasCallback)
    }

    package func stamp(_ meta: inout RequestMetadata, method: String, hasCallback: Bool) {
        meta.stamp(
            id: requests.next(), method: method, hasCallback: hasCallback)
    }

    var sessionCallback: Callback? {
        if let callback = configuration.callback { return callback }
        guard configuration.report else { return nil }
        return { $0.logger.info("\($0.reportLine)") }
    }
}

/// Numbers the requests of a session and of all its views.
private final class RequestNumbers: Sendable {
    private let last = Atomic<Int>(0)

    func next() -> Int { last.wrappingAdd(1, ordering: .relaxed).oldValue }
}

/// The resources of a session at one moment.
public struct Tracking: Sendable, CustomStringConvertible {
    /// Requests queued or in flight.
    public let exchanges: Int
    /// Open connections.
    public let connections: Int
    /// The resident memory of the process in bytes, where the system reports it.
    public let residentBytes: Int? = ProcessMemory.resident

    /// One line with all of it.
    public var description: String {
        let memory = residentBytes.map { "\($0 >> 10) KiB resident" } ?? "resident memory unknown"
        return "\(exchanges) requests queued or under way, \(connections) connections open, \(memory)"
    }
}
