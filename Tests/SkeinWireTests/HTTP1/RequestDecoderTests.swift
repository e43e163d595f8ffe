import NIOCore
import SkeinWire
import Testing

/// A decoder's result for a complete input.
private struct Decoded: Equatable {
    var heads: [String] = []
    var bodies: [String] = []
    var trailers: [String] = []
    var error: HTTP1Error?
}

/// Feeds pieces and collects the events.
private func decode(_ pieces: [ByteBuffer], limits: HTTP1Limits = HTTP1Limits()) -> Decoded {
    var decoder = HTTP1RequestDecoder(limits: limits)
    var decoded = Decoded()
    var body = ""
    do throws(HTTP1Error) {
        for piece in pieces {
            decoder.append(piece)
            while let event = try decoder.next() {
                switch event {
                case .head(let head):
                    decoded.heads.append(
                        "\(head.method) \(head.target) \(head.version) \(head.keepAlive)|\(head.headers)")
                    body = ""
                case .body(let bytes): body += String(buffer: bytes)
                case .end(let trailers):
                    decoded.bodies.append(body)
                    decoded.trailers.append(trailers?.description ?? "-")
                }
            }
        }
    } catch {
        decoded.error = error
    }
    return decoded
}

private func decode(_ text: String, limits: HTTP1Limits = HTTP1Limits()) -> Decoded {
    decode([ByteBuffer(string: text)], limits: limits)
}

