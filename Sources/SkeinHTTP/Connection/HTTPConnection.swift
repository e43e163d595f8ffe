// A connection driven by hand: you say when a request goes out and when a piece of an answer is read. One task may send
// while another one reads, which is all that pipelining takes.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// One HTTP/1.1 connection to one server, driven call by call.
///
/// Requests are answered in order. Any number may be sent before the first response is read, as long as another task
/// reads: a sender alone would wait for a server that waits for a reader. Tasks that prefer ``Shard/executor`` of
/// ``shard`` drive the connection without leaving its thread.
///
/// A call in the wrong order is an error with code 701, and changes nothing.
public final class HTTPConnection: Sendable {
    /// How the content of a request comes.
    public enum Body: Sendable {
        /// There is none.
        case none
        /// All of it is here.
        case bytes(ByteBuffer)
        /// It follows in calls of ``HTTPConnection/write(_:)``, exactly so many bytes.
        case following(Int)
        /// It follows in calls of ``HTTPConnection/write(_:)`` and is ended by ``HTTPConnection/endBody()``.
        case followingChunks
    }

    /// The head of a response, with the request that it answers.
    public struct Response: Sendable {
        /// The method of the request.
        public let method: HTTPMethod
        /// The target of the request.
        public let target: String
        /// What the server said.
        public let head: ResponseHead

        /// The status code.
        public var status: Int { head.status.code }
        /// The reason phrase.
        public var reason: String { head.reason }
        /// The header section.
        public var headers: Headers { head.headers }
    }

    /// Whom the connection leads to.
    public let origin: HTTPOrigin
    /// The shard on whose loop the connection lives.
    public let shard: Shard
    private let machine: DrivenConnection

    /// A connection that is not made yet; the first request makes it.
    /// - Parameters:
    ///   - url: scheme, host and port; what stands behind is ignored.
    ///   - shard: the loop to live on. Default: one of the process's own.
    ///   - tls: for `https`: whom to trust, what to show. Default: the server has to prove who it is.
    ///   - proxy: opens a tunnel to the server. Default: none.
    ///   - connectTimeout: for the connection to be made. Default: 10 s.
    ///   - timeout: the longest wait for bytes from the server. Default: 60 s.
    ///   - limits: what the server may make the connection hold. Default: as curl.
    ///   - parsing: which malformed responses are read. Default: those that curl reads.
    /// - Throws: code 701 for a malformed URL.
    public init(
        _ url: String, shard: Shard = .standard, tls: ClientTLSConfiguration = ClientTLSConfiguration(),
        proxy: Proxy? = nil,
        connectTimeout: Duration = .seconds(10),
        timeout: Duration = .seconds(60), limits: HTTP1Limits = .responses, parsing: HTTPParsing = .tolerant
    ) throws(SkeinError) {
        origin = try HTTPURL(url).origin
        self.shard = shard
        var options = ConnectOptions(timeout: connectTimeout)
        options.resolver = .standard
        if let proxy { options.route = .tunnel(proxy) }
        if origin.isSecure { options.tls = ConnectOptions.TLS(TLSClient(), tls, protocols: ["http/1.1"]) }
        machine = DrivenConnection(
            origin: origin, shard: shard, connectOptions: options, timeout: timeout, limits: limits, parsing: parsing)
    }

    /// Closes the connection when the last reference to it is gone.
    deinit { shard.run { [machine] in machine.disconnect() } }

    /// What was agreed about TLS when the connection was made last, the server's certificate included.
    public var tls: TLSInfo? { get async { try? await onLoop { $0.tls } } }

    /// Makes the connection now, if it is not made.
    /// - Throws: `SkeinError` with the code of what went wrong.
    public func connect() async throws { try await onLoop { try await $0.connect() } }

    /// Ends the connection; responses that were not read are lost. The next request makes a new one.
    public func disconnect() async { try? await onLoop { $0.disconnect() } }

