import NIOCore
import SkeinWire
import Testing

/// Feeds pieces as the responses to some methods, then the end of the connection; returns the events, one on each line.
private func decode(
    _ pieces: [ByteBuffer], to methods: [HTTPMethod] = [.get], mayUpgrade: Bool = false, closes: Bool = false,
    parsing: HTTPParsing = .strict
) -> [String] {
    var decoder = HTTP1ResponseDecoder(parsing: parsing)
    for method in methods { decoder.expectResponse(to: method, mayUpgrade: mayUpgrade) }
    var lines: [String] = []
    var body = ""
    func note(_ event: HTTP1ResponseDecoder.Event) {
        switch event {
        case .informational(let head): lines.append("info \(head.status.code)")
        case .head(let head):
            lines.append("head \(head.version) \(head.status.code) [\(head.reason)] \(head.bodyLength)")
        case .body(let bytes): body += String(buffer: bytes)
        case .end(let trailers, let reusable):
            lines.append("end [\(body)] \(reusable ? "reusable" : "closing")\(trailers.map { " \($0)" } ?? "")")
            body = ""
        case .upgraded(let head, let remainder):
            lines.append("upgraded \(head.status.code) [\(String(buffer: remainder))]")
        }
    }
    do throws(HTTP1Error) {
        for piece in pieces {
            decoder.append(piece)
            while let event = try decoder.next() { note(event) }
        }
        if closes {
            if let event = try decoder.finish() { note(event) }
            lines.append("closed")
        }
    } catch {
        lines.append("error \(error.rawValue)")
    }
    return lines
}

private func decode(
    _ text: String, to methods: [HTTPMethod] = [.get], mayUpgrade: Bool = false, closes: Bool = false
) -> [String] {
    decode([ByteBuffer(string: text)], to: methods, mayUpgrade: mayUpgrade, closes: closes)
}

