// Chunked signatures, computed while the content is sent
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html).

import Crypto
import NIOCore
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension AWSSigner {
    /// A request whose content is signed chunk by chunk, so that it need not be complete before it is sent.
    /// - Parameters:
    ///   - request: the request; its content is replaced.
    ///   - content: pieces of any size; iterated once for each time the request is sent.
    ///   - length: the sum of all pieces in bytes.
    ///   - chunk: the size of a chunk, at least 8 KiB. Default: 64 KiB.
    ///   - moment: the time of the signature. Default: now.
    public func signChunked<Pieces: Sequence & Sendable>(
        _ request: HTTPRequest, content: Pieces, length: Int, chunk: Int = 64 << 10, at moment: Date = Date()
    ) -> HTTPRequest where Pieces.Element == ByteBuffer {
        let size = max(8 << 10, chunk)
        let moment = AWSMoment(moment)
        var request = request
        request.headers["Content-Encoding"] = ["aws-chunked", request.headers["Content-Encoding"]].compactMap { $0 }
            .joined(separator: ",")
        request.headers["X-Amz-Decoded-Content-Length"] = "\(length)"
        let type = request.body.contentType
        request.body = .none
        if let type, request.headers["Content-Type"] == nil { request.headers["Content-Type"] = type }
        var (signed, seed) = sign(
            request, contentHash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", isNamed: true, moment)
        signed.body = .sequence(
            SignedChunks(signer: self, moment: moment, seed: seed, content: content, size: size),
            length: Self.chunkedLength(length, chunk: size))
        return signed
    }

    private static let signatureLength = ";chunk-signature=".utf8.count + 64

    /// The encoded size in bytes.
    private static func chunkedLength(_ length: Int, chunk: Int) -> Int {
        func one(_ size: Int) -> Int { String(size, radix: 16).utf8.count + signatureLength + 4 + size }
        let rest = length % chunk
        return length / chunk * one(chunk) + (rest > 0 ? one(rest) : 0) + one(0)
    }
}

/// Content cut to chunks, each with its signature, which depends on the previous one.
struct SignedChunks<Pieces: Sequence & Sendable>: Sequence, Sendable where Pieces.Element == ByteBuffer {
    let signer: AWSSigner
    let moment: AWSMoment
    let seed: String
    let content: Pieces
    let size: Int

    func makeIterator() -> AnyIterator<ByteBuffer> {
        var pieces = content.makeIterator()
        var waiting = ByteBuffer()
        var signature = seed
        var isOver = false
        return AnyIterator {
            guard !isOver else { return nil }
            while waiting.readableBytes < size, var piece = pieces.next() { waiting.writeBuffer(&piece) }
            let data = waiting.readSlice(length: Swift.min(size, waiting.readableBytes)) ?? ByteBuffer()
            isOver = data.readableBytes == 0
            signature = sign(data, after: signature)
            var chunk = ByteBuffer()
            chunk.writeString("\(String(data.readableBytes, radix: 16));chunk-signature=\(signature)\r\n")
            chunk.writeImmutableBuffer(data)
            chunk.writeStaticString("\r\n")
            waiting.discardReadBytes()
            return chunk
        }
    }

    private func sign(_ data: ByteBuffer, after previous: String) -> String {
        return signer.sign(
            "AWS4-HMAC-SHA256-PAYLOAD\n\(moment.time)\n\(signer.scope(moment))\n\(previous)\n"
                + "\(SHA256.hex(ByteBuffer()))\n\(SHA256.hex(data))", moment)
    }
}
