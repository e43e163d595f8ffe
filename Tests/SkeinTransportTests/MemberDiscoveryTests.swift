import NIOCore
import Testing

@testable import SkeinTransport

/// The table of members that DNS names: (what is known, answer) → members, and whether they have changed.
@Suite("Members from DNS")
struct MemberDiscoveryTests {
    private typealias Instance = MemberDiscovery.Instance

    private final class Discovery {
        var value = MemberDiscovery()
        var instances: [MemberDiscovery.Instance]? { value.instances }
        func receive(_ answer: MemberDiscovery.Answer) -> Bool { value.receive(answer) }
    }

    private static func service(_ priority: Int, _ weight: Int, _ port: Int, _ host: String?) -> DNSRecord.Content {
        .service(priority: priority, weight: weight, port: port, host.flatMap { DNSName($0) })
    }

    @Test("addresses, in whichever order")
    func addresses() {
        let discovery = Discovery()
        let (one, two): ([UInt8], [UInt8]) = ([10, 0, 0, 1], [10, 0, 0, 2])
        #expect(discovery.instances == nil)
        #expect(discovery.receive(.addresses([two, one], port: 80)))
        #expect(discovery.instances == [Instance(host: "10.0.0.1", port: 80), Instance(host: "10.0.0.2", port: 80)])
        #expect(!discovery.receive(.addresses([one, two], port: 80)))
        #expect(discovery.receive(.addresses([one], port: 80)))
        #expect(discovery.instances?.count == 1)
    }

    @Test("an answer without instances, and no answer, change nothing")
    func nothing() {
        let discovery = Discovery()
        let answers: [MemberDiscovery.Answer] = [
            .failed, .addresses([], port: 80), .services([]), .services([Self.service(0, 0, 0, nil)]),
        ]
        for answer in answers { #expect(!discovery.receive(answer)) }
        #expect(discovery.instances == nil)
        #expect(discovery.receive(.addresses([[10, 0, 0, 1]], port: 80)))
        for answer in answers { #expect(!discovery.receive(answer)) }
        #expect(discovery.instances?.count == 1)
    }

    @Test("services of the lowest priority, by their weights; the root and port 0 are none")
    func services() {
        let discovery = Discovery()
        #expect(
            discovery.receive(
                .services([
                    Self.service(20, 9, 80, "spare.test"), Self.service(10, 0, 81, "b.test"),
                    Self.service(10, 5, 80, "a.test"), Self.service(5, 1, 0, "none.test"), Self.service(1, 1, 80, nil),
                ])))
        #expect(
            discovery.instances == [
                Instance(host: "a.test", port: 80, weight: 5), Instance(host: "b.test", port: 81, weight: 0.1),
            ])
    }

    @Test("no more than 256 instances are used")
    func limit() {
        let discovery = Discovery()
        let many: [[UInt8]] = (0..<1000).map { [10, 0, UInt8($0 / 256), UInt8($0 % 256)] }
        #expect(discovery.receive(.addresses(many, port: 80)))
        #expect(discovery.instances?.count == MemberDiscovery.limit)
    }

    @Test("a record of type SRV is read, and a short one is not one")
    func record() throws {
        let question = DNSQuestion(try #require(DNSName("_http._tcp.search.test")), .srv)
        func response(_ data: [UInt8]) throws -> DNSResponse {
            var message = question.message(id: 7, extended: false)
            message.setMultipleIntegers(UInt16(0x8180), UInt16(1), UInt16(1), at: 2)
            // The name by a pointer; class and time to live; the data.
            message.writeMultipleIntegers(UInt16(0xC00C), UInt16(33), UInt16(1), UInt32(60), UInt16(data.count))
            message.writeBytes(data)
            return try DNSResponse(message)
        }
        let host = [UInt8](arrayLiteral: 3) + "one".utf8 + [4] + "test".utf8 + [0]
        let answer = try response([0, 10, 0, 60, 0x1F, 0x90] + host).answer(to: question)
        #expect(answer == .records([Self.service(10, 60, 8080, "one.test")], timeToLive: 60))
        #expect(
            try response([0, 0, 0, 0, 0, 0, 0]).answer(to: question)
                == .records([Self.service(0, 0, 0, nil)], timeToLive: 60))
        #expect(try response([0, 10, 0]).answer(to: question) == .nothing(timeToLive: nil))
    }
}
