// The client: one queue, one pool, one summary over every protocol.

import Logging
import SkeinCore
import SkeinWire
import Synchronization

/// A session: it starts requests, keeps their connections, and knows when all is done.
///
/// Every call that makes a request starts it and returns at once, from any thread, with a ``SkeinCore/Corequest``.
public final class SkeinClient: Sendable {
    /// What is called with a response.
    public typealias Callback = @Sendable (HTTPResponse) -> Void

    /// The settings the session was made with.
    public let configuration: Configuration
    package let session: Session
    package let http: HTTPClient
    private let requests: RequestNumbers
    /// Whether it is a view of another session, which that one ends.
    private let isShared: Bool
    package let backEnds: BackEnds
    /// What is done to each request before it starts; nil for nothing.
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

    /// A session that is another one in all but this: something is done to each of its requests before it starts.
    package init(sharing other: SkeinClient, marking mark: @escaping @Sendable (inout HTTPRequest) -> Void) {
        configuration = other.configuration
        session = other.session
        http = other.http
        backEnds = other.backEnds
        requests = other.requests
        isShared = true
        self.mark = mark
    }

    /// A session with the settings that are set most often.
    /// - Parameters:
    ///   - concurrency: requests under way at one time.
    ///   - timeout: for each request. Default: 30 s.
    ///   - report: whether a response without a callback is reported in a line.
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

    /// Connections made since the session began.
    public var connectCount: Int { session.statistics.connectCount }

    /// Starts a request that was put together by hand.
    /// - Parameters:
    ///   - request: what to ask.
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
    ///   - body: what to send, for example `.json(value)`, `.form(["a": 1])`, `.xml(text)`, `.text(text)`. Default: nothing.
    ///   - parameters: query parameters to append to the URL.
    ///   - auth: credentials, such as `.basic(user, password)`. Default: none.
    ///   - cookies: names and values for this request, beside those of the session's jar.
    ///   - headers: header fields; one that cannot be sent ends the corequest with code 701.
    ///   - timeout: from the moment it gets its place to the last byte of the answer. Default: the session's.
    ///   - meta: what travels along to the response.
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

    /// Waits until nothing is queued or under way, whoever started it, or until the task is cancelled.
    /// - Returns: what it came to since the session began, or since the last summary.
    @discardableResult
    public nonisolated(nonsending) func fetchAll() async -> SessionSummary {
        try? await session.untilIdle()
        return session.statistics.takeSummary()
    }

    /// Waits while kept connections stay as they are.
    /// - Parameter time: how long.
    /// - Throws: `CancellationError` when the task is cancelled before.
    public nonisolated(nonsending) func suspend(_ time: Duration) async throws {
        try await session.pickShard().sleep(until: .after(time))
    }

    /// What the session holds right now, for finding what is not let go of.
    public var tracking: Tracking {
        Tracking(exchanges: session.statistics.liveExchanges, connections: session.statistics.openConnections)
    }

    /// Closes every connection, fails what waits for one with code 705, and ends the threads of the session.
    /// The session cannot be used after it. What a handler has of its server's client is not its own, and stays.
    public nonisolated(nonsending) func shutdown() async {
        guard !isShared else {
            return session.logger.warning("a handler cannot shut down the client of its server; shutdown() did nothing")
        }
        await backEnds.shutdown()
        await http.shutdown()
        // Its threads have to outlive what is under way, also when the task that shuts down is cancelled.
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

    private var sessionCallback: Callback? {
        if let callback = configuration.callback { return callback }
        guard configuration.report else { return nil }
        return { $0.logger.info("\($0.reportLine)") }
    }
}

/// Numbers for the requests of a session and of all views of it.
private final class RequestNumbers: Sendable {
    private let last = Atomic<Int>(0)

    func next() -> Int { last.wrappingAdd(1, ordering: .relaxed).oldValue }
}

/// What a session holds at one moment.
public struct Tracking: Sendable, CustomStringConvertible {
    /// Requests queued or under way.
    public let exchanges: Int
    /// Connections open.
    public let connections: Int
    /// Bytes of memory that the process holds, where the system tells.
    public let residentBytes: Int? = ProcessMemory.resident

    /// One line with all of it.
    public var description: String {
        let memory = residentBytes.map { "\($0 >> 10) KiB resident" } ?? "resident memory unknown"
        return "\(exchanges) requests queued or under way, \(connections) connections open, \(memory)"
    }
}
