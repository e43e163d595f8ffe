import NIOCore
import SkeinWire
import Testing

/// Forms with files, split at every place.
@Suite("Multipart decoder")
struct MultipartDecoderTests {
    static let form =
        "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n-\r\n--c\r\n--b\r\n"
        + "Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n--b\r\n"
        + "X: \r\n\r\n\r\r\n\r\n--b--\r\nepilogue"

    private func events(_ pieces: [String], limits: MultipartLimits = MultipartLimits()) throws -> [String] {
        var decoder = try MultipartDecoder(boundary: "b", limits: limits)
        var events: [String] = []
        var data = ""
        for piece in pieces {
            decoder.append(ByteBuffer(string: piece))
            while let event = try decoder.next() {
                switch event {
                case .part(let headers): events.append("part \(headers.count)")
                case .data(let bytes): data += String(buffer: bytes)
                case .endOfPart:
                    events.append("data \(data.debugDescription)")
                    data = ""
                case .end: events.append("end")
                }
            }
        }
        try decoder.finish()
        return events
    }

    private static let expected = [
        "part 1", #"data "one\r\n-\r\n--c""#, "part 2", #"data """#, "part 1", #"data "\r\r\n""#, "end",
    ]

    @Test("a form is parsed the same, however it is split")
    func cut() throws {
        #expect(try events([Self.form]) == Self.expected)
        #expect(try events(Self.form.map(String.init)) == Self.expected)
        for place in Self.form.indices {
            #expect(try events([String(Self.form[..<place]), String(Self.form[place...])]) == Self.expected)
        }
    }

    @Test(
        "what is no form is refused",
        arguments: [
            ("x", .preamble), ("--c\r\n", .preamble), ("--bxy", .malformedBoundary),
            ("--b\r\nno colon\r\n\r\n", .headers),
            ("--b\r\n: x\r\n\r\n", .headers), ("--b\r\nA: b\n\n", .headers), ("--b\r\nA: \u{1}\r\n\r\n", .headers),
            ("--b\r\nA: b\r\n\r\nunfinished", .truncated), ("--b", .truncated), ("", .truncated),
            ("--b\r\nA: b\r\n\r\nx\r\n--b\r", .truncated), ("--b\r\nA: b\r\n\r\nx\r\n--bX\r\n", .malformedBoundary),
            ("--b\r\nA: " + String(repeating: "x", count: 9000), .headers),
            ("--b\r\n" + String(repeating: "A: b\r\n", count: 40) + "\r\n", .headers),
            (String(repeating: "--b\r\n\r\n\r\n", count: 1001), .tooManyParts),
        ] as [(String, MultipartError)])
    func malformed(form: String, error: MultipartError) {
        #expect(throws: error) { try events([form]) }
    }

    @Test("an invalid boundary is refused", arguments: ["", String(repeating: "b", count: 71), "a\r\nb", "ü"])
    func boundary(text: String) {
        #expect(throws: MultipartError.boundary) { try MultipartDecoder(boundary: text) }
    }
}
