// The client transport of grpc-swift over Skein's HTTP/2: generated stubs work unchanged.

import GRPCCore
import NIOCore
import Skein
import SkeinHTTP
import SkeinWire
import Synchronization

/// A transport for `GRPCClient`: every call is a stream on the connections of a Skein session.
///
///     let client = GRPCClient(transport: try SkeinClientTransport("http://localhost:50051"))
///
/// Calls use HTTP/2, in clear text by prior knowledge. Connections are opened on demand, reused, checked by PINGs, and
/// replaced when they are lost, according to the session's settings; a call on a lost connection fails with
/// `unavailable`, and is retried if the service config allows it.
public final class SkeinClientTransport: ClientTransport {
    public typealias Bytes = GRPCBytes

    private struct State {
        var calls: [ObjectIdentifier: GRPCClientCall] = [:]
        var isShuttingDown = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    /// The size limit of a message unless a call or the service config sets another: gRPC's usual limit.
    private static let defaultMessageSize = 4 << 20

    private let origin: HTTPOrigin
    private let prefix: String
    private let headers: Headers
    private let auth: HTTPAuth?
    private let skein: SkeinClient
    private let configuration: ServiceConfig
    private let state = Mutex(State())

    /// The retry throttle of the service config.
    public let retryThrottle: RetryThrottle?

    /// A transport to a server.
    /// - Parameters:
    ///   - url: `http://` or `https://`; a path is a prefix of the services' names.
    ///   - skein: the session with the loops and connections. Default: one of its own.
    ///   - serviceConfig: retries, hedging, timeouts and size limits by method. Default: none.
    ///   - headers: header fields of every call.
    ///   - auth: credentials of a fixed kind, such as basic or bearer.
    /// - Throws: code 701 for a malformed URL.
    public init(
        _ url: String, skein: SkeinClient = SkeinClient(), serviceConfig: ServiceConfig = ServiceConfig(),
        headers: Headers = Headers(), auth: HTTPAuth? = nil
    ) throws(SkeinError) {
        let parsed = try HTTPURL(url)
        origin = parsed.origin
        prefix = parsed.target.hasByteSuffix("/") ? String(parsed.target.dropLast()) : parsed.target
        self.headers = headers
        self.auth = auth
        self.skein = skein
        configuration = serviceConfig
        retryThrottle = serviceConfig.retryThrottling.map { RetryThrottle(policy: $0) }
    }

    /// A transport to a member of an alias.
    init(_ origin: HTTPOrigin, prefix: String, skein: SkeinClient, auth: HTTPAuth?) {
        self.origin = origin
        self.prefix = prefix
        self.auth = auth
        self.skein = skein
        headers = Headers()
        configuration = ServiceConfig()
        retryThrottle = nil
    }

    /// The service config of a method: its own entry, its service's, or the default.
    public func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? {
        let service = descriptor.service.fullyQualifiedService
        func entry(_ service: String, _ method: String) -> MethodConfig? {
            configuration.methodConfig.first { config in
                config.names.contains { $0.service == service && $0.method == method }
            }
        }
        return entry(service, descriptor.method) ?? entry(service, "") ?? entry("", "")
    }

    /// Waits until a shutdown has begun and all calls are over. Connections are opened by calls.
    public func connect() async throws {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isShuttingDown, state.calls.isEmpty { return true }
                    state.waiter = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            beginGracefulShutdown()
            for call in state.withLock({ Array($0.calls.values) }) { call.cancel() }
        }
    }

    /// Accepts no more calls.
    public func beginGracefulShutdown() { wakeIfOver { $0.isShuttingDown = true } }

    private func wakeIfOver(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            change(&state)
            guard state.isShuttingDown, state.calls.isEmpty else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Makes a call.
    public func withStream<T: Sendable>(
        descriptor: MethodDescriptor, options: CallOptions,
        _ closure: (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> T
    ) async throws -> T {
        let shard = skein.session.pickShard()
        let call = GRPCClientCall(
            shard, compression: options.compression,
            maximumMessageSize: options.maxResponseMessageBytes ?? Self.defaultMessageSize)
        try state.withLock { state in
            guard !state.isShuttingDown else {
                throw RPCError(code: .failedPrecondition, message: "the transport is shutting down")
            }
            state.calls[ObjectIdentifier(call)] = call
        }
        defer {
            call.cancel()  // does nothing when it is over
            wakeIfOver { $0.calls[ObjectIdentifier(call)] = nil }
        }
        let writer = Opening(
            call: call, maximum: options.maxRequestMessageBytes ?? .max,
            open: { [skein] metadata in
                skein.http.open(
                    self.request(descriptor, options, metadata, call), on: shard,
                    waitsForReady: options.waitForReady ?? false, isWanted: { !call.inbox.hasEnded }
                ) { call.fail($0) }
            })
        let stream = RPCStream<Inbound, Outbound>(
            descriptor: descriptor, inbound: RPCAsyncSequence(wrapping: GRPCParts(inbox: call.inbox, call: call)),
            outbound: RPCWriter.Closable(wrapping: writer))
        let context = ClientContext(descriptor: descriptor, remotePeer: origin.description, localPeer: "skein")
        return try await closure(stream, context)
    }

    private func request(
        _ descriptor: MethodDescriptor, _ options: CallOptions, _ metadata: Metadata, _ call: GRPCClientCall
    ) -> HTTPRequest {
        var fields: Headers = [
            "content-type": "application/grpc", "te": "trailers", "grpc-accept-encoding": "gzip, deflate",
        ]
        if let coding = ContentCoding(options.compression) { fields["grpc-encoding"] = coding.rawValue }
        for field in headers { fields.add(field.name, field.value) }
        fields.add(metadata)
        let url = HTTPURL(
            origin: origin,
            target: "\(prefix)/\(descriptor.service.fullyQualifiedService)/\(descriptor.method)")
        var request = HTTPRequest(.post, url, headers: fields, auth: auth)
        request.upgrade = call
        request.layers = []
        return request
    }

    /// The writer of a call: its metadata opens the stream.
    private struct Opening: ClosableRPCWriterProtocol {
        let call: GRPCClientCall
        let maximum: Int
        let open: @Sendable (Metadata) -> Void

        func write(_ part: RPCRequestPart<GRPCBytes>) async throws {
            switch part {
            case .metadata(let metadata): open(metadata)
            case .message(let message) where message.count > maximum:
                throw RPCError(
                    code: .resourceExhausted,
                    message: "a message of \(message.count) bytes exceeds the limit of \(maximum) bytes")
            case .message: try await call.write(part)
            }
        }

        func write(contentsOf parts: some Sequence<RPCRequestPart<GRPCBytes>>) async throws {
            for part in parts { try await write(part) }
        }

        func finish() async { await call.finish() }

        func finish(throwing error: any Error) async { await call.finish(throwing: error) }
    }
}
