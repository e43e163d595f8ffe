// One call of a client: an HTTP/2 stream with its messages in both directions.

import GRPCCore
import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

/// A call in flight.
///
/// Unchecked: variables are used on the loop of its stream only.
final class GRPCClientCall: HTTPUpgrade, HTTP2TunnelUser, GRPCSink, GRPCPartsOwner, @unchecked Sendable {
    let inbox = Inbox<RPCResponsePart<GRPCBytes>>(maximum: 256 << 10)
    let outbox: GRPCOutbox
    private let shard: Shard
    private let encoder: GRPCMessageEncoder
    @exclusivity(unchecked) private var decoder: GRPCMessageDecoder
    @exclusivity(unchecked) private var tunnel: HTTP2Tunnel?
    @exclusivity(unchecked) private var isOver = false

    init(_ shard: Shard, compression: CompressionAlgorithm?, maximumMessageSize: Int) {
        self.shard = shard
        outbox = GRPCOutbox(shard)
        encoder = GRPCMessageEncoder(compression: ContentCoding(compression))
        decoder = GRPCMessageDecoder(maximum: maximumMessageSize)
    }

    // MARK: The stream

    var kind: HTTPUpgradeKind { .stream }

    func begin(
        on channel: any Channel, shard: Shard, _ head: ResponseHead, remainder: ByteBuffer
    ) throws(SkeinError) {
        throw SkeinError(.protocolSwitchingFailed, because: "a gRPC call needs HTTP/2")
    }

    func begin(on tunnel: HTTP2Tunnel, shard: Shard, _ head: ResponseHead?) throws(SkeinError) {
        guard !isOver else { throw SkeinError(.cancelled, because: "the call was cancelled") }
        self.tunnel = tunnel
        tunnel.carry(self)
        outbox.open(self)
    }

    /// The stream could not be opened.
    func fail(_ error: SkeinError) {
        shard.run { self.end(.failed(RPCError(error))) }
    }

    /// Cancels the call, unless it is over.
    func cancel() {
        shard.run {
            guard !self.isOver else { return }
            self.end(.failed(RPCError(code: .cancelled, message: "the call was cancelled")))
            self.tunnel?.close(.cancel)
        }
    }

    // MARK: Sending

    var isWritable: Bool { tunnel?.isWritable ?? false }

    func perform(_ item: GRPCOutbox.Item) {
        switch item {
        case .message(let bytes): tunnel?.write(bytes)
        case .end: tunnel?.endOutput()
        case .cancel: cancel()
        case .head, .trailers: break  // the head opens the stream, and trailers are the server's
        }
    }

    func becameWritable() { outbox.becameWritable() }

    // MARK: Receiving

    func caughtUp() { shard.run { self.tunnel?.setReading(true) } }

    private func push(_ part: RPCResponsePart<GRPCBytes>, size: Int = 64) {
        if !inbox.push(part, size: size) { tunnel?.setReading(false) }
    }

    func received(_ head: ResponseHead) {
        guard !isOver else { return }
        if head.bodyLength == .none { return finish(head.headers, head) }
        guard isUsable(head) else { return }
        if let coding = head.headers["grpc-encoding"], coding != "identity" {
            guard let known = ContentCoding(name: coding), known == .gzip || known == .deflate else {
                return refuse(.unimplemented, "the server compresses with \(coding), which was not offered")
            }
            decoder.compression = known
        }
        push(.metadata(Metadata(head.headers)))
    }

    /// Whether a response is a valid gRPC response; ends the call when it is not.
    private func isUsable(_ head: ResponseHead) -> Bool {
        let type = head.headers["Content-Type"] ?? "none"
        guard head.status == .ok else {
            let code = RPCError.Code(httpStatus: head.status.code)
            refuse(code, "the server answered \(head.status.code) \(head.status.reason) (\(type))")
            return false
        }
        guard type.lowercased().hasBytePrefix("application/grpc") else {
            refuse(.unknown, "the server's content type is \(type); is it a gRPC server?")
            return false
        }
        return true
    }

    func received(_ bytes: ByteBuffer, isLast: Bool) {
        guard !isOver else { return }
        decoder.append(bytes)
        do {
            while let message = try decoder.next() { push(.message(message), size: message.count + 64) }
        } catch {
            return refuse(RPCError(error))
        }
        if isLast { refuse(.internalError, "the server ended the call without a status") }
    }

    func received(trailers: Headers) { finish(trailers, nil) }

    private func finish(_ section: Headers, _ head: ResponseHead?) {
        guard !isOver else { return }
        guard let status = section.grpcStatus else {
            if let head, !isUsable(head) { return }
            return refuse(.internalError, "the server ended the call without a status")
        }
        if decoder.isInMessage, status.code == .ok {
            return refuse(.internalError, "the server ended the call in the middle of a message")
        }
        push(.status(status, Metadata(section)))
        end(.finished)
        // Parts of the call that the server does not want are not sent.
        tunnel?.endOrGiveUp()
    }

    private func refuse(_ code: RPCError.Code, _ message: String) { refuse(RPCError(code: code, message: message)) }

    private func refuse(_ error: RPCError) {
        end(.failed(error))
        tunnel?.close(.cancel)
    }

    func ended(_ error: (any Error)?) {
        end(.failed(error.map { RPCError($0) } ?? RPCError(code: .unavailable, message: "the connection was closed")))
        tunnel = nil
    }

    func leave(_ code: WebSocketCloseCode) {}

    private func end(_ end: Inbox<RPCResponsePart<GRPCBytes>>.End) {
        guard !isOver else { return }
        isOver = true
        inbox.finish(end)
        outbox.close()
    }
}

extension GRPCClientCall: ClosableRPCWriterProtocol {
    typealias Element = RPCRequestPart<GRPCBytes>

    func write(_ part: RPCRequestPart<GRPCBytes>) async throws {
        guard case .message(let message) = part else { return }  // the metadata has opened the stream
        do {
            try await outbox.write(.message(encoder.encode(message)))
        } catch {
            throw RPCError(error)
        }
    }

    func write(contentsOf parts: some Sequence<RPCRequestPart<GRPCBytes>>) async throws {
        for part in parts { try await write(part) }
    }

    func finish() async { _ = try? outbox.submit(.end) }

    func finish(throwing error: any Error) async { cancel() }
}

extension RPCError.Code {
    /// The status for an HTTP status without a gRPC status ("HTTP to gRPC Status Code Mapping").
    init(httpStatus code: Int) {
        self =
            switch code {
            case 400: .internalError
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unimplemented
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
    }
}
