import NIOCore
import Testing

@testable import SkeinEngine

/// PROXY headers, complete and truncated.
@Suite("PROXY header")
struct ProxyHeaderTests {
    private static func version2(_ kind: UInt8, _ family: UInt8, _ rest: [UInt8]) -> [UInt8] {
        [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, kind, family, 0, UInt8(rest.count)] + rest
    }

    static let good: [([UInt8], String?)] = [
        (Array("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n".utf8), "192.0.2.1:5000"),
        (Array("PROXY TCP6 2001:db8::1 2001:db8::2 5000 80\r\n".utf8), "2001:db8::1:5000"),
        (Array("PROXY UNKNOWN\r\n".utf8), nil), (Array("PROXY UNKNOWN a b c d\r\n".utf8), nil),
        (version2(0x21, 0x11, [192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0, 80]), "192.0.2.1:5000"),
        (version2(0x21, 0x11, [192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0, 80, 4, 0, 1, 0]), "192.0.2.1:5000"),
        (version2(0x20, 0x00, []), nil), (version2(0x21, 0x31, [UInt8](repeating: 0, count: 216)), nil),
    ]

    @Test("headers are consumed, and the following bytes stay", arguments: good)
    func read(header: [UInt8], client: String?) {
        for cut in 0..<header.count {
            var part = ByteBuffer(bytes: header[..<cut])
            #expect(ProxyHeader.read(&part) == .incomplete, "\(cut)")
            #expect(part.readableBytes == cut)
        }
        var bytes = ByteBuffer(bytes: header + Array("GET".utf8))
        guard case .client(let address) = ProxyHeader.read(&bytes) else {
            Issue.record("it is not read")
            return
        }
        #expect(address.map { "\($0.ipAddress ?? ""):\($0.port ?? 0)" } == client)
        #expect(String(buffer: bytes) == "GET")
    }

    @Test(
        "what is none is refused",
        arguments: [
            Array("GET / HTTP/1.1\r\n".utf8), Array("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".utf8),
            Array("PROXY TCP4 ::1 ::1 1 2\r\n".utf8), Array("PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n".utf8),
            Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n".utf8), Array(("PROXY " + String(repeating: "x", count: 200)).utf8),
            Array("PROXY SCTP 1.2.3.4 1.2.3.4 1 2\r\n".utf8), version2(0x11, 0x11, []), version2(0x22, 0x11, []),
            version2(0x21, 0x11, [1, 2, 3]),
        ])
    func refused(header: [UInt8]) {
        var bytes = ByteBuffer(bytes: header)
        #expect(ProxyHeader.read(&bytes) == .malformed)
    }

    @Test("ranges of addresses")
    func ranges() {
        let range: AddressRange = "10.1.0.0/16"
        #expect(range.contains("10.1.255.255") && range.contains("::ffff:10.1.2.3"))
        #expect(!range.contains("10.2.0.0") && !range.contains("::1") && !range.contains("x"))
        let half: AddressRange = "2001:db8::/33"
        #expect(half.contains("2001:db8:7fff::1") && !half.contains("2001:db8:8000::1"))
        for text in ["", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129"] {
            #expect(AddressRange(text) == nil, "\(text)")
        }
        let wrong: AddressRange = "nonsense"
        #expect(!wrong.contains("10.0.0.0"))
    }
}
