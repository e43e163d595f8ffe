// The reader's side of a manually driven connection: events are decoded on demand.

import NIOCore
import SkeinCore
import SkeinWire

extension DrivenConnection {
    // MARK: Reading

    func readResponse() async throws -> HTTPConnection.Response {
        guard reading != .content else {
            throw stateError("the content of the previous response was not read to its end; read it or disconnect")
        }
        guard let request = pending.first else { throw stateError("no response is pending; send a request first") }
        while true {
            switch try await nextEvent() {
            case .informational(let head):
                guard request.expectsContinue, head.status == .continue else { continue }
                pending[0] = Pending(method: request.method, target: request.target, expectsContinue: false)
                return HTTPConnection.Response(method: request.method, target: request.target, head: head)
            case .head(let head):
                pending.removeFirst()
                reading = .content
                if head.bodyLength == .none { try await finishContent() }
                // After a refusal, the content is not sent (RFC 9110, section 10.1.1).
                if request.expectsContinue, head.status.code >= 300 { following = .none }
                return HTTPConnection.Response(method: request.method, target: request.target, head: head)
            case .upgraded:
                throw fail(.protocolSwitchingFailed, "the server switched to another protocol")
            case .body, .end:
                throw fail(.responseHeaderError, "the parts of the server's answer are out of order")
            }
        }
    }

    func read(_ count: Int) async throws -> ByteBuffer {
        guard count > 0 else { return ByteBuffer() }
        while true {
            if let piece = leftover.readSlice(length: min(count, leftover.readableBytes)), piece.readableBytes > 0 {
                return piece
            }
            switch reading {
            case .nothing: throw stateError("no response was read; call readResponse() first")
            case .finished: return ByteBuffer()
            case .content: try await readPiece()
            }
        }
    }

    func readAll(upTo maximum: Int) async throws -> ByteBuffer {
        var whole = try await read(.max)
        while true {
            guard whole.readableBytes <= maximum else {
                throw fail(.contentTooLarge, "the content is larger than the limit of \(maximum) bytes")
            }
            let piece = try await read(.max)
            if piece.readableBytes == 0 { return whole }
            whole.writeImmutableBuffer(piece)
        }
    }

    /// Reads and drops the rest of the current content.
    func finishContent() async throws {
        leftover.clear()
        while reading == .content {
            try await readPiece()
            leftover.clear()
        }
    }

    // MARK: Pipelining

    func beginPipeline() { isPipelining = true }

    func endPipeline() {
        isPipelining = false
        wakeReader()
    }

    /// The next response, or nil when the sender has finished and all responses are read.
    func nextPipelined() async throws -> HTTPConnection.Response? {
        while pending.isEmpty {
            guard isPipelining else { return nil }
            if let failure { throw failure }
            await waitForReader()
            try Task.checkCancellation()
        }
        return try await readResponse()
    }

    func waitForReader() async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { reader = $0 }
        } onCancel: {
            shard.run { self.wakeReader() }
        }
    }

    func readPiece() async throws {
        switch try await nextEvent() {
        case .body(let bytes): leftover = bytes
        case .end(_, let reusable):
            reading = .finished
            if !reusable { channel?.close(promise: nil) }
        case .informational, .head, .upgraded:
            throw fail(.bodyError, "the parts of the server's answer are out of order")
        }
    }

    /// The next event of the codec, once its bytes have arrived.
    func nextEvent() async throws -> HTTP1ResponseDecoder.Event {
        while true {
            do {
                if let event = try decoder.next() { return event }
                if peerHasFinished, let event = try decoder.finish() { return event }
            } catch .truncated {
                throw fail(.bodyError, "the connection ended in the middle of the answer")
            } catch {
                let code: SkeinError.Code = decoder.isReadingBody ? .bodyError : .responseHeaderError
                throw fail(code, "the answer is malformed: \(error)")
            }
            if let failure { throw failure }
            if peerHasFinished { throw fail(.noResponse, "the server closed the connection without an answer") }
            guard reader == nil else { throw stateError("two tasks read from one connection; let one of them read") }
            guard channel != nil else { throw stateError("the connection is not made; send a request first") }
            if output.count > 0 || !gate.isOpen {
                output.flush()
                gate.open(channel)
                continue  // either may have ended the connection, or received bytes, before a reader waited for them
            }
            timer = shard.timers.schedule(self, at: shard.now + TimeAmount(timeout))
            await waitForReader()
            if let timer { shard.timers.cancel(timer) }
            timer = nil
            try Task.checkCancellation()
        }
    }
}
