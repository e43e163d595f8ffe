import NIOCore
import PeerSupport
import SkeinCore
import Testing

@testable import SkeinEngine

/// The first message of TLS clients, complete, in parts, and malformed.
@Suite("Client hello")
struct ClientHelloTests {
    /// A message with extensions, in records of a given size.
    private static func hello(_ extensions: [(UInt16, [UInt8])], recordSize: Int = 16_384) -> [UInt8] {
        func prefixed(_ bytes: [UInt8], _ size: Int) -> [UInt8] {
            (0..<size).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
        }
        let list = extensions.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + prefixed($0.1, 2) }
        let body: [UInt8] =
            [3, 3] + Array(repeating: 7, count: 32) + prefixed(Array(repeating: 1, count: 32), 1)
            + prefixed([0x13, 1], 2)
            + prefixed([0], 1) + prefixed(list, 2)
        var message = [1] + prefixed(body, 3)
        var records: [UInt8] = []
        while !message.isEmpty {
            records += [22, 3, 1] + prefixed(Array(message.prefix(recordSize)), 2)
            message.removeFirst(min(recordSize, message.count))
        }
        return records
    }

    private static let name: (UInt16, [UInt8]) = (0, [0, 8, 0, 0, 5] + Array("a.org".utf8))
    private static let protocols: (UInt16, [UInt8]) = (
        16, [0, 14, 10] + Array("acme-tls/1".utf8) + [2] + Array("h2".utf8)
    )
    private static let expected = ClientHello(serverName: "a.org", protocols: ["acme-tls/1", "h2"])

    @Test("name and protocols, in records of any size, byte by byte", arguments: [11, 100, 16_384])
    func whole(recordSize: Int) {
        let bytes = Self.hello([(10, [0, 2, 0, 29]), Self.name, Self.protocols], recordSize: recordSize)
        for count in 0..<bytes.count {
            #expect(ClientHello.read(ByteBuffer(bytes: bytes.prefix(count))) == .incomplete, "\(count)")
        }
        #expect(ClientHello.read(ByteBuffer(bytes: bytes)) == .hello(Self.expected))
        #expect(ClientHello.read(ByteBuffer(bytes: bytes + [23, 3, 3])) == .hello(Self.expected))
    }

    @Test("other messages, and too long ones")
    func other() {
        #expect(ClientHello.read(ByteBuffer(string: "GET / HTTP/1.1\r\n")) == .other)
        #expect(ClientHello.read(ByteBuffer(bytes: [22, 3, 1, 0, 1, 2])) == .other)
        #expect(ClientHello.read(ByteBuffer(bytes: [22, 3, 1, 0, 4, 1, 0xFF, 0xFF, 0xFF])) == .other)
        #expect(ClientHello.read(ByteBuffer(bytes: Self.hello([]))) == .hello(ClientHello()))
        // One byte in each record: no real client sends this, and it is expensive to parse.
        #expect(ClientHello.read(ByteBuffer(bytes: Self.hello([Self.name, Self.protocols], recordSize: 1))) == .other)
        #expect(ClientHello.read(ByteBuffer(bytes: Self.hello([(16, [0, 9, 1])]))) == .other)
    }

    @Test("mutated messages are parsed, incomplete or refused")
    func mutated() async {
        let good = Self.hello([Self.name, Self.protocols], recordSize: 50)
        var mutator = Mutator(random: SeededGenerator(seed: 5))
        for number in 0..<20_000 {
            if number % 100 == 0 { await Task.yield() }
            if case .hello(let hello) = ClientHello.read(ByteBuffer(bytes: mutator.mutate(good, with: good))) {
                #expect(hello.protocols.count < 200)
            }
        }
    }
}
