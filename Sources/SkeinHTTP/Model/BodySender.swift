// Sends a streamed body, of a request or of a response: one piece after the other, each when the socket can take it.

import NIOCore
import SkeinCore
import SkeinWire

/// Takes the pieces of a streamed body: a connection of either role.
package protocol BodySink: AnyObject, Sendable {
    /// Writes a piece and returns when the next one can be written. On the loop.
    func write(piece: ByteBuffer, chunked: Bool) async throws
    /// Writes the end of the body. On the loop.
    /// - Parameter trailers: the trailer section of the body; nil for none.
    func writeBodyEnd(chunked: Bool, trailers: Headers?)
}

/// How sending a streamed body ended.
package enum BodyOutcome: Sendable {
    /// All of it is written.
    case sent
    /// The connection ended, or the peer does not want the rest.
    case unwanted
    /// The source failed or its length differs from the announced one.
    case failed(SkeinError)
}

extension AsyncThrowingChunks {
    /// Writes all pieces to a sink. Runs on the sink's loop.
    /// - Parameter length: the bytes that were announced; nil for a chunked body.
    package func send(to sink: some BodySink, length: Int?, peer: String) async -> BodyOutcome {
        func fault(_ message: String, cause: (any Error)? = nil) -> BodyOutcome {
            .failed(SkeinError(.exception, peer: peer, because: message, cause: cause))
        }
        var sent = 0
        while true {
            // The consumer is gone.
            if Task.isCancelled { return .unwanted }
            let piece: ByteBuffer?
            do {
                piece = try await next()
            } catch is CancellationError where Task.isCancelled {
                return .unwanted
            } catch {
                return fault("the source of the body failed: \(error)", cause: error)
            }
            guard let piece else { break }
            sent += piece.readableBytes
            if let length, sent > length { return fault("the body is longer than the \(length) bytes announced") }
            do {
                try await sink.write(piece: piece, chunked: length == nil)
            } catch {
                return .unwanted
            }
        }
        if let length, sent < length { return fault("the body ended after \(sent) of the \(length) bytes announced") }
        sink.writeBodyEnd(chunked: length == nil, trailers: trailers)
        return .sent
    }
}
