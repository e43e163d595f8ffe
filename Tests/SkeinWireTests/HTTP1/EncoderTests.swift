import NIOCore
import SkeinWire
import Testing

private func requestHead(
    _ method: HTTPMethod = .get, target: String = "/", host: String = "a", headers: Headers = [:],
    length: BodyLength = .none, close: Bool = false
) throws -> String {
    var buffer = ByteBuffer()
    try HTTP1Encoder.writeRequestHead(
        method: method, target: target, host: host, headers: headers, bodyLength: length, close: close, into: &buffer)
    return String(buffer: buffer)
}

@Suite("HTTP/1.1 encoder")
struct EncoderTests {
    @Test("a request head has the required fields and no others")
    func requests() throws {
        #expect(try requestHead() == "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try requestHead(.post) == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        #expect(try requestHead(.put, length: .known(1234567)).contains("\r\nContent-Length: 1234567\r\n"))
        #expect(try requestHead(.put, length: .streamed).contains("\r\nTransfer-Encoding: chunked\r\n"))
        #expect(try requestHead(close: true) == "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        #expect(try requestHead(headers: ["host": "b", "X": "y"]) == "GET / HTTP/1.1\r\nhost: b\r\nX: y\r\n\r\n")
    }

    @Test("framing fields of an application are dropped")
    func framingIsOurs() throws {
        let headers: Headers = ["Content-Length": "7", "X": "y", "Transfer-Encoding": "chunked"]
        #expect(try requestHead(headers: headers) == "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
    }

    @Test(
        "a field that cannot be sent is refused before anything is written",
        arguments: [
            ("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\rb"), ("X", "a\0b"), ("X", "\u{7F}"), ("X Y", "a"), ("", "a"),
            ("X:", "a"), ("X\r\nY", "a"),
        ])
    func injection(name: String, value: String) throws {
        var buffer = ByteBuffer(string: "before")
        #expect(throws: HeaderProblem.self) {
            try HTTP1Encoder.writeRequestHead(
                method: .get, target: "/", host: "a", headers: [name: value], bodyLength: .none, into: &buffer)
        }
        #expect(throws: HeaderProblem.self) {
            try HTTP1Encoder.writeResponseHead(
                status: 200, headers: [name: value], framing: .length(0), connection: .asIs, date: nil, into: &buffer)
        }
        #expect(String(buffer: buffer) == "before")
    }

    @Test(
        "a method, target or host that cannot be sent is refused",
        arguments: [
            ("GET", "/a b", "a"), ("GET", "/\r\nX: y", "a"), ("GET", "", "a"), ("G T", "/", "a"), ("", "/", "a"),
            ("GET", "/", "a\r\nX: y"), ("GET", "/é", "a"),
        ])
    func startLine(method: String, target: String, host: String) {
        #expect(throws: HeaderProblem.self) {
            try requestHead(HTTPMethod(rawValue: method), target: target, host: host)
        }
    }

    @Test("a response head has the required fields and no others")
    func responses() throws {
        func head(
            _ status: HTTPStatus, _ headers: Headers, _ framing: HTTP1Encoder.ResponseFraming,
            _ connection: HTTP1Encoder.ConnectionField = .asIs
        ) throws -> String {
            var buffer = ByteBuffer()
            try HTTP1Encoder.writeResponseHead(
                status: status, headers: headers, framing: framing, connection: connection,
                date: ByteBuffer(string: "Date: now\r\n"), into: &buffer)
            return String(buffer: buffer)
        }
        #expect(try head(200, [:], .length(0)) == "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n")
        #expect(
            try head(404, ["date": "then"], .chunked)
                == "HTTP/1.1 404 Not Found\r\ndate: then\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(try head(599, [:], .bodiless, .close) == "HTTP/1.1 599 \r\nDate: now\r\nConnection: close\r\n\r\n")
        #expect(
            try head(204, ["Connection": "x", "Content-Length": "3"], .bodiless, .keepAlive)
                == "HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: keep-alive\r\n\r\n")
    }

    @Test("chunks are framed, an empty one is not sent, trailers follow the last")
    func chunks() throws {
        var buffer = ByteBuffer()
        HTTP1Encoder.writeChunk(ByteBuffer(string: "hello world, 17 b"), into: &buffer)
        HTTP1Encoder.writeChunk(ByteBuffer(), into: &buffer)
        try HTTP1Encoder.writeLastChunk(trailers: ["T": "u", "Content-Length": "5"], into: &buffer)
        #expect(String(buffer: buffer) == "11\r\nhello world, 17 b\r\n0\r\nT: u\r\n\r\n")
    }

    @Test("numbers are written in decimal", arguments: [0, 7, 10, 4096, Int.max])
    func decimals(number: Int) {
        var buffer = ByteBuffer()
        buffer.writeDecimal(number)
        #expect(String(buffer: buffer) == String(number))
    }
}

@Suite("Headers")
struct HeadersTests {
    @Test("names are found in any case, values in order")
    func lookup() {
        var headers: Headers = ["Accept": "a", "X-Id": "1", "x-id": "2"]
        #expect(headers["ACCEPT"] == "a")
        #expect(headers["X-ID"] == "1")
        #expect(headers.values("x-Id") == ["1", "2"])
        #expect(headers["none"] == nil)
        headers["x-id"] = "3"
        #expect(headers.values("X-Id") == ["3"])
        headers["Accept"] = nil
        #expect(headers.count == 1)
        #expect(headers == ["X-ID": "3"])
    }

    @Test("whitespace around a value is not part of it after parsing")
    func lists() {
        let headers: Headers = ["Connection": "keep-alive , Upgrade"]
        #expect(headers.listContains("connection", token: "upgrade"))
        #expect(!headers.listContains("connection", token: "close"))
    }

    @Test("a copy does not change with its original")
    func valueSemantics() {
        let original: Headers = ["A": "1"]
        var copy = original
        copy.add("B", "2")
        #expect(original.count == 1)
        #expect(copy.count == 2)
    }

    @Test("merging replaces fields of the same name")
    func merge() {
        var headers: Headers = ["A": "1", "B": "2"]
        headers.merge(["b": "3", "C": "4"])
        #expect(headers == ["A": "1", "B": "3", "C": "4"])
    }
}