@Suite("HTTP/1.1 requests")
struct RequestDecoderTests {
    @Test(
        "a malformed request is refused with its own error",
        arguments: [
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                .contentLengthWithTransferEncoding
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", .conflictingContentLengths),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", .invalidContentLength),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", .invalidContentLength),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", .invalidContentLength),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", .invalidContentLength),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .invalidContentLength),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", .invalidContentLength),
            ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", .bareCarriageReturn),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", .bareLineFeed),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", .bareLineFeed),
            ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareLineFeed),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .whitespaceBeforeColon),
            ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", .whitespaceBeforeColon),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", .obsoleteFolding),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", .obsoleteFolding),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", .controlByte),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{1}c\r\n\r\n", .controlByte),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{7F}c\r\n\r\n", .controlByte),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", .missingColon),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", .invalidFieldName),
            ("GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n", .invalidFieldName),
            ("GET / HTTP/1.1\r\nHost: a\r\nXé: b\r\n\r\n", .invalidFieldName),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", .spaceInTarget),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            ("GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            ("GET /é HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
            ("GET /\r\nHost: a\r\n\r\n", .malformedRequestLine),
            ("GET\r\nHost: a\r\n\r\n", .invalidMethod),
            ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidMethod),
            (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidMethod),
            ("GET / HTTP/1.1x\r\nHost: a\r\n\r\n", .malformedVersion),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", .malformedVersion),
            ("GET / HTTP/11\r\nHost: a\r\n\r\n", .malformedVersion),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .unsupportedVersion),
            ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", .unsupportedVersion),
            ("GET / HTTP/1.1\r\nX: b\r\n\r\n", .missingHost),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .multipleHosts),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", .multipleHosts),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .invalidHost),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .invalidHost),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .invalidHost),
            ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", .invalidHost),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", .unknownTransferCoding),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .unknownTransferCoding),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", .unknownTransferCoding),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                .unknownTransferCoding
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", .unknownTransferCoding),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingInHTTP10),
            ("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
        ] as [(String, HTTP1Error)])
    func malformed(input: String, error: HTTP1Error) {
        #expect(decode(input).error == error)
        // The result does not depend on how the bytes arrive.
        #expect(decode(Array(input.utf8).map { ByteBuffer(bytes: [$0]) }).error == error)
    }

    @Test(
        "a malformed chunk is refused with its own error",
        arguments: [
            ("+5\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            ("-5\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            (" 5\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            ("0x5\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            ("\r\nhello\r\n0\r\n\r\n", .invalidChunkSize),
            (";a\r\nhello\r\n", .invalidChunkSize),
            ("g\r\nhello\r\n", .invalidChunkSize),
            ("00000000000000005\r\nhello\r\n0\r\n\r\n", .chunkSizeTooLarge),
            ("11111111111111111\r\n", .chunkSizeTooLarge),
            ("ffffffffffffffff\r\n", .chunkSizeTooLarge),
            ("5\nhello\r\n0\r\n\r\n", .bareLineFeed),
            ("5\rhello\r\n0\r\n\r\n", .bareCarriageReturn),
            ("5;a=b\nhello\r\n0\r\n\r\n", .bareLineFeed),
            ("5;a=\u{0}b\r\nhello\r\n0\r\n\r\n", .controlByte),
            ("5\r\nhello!\r\n0\r\n\r\n", .malformedChunk),
            ("5\r\nhello\n0\r\n\r\n", .malformedChunk),
            ("0\r\nContent-Length: 5\r\n\r\n", .forbiddenTrailer),
            ("0\r\nTransfer-Encoding: chunked\r\n\r\n", .forbiddenTrailer),
            ("0\r\nHost: b\r\n\r\n", .forbiddenTrailer),
            ("0\r\nX : b\r\n\r\n", .whitespaceBeforeColon),
            ("0\r\nX: b\n\r\n", .bareLineFeed),
        ] as [(String, HTTP1Error)])
    func malformedChunk(chunks: String, error: HTTP1Error) {
        let input = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
        #expect(decode(input).error == error)
        #expect(decode(Array(input.utf8).map { ByteBuffer(bytes: [$0]) }).error == error)
    }

    @Test("every error has a matching status")
    func statuses() {
        for error in HTTP1Error.allCases {
            let expected: [HTTPStatus] = [400, 431, 501, 505]
            #expect(expected.contains(error.status))
        }
        #expect(HTTP1Error.unknownTransferCoding.status == 501)
        #expect(HTTP1Error.unsupportedVersion.status == 505)
    }

    static let wholesome: [(String, [String], [String])] = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["GET / HTTP/1.1 true|Host: a"], [""]),
        ("GET /p?q=1 HTTP/1.0\r\n\r\n", ["GET /p?q=1 HTTP/1.0 false|"], [""]),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ["GET / HTTP/1.0 true|Connection: Keep-Alive"], [""]),
        ("GET / HTTP/1.7\r\nHost: a\r\n\r\n", ["GET / HTTP/1.1 true|Host: a"], [""]),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade , CLOSE\r\n\r\n",
            ["GET / HTTP/1.1 false|Host: a\nConnection: upgrade , CLOSE"], [""]
        ),
        ("\r\nGET / HTTP/1.1\r\nhOsT:\t a:80 \t\r\n\r\n", ["GET / HTTP/1.1 true|hOsT: a:80"], [""]),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ["OPTIONS * HTTP/1.1 true|Host: a"], [""]),
        ("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", ["CONNECT b:443 HTTP/1.1 true|Host: b:443"], [""]),
        ("GET http://b/c HTTP/1.1\r\nHost: b\r\n\r\n", ["GET http://b/c HTTP/1.1 true|Host: b"], [""]),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            ["POST / HTTP/1.1 true|Host: a\nContent-Length: 5", "GET /2 HTTP/1.1 true|Host: a"], ["hello", ""]
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
            ["POST / HTTP/1.1 true|Host: a\nContent-Length: 2\nContent-Length: 2"], ["hi"]
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0006 ;z\r\n world\r\n0\r\nX: y\r\n\r\n"
                + "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            ["POST / HTTP/1.1 true|Host: a\ntransfer-encoding: Chunked", "GET / HTTP/1.1 true|Host: a"],
            ["hello world", ""]
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{E9}t\u{E9}\tb\r\nEmpty:\r\n\r\n",
            ["GET / HTTP/1.1 true|Host: a\nX: \u{E9}t\u{E9}\tb\nEmpty: "], [""]
        ),
    ]

    @Test("a request is parsed the same, however it is split", arguments: wholesome)
    func cut(input: String, heads: [String], bodies: [String]) {
        let bytes = Array(input.utf8)
        for cut in 0...bytes.count {
            let decoded = decode([ByteBuffer(bytes: bytes[..<cut]), ByteBuffer(bytes: bytes[cut...])])
            #expect(decoded.heads == heads)
            #expect(decoded.bodies == bodies)
            #expect(decoded.error == nil)
        }
        let single = decode(bytes.map { ByteBuffer(bytes: [$0]) })
        #expect(single.heads == heads)
        #expect(single.bodies == bodies)
    }

    @Test("trailers are returned with the end")
    func trailers() {
        let input =
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n"
        #expect(decode(input).trailers == ["A: b\nC: d"])
    }

    @Test("each limit has its error")
    func limits() {
        let limits = HTTP1Limits(line: 64, fieldCount: 3, headerBlock: 160, chunkExtensions: 16, trailers: 48)
        let long = String(repeating: "x", count: 70)
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        let cases: [(String, HTTP1Error)] = [
            ("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", .lineTooLong),
            ("GET /\(long)", .lineTooLong),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)", .lineTooLong),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", .tooManyFields),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nA: \(long.prefix(55))\r\nB: \(long.prefix(55))\r\nC: \(long.prefix(40))",
                .headerBlockTooLarge
            ),
            (chunked + "1;\(long)\r\na\r\n", .chunkExtensionsTooLarge),
            (chunked + "1;12345678\r\na\r\n1;12345678\r\na\r\n", .chunkExtensionsTooLarge),
            (chunked + "0\r\nA: \(long.prefix(30))\r\nB: \(long.prefix(30))\r\n", .trailersTooLarge),
        ]
        for (input, error) in cases { #expect(decode(input, limits: limits).error == error, "\(input)") }
    }

    @Test("a body is returned as slices of the received bytes")
    func slices() throws {
        var decoder = HTTP1RequestDecoder()
        decoder.append(ByteBuffer(string: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"))
        guard case .head(let head)? = try decoder.next() else { return #expect(Bool(false), "no head") }
        #expect(head.bodyLength == .known(10))
        guard case .body(let first)? = try decoder.next() else { return #expect(Bool(false), "no body") }
        #expect(String(buffer: first) == "hello")
        let nothing = try decoder.next()
        #expect(nothing == nil ? true : false)
        decoder.append(ByteBuffer(string: "world"))
        guard case .body(let second)? = try decoder.next() else { return #expect(Bool(false), "no body") }
        #expect(String(buffer: second) == "world")
        guard case .end? = try decoder.next() else { return #expect(Bool(false), "no end") }
        #expect(decoder.isBetweenRequests)
    }

    @Test("a client that waits for 100 (Continue) is detected, except without content or with HTTP/1.0")
    func expectContinue() throws {
        func expects(_ text: String) throws -> Bool? {
            var decoder = HTTP1RequestDecoder()
            decoder.append(ByteBuffer(string: text))
            guard case .head(let head)? = try decoder.next() else { return nil }
            return head.expectsContinue
        }
        #expect(try expects("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n") == true)
        #expect(try expects("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n") == false)
        #expect(try expects("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n") == false)
    }
}