    /// Sends a request, or its head when the content follows. Returns when the socket has taken it.
    /// - Parameters:
    ///   - method: the method.
    ///   - target: path and query, starting with a slash.
    ///   - headers: fields beside Host and the framing, which are set by the connection.
    ///   - body: the content, or how it follows.
    ///   - expectContinue: asks the server for its word before the content is sent (RFC 9110, section 10.1.1); the next
    ///     ``readResponse()`` then gives its 100, or its refusal.
    /// - Throws: code 701 while the content of the request before is incomplete, or for a field that cannot be sent.
    public func sendRequest(
        _ method: HTTPMethod, _ target: String, headers: Headers = Headers(), body: Body = .none,
        expectContinue: Bool = false
    ) async throws {
        try await onLoop {
            try await $0.sendRequest(method, target, headers, body, expectContinue: expectContinue)
        }
    }

    /// Sends a piece of the content that was announced as following. Returns when the socket has taken it.
    /// - Throws: code 701 when no content is due, or more than was announced.
    public func write(_ bytes: ByteBuffer) async throws { try await onLoop { try await $0.write(bytes) } }

    /// Ends a content that was announced as following in chunks.
    /// - Throws: code 701 when no such content is due.
    public func endBody() async throws { try await onLoop { try $0.endBody() } }

    /// Sends requests in one task while another one reads their responses, which is how pipelining cannot deadlock.
    /// - Parameters:
    ///   - sending: makes the requests with ``sendRequest(_:_:headers:body:expectContinue:)``; it runs on the connection's loop.
    ///   - reading: called with each response in order. What it leaves unread of a content is skipped.
    /// - Throws: what either of the two throws; the connection has ended then.
    public func pipeline(
        sending: @escaping @Sendable () async throws -> Void, reading: (Response) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            do {
                try await onLoop { $0.beginPipeline() }
                group.addTask(executorPreference: shard.executor) { [machine] in
                    defer { machine.endPipeline() }
                    try await sending()
                }
                while let response = try await onLoop({ try await $0.nextPipelined() }) {
                    try await reading(response)
                    try await onLoop { try await $0.finishContent() }
                }
                try await group.waitForAll()
            } catch {
                // The sender may be waiting for a full socket: the end of the connection wakes it, to find itself cancelled.
                group.cancelAll()
                await disconnect()
                while await group.nextResult() != nil {}
                await disconnect()
                throw error
            }
        }
    }

    /// Waits for the head of the next response.
    /// - Throws: code 701 when no response is pending or the content of the one before was not read to its end;
    ///   `SkeinError` when the connection or the server's bytes fail.
    public func readResponse() async throws -> Response { try await onLoop { try await $0.readResponse() } }

    /// Reads a piece of the content.
    /// - Parameter count: bytes at most.
    /// - Returns: at least one byte; none at the end of the content.
    /// - Throws: code 701 when no response was read.
    public func read(_ count: Int) async throws -> ByteBuffer { try await onLoop { try await $0.read(count) } }

    /// Reads a piece of the content into an array, from its start.
    /// - Returns: the bytes read, at most as many as the array holds; 0 at the end of the content.
    public func readInto(_ bytes: inout [UInt8]) async throws -> Int {
        let piece = try await read(bytes.count)
        bytes.withUnsafeMutableBytes { target in
            piece.withUnsafeReadableBytes { target.copyMemory(from: $0) }
        }
        return piece.readableBytes
    }

    /// Reads the rest of the content.
    /// - Parameter maximum: bytes at most. Default: 256 MiB.
    /// - Throws: code 719 above the maximum; the connection ends.
    public func readAll(upTo maximum: Int = 256 << 20) async throws -> ByteBuffer {
        try await onLoop { try await $0.readAll(upTo: maximum) }
    }

    /// Whether a request was sent whose response, or the end of it, was not read.
    public var responsePending: Bool {
        get async { (try? await onLoop { $0.responsePending }) ?? false }
    }

    /// Whether the connection stands.
    public var isConnected: Bool {
        get async { (try? await onLoop { $0.isConnected }) ?? false }
    }

    private func onLoop<T: Sendable>(_ work: @Sendable (DrivenConnection) async throws -> T) async throws -> T {
        if shard.isCurrent { return try await work(machine) }
        return try await withTaskExecutorPreference(shard.executor) { try await work(machine) }
    }
}
