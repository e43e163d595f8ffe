// The sender's side of a manually driven connection.

import NIOCore
import SkeinCore
import SkeinWire

extension DrivenConnection {
    func sendRequest(
        _ method: HTTPMethod, _ target: String, _ headers: Headers, _ body: HTTPConnection.Body, expectContinue: Bool
    ) async throws {
        try Task.checkCancellation()
        if case .none = following {
        } else {
            throw stateError("the content of the previous request is not complete; write the rest of it first")
        }
        if case .following(let count) = body, count < 0 { throw stateError("a content cannot have \(count) bytes") }
        try await connect()
        if let failure { throw failure }
        var headers = headers
        if expectContinue { headers["Expect"] = "100-continue" }
        do {
            try HTTP1Encoder.writeRequestHead(
                method: method, target: target, host: origin.authority, headers: headers, bodyLength: body.length,
                into: &output.bytes)
        } catch {
            throw SkeinError(.exception, peer: origin.description, because: error.description, cause: error)
        }
        decoder.expectResponse(to: method)
        pending.append(Pending(method: method, target: target, expectsContinue: expectContinue))
        if isPipelining, pending.count == 1 { wakeReader() }
        switch body {
        case .none: break
        case .bytes(let bytes): output.bytes.writeImmutableBuffer(bytes)
        case .following(0): break
        case .following, .followingChunks: following = body
        }
        try await flushOutput()
    }

    func write(_ bytes: ByteBuffer) async throws {
        if let failure { throw failure }
        switch following {
        case .following(let left):
            guard bytes.readableBytes <= left else {
                throw stateError(
                    "\(bytes.readableBytes) bytes exceed the remaining \(left) bytes of the announced content")
            }
            output.bytes.writeImmutableBuffer(bytes)
            following = left == bytes.readableBytes ? .none : .following(left - bytes.readableBytes)
        case .followingChunks: HTTP1Encoder.writeChunk(bytes, into: &output.bytes)
        case .none, .bytes:
            throw stateError("the request announced no content; announce it with sendRequest(body: .following(n))")
        }
        try await flushOutput()
    }

    func endBody() throws {
        if let failure { throw failure }
        guard case .followingChunks = following else {
            throw stateError(
                "the request announced no chunked content; announce it with sendRequest(body: .followingChunks)")
        }
        following = .none
        try HTTP1Encoder.writeLastChunk(trailers: nil, into: &output.bytes)
        output.flushSoon()
    }

    /// Requests sent in one tick leave in one write; a sender that is ahead of the socket waits for it.
    func flushOutput() async throws {
        output.flushSoon()
        guard output.count > Self.highWater / 4 else { return }
        guard !output.hasWaiters else { throw stateError("two tasks send on one connection; let one of them send") }
        do {
            try await output.untilWritable()
        } catch {
            throw failure
                ?? SkeinError(
                    .connectionClosed, peer: origin.description, because: "the connection has ended", cause: error)
        }
        if let failure { throw failure }
    }
}
