// A manually driven connection: the caller decides when a request is sent and when a piece of a response is read. One
// task may send while another one reads, as pipelining requires.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

/// One HTTP/1.1 connection to one server, driven call by call.
///
/// Requests are answered in order. Any number may be sent before the first response is read, as long as another task
/// reads: with one task for both, the sender would wait for a server that waits for a reader. Tasks that prefer
/// ``Shard/executor`` of ``shard`` drive the connection without leaving its thread.
///
/// A call in the wrong order throws an error with code 701, and has no effect.
public final class HTTPConnection: Sendable {
    /// How the content of a request is supplied.
    public enum Body: Sendable {
        /// No content.
        case none
        /// The complete content.
        case bytes(ByteBuffer)
        /// Exactly so many bytes follow in calls of ``HTTPConnection/write(_:)``.
        case following(Int)
        /// Chunks follow in calls of ``HTTPConnection/write(_:)``, ended by ``HTTPConnection/endBody()``.
        case followingChunks
    }

    /// The head of a response, with the request that it answers.
    public struct Response: Sendable {
        /// The method of the request.
        public let method: HTTPMethod
        /// The target of the request.
        public let target: String
        /// The response head.
        public let head: ResponseHead

        /// The status code.
        public var status: Int { head.status.code }
        /// The reason phrase.
        public var reason: String { head.reason }
        /// The header section.
        public var headers: Headers { head.headers }
    }

    /// The origin that the connection leads to.
    public let origin: HTTPOrigin
    /// The shard whose loop drives the connection.
    public let shard: Shard
    private let machine: DrivenConnection

    /// A connection that is opened by the first request.
    /// - Parameters:
    ///   - url: scheme, host and port; the rest is ignored.
    ///   - shard: the shard that drives the connection. Default: one of the process's own.
    ///   - tls: for `https`: trust roots and client certificate. Default: the server is verified.
    ///   - proxy: opens a tunnel to the server. Default: none.
    ///   - connectTimeout: for establishing the connection. Default: 10 s.
    ///   - timeout: the longest wait for bytes from the server. Default: 60 s.
    ///   - limits: the limits of the parser. Default: curl's.
    ///   - parsing: which malformed responses are accepted. Default: those that curl accepts.
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

    /// The TLS parameters of the latest connection, the server's certificate included.
    public var tls: TLSInfo? { get async { try? await onLoop { $0.tls } } }

    /// Opens the connection now, if it is not open.
    /// - Throws: `SkeinError` with the code of the failure.
    public func connect() async throws { try await onLoop { try await $0.connect() } }

    /// Closes the connection; unread responses are lost. The next request opens a new one.
    public func disconnect() async { try? await onLoop { $0.disconnect() } }

    /// Sends a request, or its head when the content follows. Returns when the socket has accepted it.
    /// - Parameters:
    ///   - method: the method.
    ///   - target: path and query, starting with a slash.
    ///   - headers: fields beside Host and the framing, which are set by the connection.
    ///   - body: the content, or how it follows.
    ///   - expectContinue: sends `Expect: 100-continue` (RFC 9110, section 10.1.1); the next ``readResponse()`` then
    ///     returns the 100, or the refusal.
    /// - Throws: code 701 while the content of the previous request is incomplete, or for an invalid field.
    public func sendRequest(
        _ method: HTTPMethod, _ target: String, headers: Headers = Headers(), body: Body = .none,
        expectContinue: Bool = false
    ) async throws {
        try await onLoop {
            try await $0.sendRequest(method, target, headers, body, expectContinue: expectContinue)
        }
    }

    /// Sends a piece of the content that was announced as following. Returns when the socket has accepted it.
    /// - Throws: code 701 when no content is due, or more than was announced.
    public func write(_ bytes: ByteBuffer) async throws { try await onLoop { try await $0.write(bytes) } }

    /// Ends a content that was announced as following in chunks.
    /// - Throws: code 701 when no such content is due.
    public func endBody() async throws { try await onLoop { try $0.endBody() } }

    /// Sends requests in one task while another one reads their responses, so that pipelining cannot deadlock.
    /// - Parameters:
    ///   - sending: makes the requests with ``sendRequest(_:_:headers:body:expectContinue:)``; it runs on the connection's loop.
    ///   - reading: called with each response in order. Content that it leaves unread is skipped.
    /// - Throws: the error of either closure; the connection has ended then.
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
                // The sender may be waiting for a full socket: the end of the connection resumes it, and it finds
                // itself cancelled.
                group.cancelAll()
                await disconnect()
                while await group.nextResult() != nil {}
                await disconnect()
                throw error
            }
        }
    }

    /// Waits for the head of the next response.
    /// - Throws: code 701 when no response is pending or the content of the previous one was not read to its end;
    ///   `SkeinError` when the connection fails or the server's bytes are malformed.
    public func readResponse() async throws -> Response { try await onLoop { try await $0.readResponse() } }

    /// Reads a piece of the content.
    /// - Parameter count: bytes at most.
    /// - Returns: at least one byte; an empty buffer at the end of the content.
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

    /// Whether a response, or the end of it, is still to be read.
    public var responsePending: Bool {
        get async { (try? await onLoop { $0.responsePending }) ?? false }
    }

    /// Whether the connection is open.
    public var isConnected: Bool {
        get async { (try? await onLoop { $0.isConnected }) ?? false }
    }

    private func onLoop<T: Sendable>(_ work: @Sendable (DrivenConnection) async throws -> T) async throws -> T {
        if shard.isCurrent { return try await work(machine) }
        return try await withTaskExecutorPreference(shard.executor) { try await work(machine) }
    }
}
