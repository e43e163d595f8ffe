// The server transport of grpc-swift over Skein's engine: generated services work unchanged.

import GRPCCore
import NIOCore
import SkeinEngine
import SkeinWire
import Synchronization

/// A transport for `GRPCServer`: calls are streams of an engine's HTTP/2 connections.
///
///     let transport = SkeinServerTransport(ServerConfiguration(addresses: [.tcp("0.0.0.0", port: 50051)]))
///     try await GRPCServer(transport: transport, services: [Guide()]).serve()
///
/// A call's handler runs as a task on the loop of its connection: work that blocks or computes for long must run
/// elsewhere.
public final class SkeinServerTransport: ServerTransport {
    public typealias Bytes = GRPCBytes

    private struct State {
        var server: HTTPServer?
        var addresses: [ServerConfiguration.Address]?
        var waiters: [CheckedContinuation<[ServerConfiguration.Address], any Error>] = []
        var isShuttingDown = false
        var stop: CheckedContinuation<Void, Never>?
    }

    private let configuration: ServerConfiguration
    private let maximumMessageSize: Int
    private let state = Mutex(State())

    /// A transport that listens when it is told to.
    /// - Parameters:
    ///   - configuration: addresses, TLS, threads, limits.
    ///   - maximumMessageSize: the size limit of a client's message, decompressed; a longer one ends its call with
    ///     `resourceExhausted`. Default: 4 MiB.
    public init(_ configuration: ServerConfiguration = ServerConfiguration(), maximumMessageSize: Int = 4 << 20) {
        var configuration = configuration
        configuration.maximumBodySize = .max  // a call has no limit in total; each message has one
        self.configuration = configuration
        self.maximumMessageSize = maximumMessageSize
    }

    /// The addresses, with the chosen ports in place of port 0, once it listens.
    /// - Throws: `SkeinError` code 714 when listening fails.
    public var listeningAddresses: [ServerConfiguration.Address] {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let known = state.withLock { state in
                    if state.addresses == nil { state.waiters.append(continuation) }
                    return state.addresses
                }
                if let known { continuation.resume(returning: known) }
            }
        }
    }

    /// Listens until a shutdown has begun and all calls are over, or the task is cancelled.
    public func listen(
        streamHandler: @escaping @Sendable (RPCStream<Inbound, Outbound>, ServerContext) async -> Void
    ) async throws {
        let server = HTTPServer(
            configuration,
            immediate: { [maximumMessageSize] request in
                try Self.answer(request, maximumMessageSize, streamHandler)
            })
        do {
            let addresses = try await server.start()
            let waiters = state.withLock { state in
                state.addresses = addresses
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume(returning: addresses) }
        } catch {
            for waiter in state.withLock({ $0.waiters }) { waiter.resume(throwing: error) }
            throw error
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if !state.isShuttingDown { state.stop = continuation }
                    return state.isShuttingDown
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            beginGracefulShutdown()
        }
        await server.stop()
    }

    /// Accepts no more connections; calls in flight continue to their end, or to the configuration's `shutdownTimeout`.
    public func beginGracefulShutdown() {
        let stop = state.withLock { state in
            state.isShuttingDown = true
            defer { state.stop = nil }
            return state.stop
        }
        stop?.resume()
    }

    private static func answer(
        _ request: SkeinEngine.ServerRequest, _ maximumMessageSize: Int, _ handler: @escaping GRPCStreamHandler
    ) throws -> SkeinEngine.ServerResponse {
        guard request.version == .http2 else { throw ServerError(505, "gRPC is served here, over HTTP/2") }
        guard request.headers["Content-Type"]?.lowercased().hasBytePrefix("application/grpc") ?? false else {
            throw ServerError(415, "gRPC is served here; its content type is application/grpc")
        }
        guard request.method == .post else { throw ServerError(405, "a call is a POST", headers: ["Allow": "POST"]) }
        do throws(GRPCRefusal) {
            let names = request.path.splitBytes(separator: "/", omittingEmptySubsequences: false)
            guard names.count == 3, names[0].isEmpty else {
                throw GRPCRefusal(.unimplemented, "\(request.path) names no method")
            }
            let call = try GRPCServerCall(
                request, MethodDescriptor(fullyQualifiedService: String(names[1]), method: String(names[2])),
                maximumMessageSize: maximumMessageSize, handler)
            var response = SkeinEngine.ServerResponse()
            response.upgrade = call
            return response
        } catch {
            var headers = Headers(error.status, [:])
            headers["content-type"] = "application/grpc"
            headers["grpc-accept-encoding"] = "gzip, deflate"
            return SkeinEngine.ServerResponse(.ok, headers: headers)
        }
    }
}
