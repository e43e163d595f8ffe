// One call on a server: the client's parts in, the handler's out.

import GRPCCore
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinWire

/// Handles a call.
typealias GRPCStreamHandler =
    @Sendable (RPCStream<SkeinServerTransport.Inbound, SkeinServerTransport.Outbound>, ServerContext) async -> Void

/// A call in flight.
///
/// Unchecked: variables are used on the loop of its stream only.
final class GRPCServerCall: ServerUpgrade, HTTP2TunnelUser, GRPCSink, GRPCPartsOwner, @unchecked Sendable {
    private let request: SkeinEngine.ServerRequest
    private let descriptor: MethodDescriptor
    private let handler: GRPCStreamHandler
    private let inbox = Inbox<RPCRequestPart<GRPCBytes>>(maximum: 256 << 10)
    private let outbox: GRPCOutbox
    private let encoder: GRPCMessageEncoder
    @exclusivity(unchecked) private var decoder: GRPCMessageDecoder
    @exclusivity(unchecked) private var tunnel: HTTP2Tunnel?
    @exclusivity(unchecked) private var date = ""
    @exclusivity(unchecked) private var hasAnswered = false
    @exclusivity(unchecked) private var isOver = false
    private var cancellation: ServerContext.RPCCancellationHandle?
    private var task: Task<Void, Never>?

    init(
        _ request: SkeinEngine.ServerRequest, _ descriptor: MethodDescriptor, maximumMessageSize: Int,
        _ handler: @escaping GRPCStreamHandler
    )
        throws(GRPCRefusal)
    {
        self.request = request
        self.descriptor = descriptor
        self.handler = handler
        outbox = GRPCOutbox(request.shard)
        decoder = GRPCMessageDecoder(maximum: maximumMessageSize)
        let coding = request.headers["grpc-encoding"] ?? "identity"
        if coding != "identity" {
            guard let known = ContentCoding(name: coding), known == .gzip || known == .deflate else {
                throw GRPCRefusal(.unimplemented, "messages compressed with \(coding) are not understood")
            }
            decoder.compression = known
        }
        // If the client compresses its messages, responses are compressed, too, if it accepts that.
        let accepted = request.headers.listContains("grpc-accept-encoding", token: coding)
        encoder = GRPCMessageEncoder(compression: accepted ? decoder.compression : nil)
    }

    // MARK: The stream

    var connectionUser: (any ByteTransportUser)? { nil }

    func begin(on handler: TransportChannelHandler) {}

    func begin(on tunnel: HTTP2Tunnel, _ response: SkeinEngine.ServerResponse, date: String) {
        self.tunnel = tunnel
        self.date = date
        tunnel.carry(self)
        outbox.open(self)
        _ = inbox.push(.metadata(Metadata(request.headers)), size: 64)
        if request.body.isEmpty { inbox.finish(.finished) }
        let stream = RPCStream(
            descriptor: descriptor,
            inbound: SkeinServerTransport.Inbound(wrapping: GRPCParts(inbox: inbox, call: self)),
            outbound: SkeinServerTransport.Outbound(wrapping: self))
        let peer = request.remoteAddress.map { "\($0)" } ?? "unix"
        task = request.shard.startTask {
            await withServerContextRPCCancellationHandle { handle in
                self.cancellation = handle
                if self.isOver { handle.cancel() }
                await self.handler(
                    stream,
                    ServerContext(
                        descriptor: self.descriptor, remotePeer: peer, localPeer: "skein", cancellation: handle))
            }
            self.handled()
        }
    }

    /// The handler has returned.
    private func handled() {
        cancellation = nil
        task = nil
        guard !isOver else { return }
        // The handler should have sent a status.
        tunnel?.close(.internalError)
        end()
    }

    // MARK: Sending

    var isWritable: Bool { tunnel?.isWritable ?? false }

    func perform(_ item: GRPCOutbox.Item) {
        guard let tunnel, !isOver else { return }
        do {
            switch item {
            case .head(let headers):
                hasAnswered = true
                try tunnel.respond(.ok, headers, date: date)
            case .message(let bytes): tunnel.write(bytes)
            case .trailers(let trailers):
                if hasAnswered {
                    try tunnel.finish(trailers)
                } else {
                    var headers = head
                    for field in trailers { headers.add(field.name, field.value) }
                    try tunnel.respond(.ok, headers, date: date, isLast: true)
                }
                end()
                tunnel.setReading(true)  // further messages of the client are discarded
            case .cancel(let code):
                end()
                tunnel.close(code)
            case .end: break
            }
        } catch {
            end()
            tunnel.close(.internalError)
        }
    }

    func becameWritable() { outbox.becameWritable() }

    private var head: Headers {
        var headers: Headers = ["content-type": "application/grpc"]
        if let coding = encoder.compression { headers["grpc-encoding"] = coding.rawValue }
        return headers
    }

    // MARK: Receiving

    func caughtUp() { request.shard.run { self.tunnel?.setReading(true) } }

    func received(_ head: ResponseHead) {}

    func received(_ bytes: ByteBuffer, isLast: Bool) {
        guard !isOver else {
            if !isLast { tunnel?.refuseMore() }
            return
        }
        decoder.append(bytes)
        do {
            while let message = try decoder.next() {
                if !inbox.push(.message(message), size: message.count + 64) { tunnel?.setReading(false) }
            }
        } catch {
            return fail(error)
        }
        if isLast {
            if decoder.isInMessage {
                return fail(RPCError(code: .internalError, message: "the call ended in the middle of a message"))
            }
            inbox.finish(.finished)
        }
    }

    func received(trailers: Headers) { received(ByteBuffer(), isLast: true) }

    /// The client's bytes are malformed: the call fails on both sides.
    private func fail(_ error: any Error) {
        let error = RPCError(error)
        inbox.finish(.failed(error))
        perform(.trailers(Headers(Status(code: Status.Code(error.code), message: error.message), error.metadata)))
    }

    func ended(_ error: (any Error)?) {
        if !isOver {
            cancellation?.cancel()
            task?.cancel()
        }
        end()
        tunnel = nil
    }

    func leave(_ code: WebSocketCloseCode) {}

    private func end() {
        guard !isOver else { return }
        isOver = true
        inbox.finish(.failed(RPCError(code: .cancelled, message: "the call is over")))
        outbox.close()
    }
}

extension GRPCServerCall: ClosableRPCWriterProtocol {
    typealias Element = RPCResponsePart<GRPCBytes>

    func write(_ part: RPCResponsePart<GRPCBytes>) async throws {
        do {
            switch part {
            case .metadata(let metadata):
                var headers = head
                headers.add(metadata)
                try outbox.submit(.head(headers))
            case .message(let message): try await outbox.write(.message(encoder.encode(message)))
            case .status(let status, let metadata): try outbox.submit(.trailers(Headers(status, metadata)))
            }
        } catch {
            throw RPCError(error)
        }
    }

    func write(contentsOf parts: some Sequence<RPCResponsePart<GRPCBytes>>) async throws {
        for part in parts { try await write(part) }
    }

    func finish() async {}

    func finish(throwing error: any Error) async { _ = try? outbox.submit(.cancel(.cancel)) }
}

/// A call that is refused before a handler is called.
struct GRPCRefusal: Error {
    let status: Status

    init(_ code: Status.Code, _ message: String) { status = Status(code: code, message: message) }
}