@Suite("HTTP/1.1 responses")
struct ResponseDecoderTests {
    static let wholesome: [(String, [HTTPMethod], [String])] = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", [.get],
            ["head HTTP/1.1 200 [OK] known(2)", "end [hi] reusable"]
        ),
        ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", [.get], ["head HTTP/1.1 200 [] none", "end [] reusable"]),
        ("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", [.get], ["head HTTP/1.1 404 [] none", "end [] reusable"]),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", [.get],
            ["head HTTP/1.1 204 [No Content] none", "end [] reusable"]
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", [.get],
            ["head HTTP/1.1 304 [Not Modified] none", "end [] reusable"]
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [.head], ["head HTTP/1.1 200 [OK] none", "end [] reusable"]),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", [.head],
            ["head HTTP/1.1 200 [OK] none", "end [] reusable"]
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n", [.get],
            ["head HTTP/1.1 200 [OK] streamed", "end [abc] reusable T: u"]
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", [.get],
            ["head HTTP/1.1 200 [OK] known(1)", "end [x] closing"]
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", [.get],
            ["head HTTP/1.0 200 [OK] known(1)", "end [x] closing"]
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx", [.get],
            ["head HTTP/1.0 200 [OK] known(1)", "end [x] reusable"]
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            [.post],
            ["info 100", "info 103", "head HTTP/1.1 200 [OK] known(1)", "end [x] reusable"]
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nb",
            [.get, .head, .post],
            [
                "head HTTP/1.1 200 [OK] known(1)", "end [a] reusable", "head HTTP/1.1 200 [OK] none", "end [] reusable",
                "head HTTP/1.1 201 [Created] known(1)", "end [b] reusable",
            ]
        ),
    ]

    @Test("a response is parsed the same, however it is split", arguments: wholesome)
    func cut(input: String, methods: [HTTPMethod], expected: [String]) {
        let bytes = Array(input.utf8)
        for cut in 0...bytes.count {
            #expect(
                decode([ByteBuffer(bytes: bytes[..<cut]), ByteBuffer(bytes: bytes[cut...])], to: methods) == expected)
        }
        #expect(decode(bytes.map { ByteBuffer(bytes: [$0]) }, to: methods) == expected)
    }

    @Test("a body without a length ends with the connection, which is not reused")
    func untilClose() {
        let input = "HTTP/1.1 200 OK\r\n\r\nall of this"
        #expect(
            decode(input, closes: true) == ["head HTTP/1.1 200 [OK] streamed", "end [all of this] closing", "closed"])
    }

    @Test(
        "an end in the middle is a truncation",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\nX: ",
        ])
    func truncated(input: String) {
        #expect(decode(input, closes: true).last == "error \(HTTP1Error.truncated.rawValue)")
    }

    @Test(
        "a malformed response is refused with its own error",
        arguments: [
            ("garbage\r\n\r\n", .malformedStatusLine),
            ("h", .malformedStatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 2000 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 099 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 702 timeout\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/2.0 200 OK\r\n\r\n", .unsupportedVersion),
            ("HTTP/1.1 200 OK\nX: y\r\n\r\n", .bareLineFeed),
            ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", .obsoleteFolding),
            ("HTTP/1.1 200 OK\r\nX : a\r\n\r\n", .whitespaceBeforeColon),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                .contentLengthWithTransferEncoding
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", .conflictingContentLengths),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\n", .unknownTransferCoding),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n", .unsolicitedResponse),
        ] as [(String, HTTP1Error)])
    func malformed(input: String, error: HTTP1Error) {
        #expect(decode(input).last == "error \(error.rawValue)")
        #expect(decode(Array(input.utf8).map { ByteBuffer(bytes: [$0]) }).last == "error \(error.rawValue)")
    }

    @Test(
        "tolerant reading takes it, however it is cut",
        arguments: [
            ("HTTP/1.1 702 Odd\r\nContent-Length: 0\r\n\r\n", "head HTTP/1.1 702 [Odd] none"),
            ("HTTP/1.1 200 OK\rX: y\u{1}\r\nContent-Length: 0\r\n\r\n", "head HTTP/1.1 200 [OK X: y ] none"),
            ("HTTP/1.1 200 OK\nX: y\nContent-Length: 0\n\n", "head HTTP/1.1 200 [OK] none"),
            ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length:\r\n\t0\r\n\r\n", "head HTTP/1.1 200 [OK] none"),
            ("HTTP/1.1 200 OK\r\nX : a\rb\r\nContent-Length: 0, 0\r\n\r\n", "head HTTP/1.1 200 [OK] none"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n",
                "head HTTP/1.1 200 [OK] streamed"
            ),
        ])
    func tolerant(input: String, head: String) {
        let lines = decode([ByteBuffer(string: input)], parsing: .tolerant)
        #expect(lines.first == head && lines.last?.hasPrefix("end []") == true, "\(lines)")
        #expect(decode(Array(input.utf8).map { ByteBuffer(bytes: [$0]) }, parsing: .tolerant) == lines)
        // Bytes that two parsers could read as different messages end the connection.
        #expect(lines.last?.contains("closing") == input.contains("chunked"))
    }

    @Test("an unsolicited 101 is an error", arguments: [1, 2])
    func unsolicitedUpgrade(requests: Int) {
        let lines = decode("HTTP/1.1 101 Switching Protocols\r\n\r\n", to: Array(repeating: .get, count: requests))
        #expect(lines == ["error \(HTTP1Error.unexpectedUpgrade.rawValue)"])
    }

    @Test("a requested 101, and a 2xx to CONNECT, return the remaining bytes")
    func upgrades() {
        #expect(decode("HTTP/1.1 101 Switching Protocols\r\n\r\nrest", mayUpgrade: true) == ["upgraded 101 [rest]"])
        #expect(decode("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrest", to: [.connect]) == ["upgraded 200 [rest]"])
        #expect(
            decode("HTTP/1.1 407 Who\r\nContent-Length: 1\r\n\r\nx", to: [.connect])
                == ["head HTTP/1.1 407 [Who] known(1)", "end [x] reusable"])
    }
}
