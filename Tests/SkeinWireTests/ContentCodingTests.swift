import NIOCore
import PeerSupport
import SkeinWire
import Testing

/// Content codings: encoded and decoded, split at every place, and corrupted in every way.
@Suite("Content codings")
struct ContentCodingTests {
    private static let text = String(
        (0..<400).map { "\($0 * 7919 % 1000) threads in a skein, " }.joined())

    private func decode(
        _ bytes: ByteBuffer, _ codings: [ContentCoding], pieceSize: Int = .max, ratio: Int = 1000
    ) throws -> ByteBuffer {
        let decoder = try ContentDecoder(codings, maximumRatio: ratio)
        var rest = bytes
        var whole = ByteBuffer()
        while rest.readableBytes > 0 {
            decoder.append(rest.readSlice(length: min(pieceSize, rest.readableBytes)) ?? ByteBuffer())
            while let piece = try decoder.next() { whole.writeImmutableBuffer(piece) }
        }
        try decoder.finish()
        return whole
    }

    @Test("encoded content is decoded, however it is split", arguments: ContentCoding.allCases, [1, 7, 1000, .max])
    func roundTrip(coding: ContentCoding, pieceSize: Int) throws {
        for content in ["", "a", Self.text] {
            let coded = ContentEncoder.encode(ByteBuffer(string: content), coding)
            if content.count > 1000 { #expect(coded.readableBytes < content.utf8.count / 2) }
            #expect(String(buffer: try decode(coded, [coding], pieceSize: pieceSize)) == content)
        }
    }

    @Test("more than a megabyte passes through", arguments: ContentCoding.allCases)
    func large(coding: ContentCoding) throws {
        var random = SeededGenerator(seed: 5)
        let content = ByteBuffer(
            bytes: (0..<200_000).flatMap { _ in withUnsafeBytes(of: random.next() & 0x0F0F_0F0F_0F0F_0F0F) { Array($0) }
            })
        let encoder = ContentEncoder(coding)
        var coded = ByteBuffer()
        var rest = content
        while let piece = rest.readSlice(length: min(100_000, rest.readableBytes)), piece.readableBytes > 0 {
            coded.writeImmutableBuffer(encoder.encode(piece))
        }
        coded.writeImmutableBuffer(encoder.finish())
        #expect(try decode(coded, [coding], pieceSize: 65_536) == content)
    }

    @Test("nested codings are decoded in reverse order; too many are refused")
    func several() throws {
        let gzipped = ContentEncoder.encode(ByteBuffer(string: Self.text), .gzip)
        let twice = ContentEncoder.encode(gzipped, .brotli)
        #expect(String(buffer: try decode(twice, [.gzip, .brotli], pieceSize: 10)) == Self.text)
        #expect(throws: ContentCodingError.tooMany(5)) {
            try ContentDecoder(Array(repeating: .gzip, count: 5), maximumRatio: 10)
        }
    }

    @Test("truncated content is an error", arguments: ContentCoding.allCases)
    func truncated(coding: ContentCoding) throws {
        let coded = ContentEncoder.encode(ByteBuffer(string: Self.text), coding)
        for length in [1, 3, coded.readableBytes / 2, coded.readableBytes - 1] {
            let cut = try #require(coded.getSlice(at: coded.readerIndex, length: length))
            #expect(throws: ContentCodingError.self) { try decode(cut, [coding]) }
        }
    }

    @Test("data of another coding is an error", arguments: ContentCoding.allCases)
    func malformed(coding: ContentCoding) {
        let bytes = ByteBuffer(bytes: [0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, 0xF9, 0xF8, 0xF7, 0xF6])
        #expect(throws: ContentCodingError.self) { try decode(bytes, [coding]) }
    }

    @Test("raw deflate, gzip with several members, gzip with trailing bytes")
    func kinds() throws {
        // The deflated bytes inside a zlib frame: two bytes before them, four after.
        let framed = ContentEncoder.encode(ByteBuffer(string: Self.text), .deflate)
        let raw = try #require(framed.getSlice(at: 2, length: framed.readableBytes - 6))
        #expect(String(buffer: try decode(raw, [.deflate], pieceSize: 1)) == Self.text)
        var members = ContentEncoder.encode(ByteBuffer(string: "one "), .gzip)
        members.writeImmutableBuffer(ContentEncoder.encode(ByteBuffer(string: "two"), .gzip))
        #expect(String(buffer: try decode(members, [.gzip], pieceSize: 3)) == "one two")
        members.writeBytes([0, 0, 0])
        #expect(throws: ContentCodingError.trailing(.gzip)) { try decode(members, [.gzip]) }
    }

    @Test("a decompression bomb ends at the ratio, after a few megabytes", arguments: ContentCoding.allCases)
    func bomb(coding: ContentCoding) throws {
        let coded = ContentEncoder.encode(ByteBuffer(repeating: 0, count: 16 << 20), coding)
        let decoder = try ContentDecoder([coding], maximumRatio: 100)
        decoder.append(coded)
        var produced = 0
        #expect(throws: ContentCodingError.ratio(100)) {
            while let piece = try decoder.next() { produced += piece.readableBytes }
        }
        #expect(produced <= max(4 << 20, coded.readableBytes * 101))
        let strict = try ContentDecoder([coding], maximumRatio: 0)
        strict.append(coded)
        #expect(throws: ContentCodingError.ratio(1)) { while try strict.next() != nil {} }
    }

    @Test("names: any case, x-gzip, identity; an unknown one disables decoding")
    func names() {
        #expect(ContentCoding.list("GZip, br") == [.gzip, .brotli])
        #expect(ContentCoding.list("x-gzip, identity,") == [.gzip])
        #expect(ContentCoding.list("gzip, compress") == nil)
    }

    @Test("mutated input causes no crash and no hang", arguments: ContentCoding.allCases)
    func fuzzed(coding: ContentCoding) async throws {
        var mutator = Mutator(random: SeededGenerator(seed: 11))
        let good = Array(ContentEncoder.encode(ByteBuffer(string: Self.text), coding).readableBytesView)
        for number in 0..<FuzzTests.inputs / 60 {
            let bytes = mutator.mutate(good, with: good)
            _ = try? decode(ByteBuffer(bytes: bytes), [coding], pieceSize: 1 + number % 300)
            if number % 100 == 0 { await Task.yield() }
        }
    }
}
