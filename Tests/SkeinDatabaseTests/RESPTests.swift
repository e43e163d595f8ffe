import NIOCore
import SkeinCore
import Testing

@testable import SkeinRedis

@Suite("RESP")
struct RESPTests {
    static let values: [(text: String, value: RedisValue)] = [
        ("+OK\r\n", .text("OK")), (":-42\r\n", .integer(-42)), (":9223372036854775807\r\n", .integer(.max)),
        ("$5\r\nhello\r\n", .text("hello")), ("$0\r\n\r\n", .text("")), ("$-1\r\n", .null), ("*-1\r\n", .null),
        ("_\r\n", .null),
        ("#t\r\n", .bool(true)), (",1.5\r\n", .double(1.5)), (",-inf\r\n", .double(-.infinity)),
        ("(3492890328409238509324850943850943825024385\r\n", .bigNumber("3492890328409238509324850943850943825024385")),
        ("=7\r\ntxt:abc\r\n", .text("abc")), ("-WRONGTYPE x\r\n", .error(RedisError("WRONGTYPE x"))),
        ("!5\r\nERR y\r\n", .error(RedisError("ERR y"))), ("*0\r\n", .array([])),
        ("*2\r\n*1\r\n:1\r\n$1\r\na\r\n", .array([.array([.integer(1)]), .text("a")])),
        ("%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n", .map([RedisEntry(.text("k"), .set([.integer(1), .integer(2)]))])),
        ("|1\r\n+ttl\r\n:3\r\n*1\r\n|1\r\n+x\r\n:1\r\n:7\r\n", .array([.integer(7)])),
        ("$4\r\n\r\n\r\n\r\n", .text("\r\n\r\n")),
    ]

    @Test("values split anywhere are parsed the same")
    func cuts() throws {
        let bytes = Self.values.flatMap { Array($0.text.utf8) } + Array(">2\r\n+message\r\n:1\r\n".utf8)
        for cut in 0...bytes.count {
            var decoder = RESPDecoder()
            var values: [RESPMessage] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                decoder.append(ByteBuffer(bytes: part))
                while let value = try decoder.next() { values.append(value) }
            }
            #expect(values == Self.values.map { .value($0.value) } + [.push([.text("message"), .integer(1)])])
            #expect(decoder.isEmpty)
        }
    }

    @Test(
        "what is no value is refused",
        arguments: [
            "?\r\n", "$x\r\n", "$-2\r\n", "$1073741824\r\n", "*-2\r\n", "*99999999999\r\n", ":1x\r\n", "#y\r\n",
            ",abc\r\n", "(1a\r\n",
            "$3\r\nabcde", "_x\r\n", "=2\r\nab\r\n", "*1\r\n>1\r\n:1\r\n", String(repeating: "*1\r\n", count: 65),
            ":99999999999999999999\r\n",
            "+" + String(repeating: "a", count: 17 << 20),
        ])
    func lies(text: String) {
        var decoder = RESPDecoder()
        decoder.append(ByteBuffer(string: text))
        #expect(throws: RESPError.self) { while try decoder.next() != nil {} }
    }

    @Test("any bytes are parsed or refused")
    func fuzzed() {
        var random = SystemRandomNumberGenerator()
        let all = Self.values.flatMap { Array($0.text.utf8) }
        for _ in 0..<fuzzInputs {
            var bytes = Array(all[Int.random(in: 0..<all.count, using: &random)...].prefix(60))
            for _ in 0..<Int.random(in: 0..<5, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                    Bool.random(using: &random) ? .random(in: 0...255, using: &random) : 0x0D
            }
            var decoder = RESPDecoder()
            var rest = bytes[...]
            while !rest.isEmpty {
                decoder.append(ByteBuffer(bytes: rest.prefix(7)))
                rest = rest.dropFirst(7)
                do { while try decoder.next() != nil {} } catch { break }
            }
        }
    }

    @Test("commands are encoded as arrays of strings")
    func commands() {
        func written(_ command: RedisCommand) -> String {
            var output = ByteBuffer()
            RESPEncoder.write(command, into: &output)
            return String(buffer: output)
        }
        #expect(written(RedisCommand("config get", ["save"])) == "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n")
        #expect(
            written(RedisCommand("X", [0, 10, -1, 1.5, Double.infinity, [1, 2] as [UInt8], "ü"]))
                == "*8\r\n$1\r\nX\r\n$1\r\n0\r\n$2\r\n10\r\n$2\r\n-1\r\n$3\r\n1.5\r\n$4\r\n+inf\r\n$2\r\n\u{1}\u{2}\r\n$2\r\nü\r\n"
        )
        #expect(written(RedisCommand("X", [String(repeating: "a", count: 100)])).hasPrefix("*2\r\n$1\r\nX\r\n$100\r\n"))
    }

    @Test("slots and keys, by the examples of the cluster's specification")
    func slots() {
        #expect(RedisSlots.crc16(Array("123456789".utf8)[...]) == 0x31C3)
        #expect(RedisSlots.slot(.text("{user1000}.following")) == RedisSlots.slot(.text("{user1000}.followers")))
        #expect(RedisSlots.slot(.text("foo{}{bar}")) == RedisSlots.slot(Array("foo{}{bar}".utf8)))
        #expect(RedisSlots.slot(.text("foo{{bar}}zap")) == RedisSlots.slot(.text("{bar")))
        #expect(RedisCommand("get", ["k"]).key == .text("k"))
        #expect(RedisCommand("eval", ["return 1", 1, "k", "x"]).key == .text("k"))
        #expect(RedisCommand("xread", ["COUNT", 1, "STREAMS", "s", "0"]).key == .text("s"))
        #expect(RedisCommand("object", ["encoding", "k"]).key == .text("k"))
        #expect(RedisCommand("ping").key == nil)
        #expect(RedisCommand("blpop", ["k", 0]).blocks && !RedisCommand("xread", ["STREAMS", "s", "0"]).blocks)
    }

    @Test(
        "addresses",
        arguments: [
            ("redis://u:p@h:1/2", "redis://h:1/2"), ("rediss://h", "rediss://h:6379/0"), ("h/3", "redis://h:6379/3"),
            ("redis+cluster://a,b:2", "redis://a:6379,b:2/0"), ("redis+sentinel://a?master=m", "redis://a:26379/0"),
        ])
    func addresses(text: String, expected: String) throws {
        #expect(try RedisConfiguration(text).description == expected)
    }

    @Test(
        "addresses that are none",
        arguments: ["http://h", "redis://h:x", "redis://h/x", "redis://h?colour=red", "redis://h?protocol=4"])
    func badAddresses(text: String) { #expect(throws: SkeinError.self) { try RedisConfiguration(text) } }
}
