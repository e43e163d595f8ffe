import SkeinAWS
import SkeinRedis
import Crypto
import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import Testing

@testable import SkeinHTTP

/// Values through stores, queues and remote calls, by the library and by the program, compared with third-party
/// clients.
@Suite("Exactness: stores and calls", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ExactStoreTests {
    private static let skein = CommandTests.skein

    @Test("2000 binary values of Redis: redis-cli's output to a pipe, and JSON with text and bytes distinguished")
    func redis() async throws {
        let peer = try await RedisPeer.shared.get()
        let skein = SkeinClient()
        let redis = try skein.redis(peer.url("/15"))
        var random = SeededGenerator(seed: 5)
        var values: [[UInt8]] = [[0x80], Array("gA==".utf8), [], [0], [0x0A], [0x0D, 0x0A]]
        while values.count < 2000 { values.append(random.bytes(random.number(0...12))) }
        let sets = values.enumerated().map { redis.set("exact:\($0)", ByteBuffer(bytes: $1)) }
        for set in sets { try await set.commit() }
        for start in stride(from: 0, to: values.count, by: 100) {
            try await redis.send(
                RedisCommand("RPUSH", ["exact:list"] + values[start..<start + 100].map { ByteBuffer(bytes: $0) })
            ).commit()
        }
        let list = try await Self.bytes("\(Self.skein) redis \(peer.url("/15")) LRANGE exact:list 0 -1")
        #expect(list == (try await Self.bytes("redis-cli -p \(peer.port) -n 15 LRANGE exact:list 0 -1")))
        for (number, value) in values.enumerated() {
            #expect(try await redis.get("exact:\(number)").fetch(Data.self) == Data(value))
        }
        for number in 0..<60 {
            let ours = try await Self.bytes("\(Self.skein) redis \(peer.url("/15")) GET exact:\(number)")
            let theirs = try await Self.bytes("redis-cli -p \(peer.port) -n 15 GET exact:\(number)")
            #expect(ours == theirs && ours == values[number] + [0x0A], "\(values[number])")
            let json = try await Self.bytes("\(Self.skein) redis --json \(peer.url("/15")) GET exact:\(number)")
            let value = try JSONValue(json: json)
            if let text = String(validating: values[number], as: UTF8.self) {
                #expect(value.string?.equalsBytes(text) == true)
            } else {
                #expect(value["$base64"]?.string.flatMap { Data(base64Encoded: $0) } == Data(values[number]))
            }
        }
        _ = try await Self.bytes("printf 'a\\200\\n' | \(Self.skein) redis -x \(peer.url("/15")) SET exact:in")
        #expect(try await redis.get("exact:in").fetch(Data.self) == Data([0x61, 0x80, 0x0A]))
        await skein.shutdown()
    }

    /// The output of a shell line, whatever its exit code.
    private static func bytes(_ line: String) async throws -> [UInt8] {
        let path = TestFolder.path("bytes")
        _ = try await runToEnd("bash", ["-c", "(\(line)) > \(path)"])
        return Array(try Data(contentsOf: URL(filePath: path)))
    }

    @Test(
        "2000 attributes of DynamoDB arrive as they were typed, numbers with their digits; boto3 reads them, and they come back"
    )
    func dynamo() async throws {
        let peer = try await AWSPeer.shared.get()
        let environment = ["AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"]
        func skein(_ words: String...) async throws -> Finished {
            try await runToEnd(
                Self.skein, ["dynamodb", words[0], "--endpoint", peer.endpoint] + words.dropFirst(),
                environment: environment)
        }
        #expect(try await skein("create", "exact", "id:S").code == 0)
        var random = SeededGenerator(seed: 9)
        var special = [
            "12345678901234567890", "0.1", "1e-30", "-7", "12345678901234567890123456789012345678",
            "18446744073709551615",
        ]
        var items: [JSONValue] = []
        for place in 0..<20 {
            var members: JSONObject = ["id": .string("x\(place)")]
            for number in 0..<100 {
                members["n\(number)"] =
                    switch random.number(0...3) {
                    case 0: .string(random.text(random.number(1...9)))
                    case 1: ["$base64": .string(Data(random.bytes(random.number(1...9))).base64EncodedString())]
                    case 2: [.string("l"), nil, true, .integer(random.number(0...9))]
                    default:
                        .number(
                            try #require(
                                JSONNumber(
                                    special.popLast()
                                        ?? "\(random.digits(random.number(1...20))).\(random.digits(random.number(1...17)))"
                                )))
                    }
            }
            items.append(.object(members))
        }
        let files = try items.map { "@" + (try TestFolder.write($0.json, as: "item")) }
        let put = try await runToEnd(
            Self.skein, ["dynamodb", "put", "--endpoint", peer.endpoint, "exact"] + files, environment: environment)
        #expect(put.code == 0, "\(put.errors)")
        let script = """
            import base64, boto3, decimal, json, sys
            from boto3.dynamodb.types import Binary
            table = boto3.resource("dynamodb", endpoint_url=sys.argv[1], region_name="eu-west-1",
                aws_access_key_id="AKTEST", aws_secret_access_key="secret").Table("exact")
            def plain(v):
                if isinstance(v, Binary): return {"$base64": base64.b64encode(v.value).decode()}
                if isinstance(v, decimal.Decimal): return {"digits": str(v)}
                if isinstance(v, list): return [plain(x) for x in v]
                return v
            print(json.dumps({i["id"]: {k: plain(v) for k, v in i.items()} for i in table.scan()["Items"]}))
            """
        let theirs = try await runToEnd(Peers.python(), ["-c", script, peer.endpoint])
        let found = try JSONValue(json: theirs.output)
        func same(_ value: JSONValue, _ other: JSONValue?) -> Bool {
            switch (value, other) {
            case (.number(let number), .number(let digits)?): number.decimal == digits.decimal && number.decimal != nil
            case (.number(let number), let other?):
                number.decimal == other["digits"]?.string.flatMap { Decimal(string: $0) }
            case (.array(let elements), .array(let others)?):
                elements.count == others.count && zip(elements, others).allSatisfy { same($0, $1) }
            default: value == other
            }
        }
        let back = try await skein("scan", "exact", "--json")
        let ours = try JSONValue(json: back.output).elements ?? []
        #expect(ours.count == 20, "\(back.errors)")
        for item in items {
            let id = try #require(item["id"]?.string)
            let mine = ours.first { $0["id"]?.string == id }
            for (name, value) in try #require(item.members) {
                #expect(same(value, found[id]?[name]), "\(name): \(value), boto3: \(found[id]?[name] ?? nil)")
                #expect(same(value, mine?[name]), "\(name): \(value), back: \(mine?[name] ?? nil)")
            }
        }
    }

    @Test("2000 values of MongoDB, inserted by the program, are equal for pymongo and when read back")
    func mongo() async throws {
        let peer = try await MongoPeer()
        var random = SeededGenerator(seed: 21)
        var documents: [JSONValue] = []
        for place in 0..<20 {
            var members: JSONObject = ["_id": ["$numberInt": .string("\(place)")]]
            for number in 0..<100 {
                members["v\(number)"] =
                    switch random.number(0...7) {
                    case 0: ["$numberInt": .string("\(random.number(-2_147_483_648...2_147_483_647))")]
                    case 1: ["$numberLong": .string("\(Int64(bitPattern: random.next()))")]
                    case 2: ["$numberDouble": .string("\(Double(random.number(-999_999...999_999)) / 1000 + 0.0001)")]
                    case 3: .string(random.text(random.number(0...9)))
                    case 4: ["$date": ["$numberLong": .string("\(random.number(-9_999_999_999...9_999_999_999_999))")]]
                    case 5:
                        [
                            "$binary": [
                                "base64": .string(Data(random.bytes(random.number(0...9))).base64EncodedString()),
                                "subType": "00",
                            ]
                        ]
                    case 6: [true, nil, ["x": .string(random.text(3))]]
                    default: ["$oid": .string(random.bytes(12).map { String(format: "%02x", $0) }.joined())]
                    }
            }
            documents.append(.object(members))
        }
        let file = try TestFolder.write(JSONValue.array(documents).json, as: "documents")
        let put = try await runToEnd(Self.skein, ["mongo", peer.uri(""), "exact.values", "insert", "@\(file)"])
        #expect(put.code == 0, "\(put.errors)")
        let script = """
            import sys, pymongo
            from bson.json_util import dumps, CANONICAL_JSON_OPTIONS
            from bson.codec_options import CodecOptions, DatetimeConversion
            options = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
            db = pymongo.MongoClient("127.0.0.1", int(sys.argv[1]))["exact"].with_options(codec_options=options)
            print(dumps(list(db["values"].find()), json_options=CANONICAL_JSON_OPTIONS))
            """
        let theirs = try await runToEnd(Peers.python(), ["-c", script, "\(peer.port)"])
        let found = try JSONValue(json: theirs.output).elements ?? []
        let back = try await runToEnd(
            Self.skein, ["mongo", peer.uri(""), "exact.values", "find", "--json", "--canonical"])
        let ours = try JSONValue(json: back.output).elements ?? []
        #expect(found.count == 20 && ours.count == 20, "\(theirs.errors)\(back.errors)")
        for document in documents {
            for (name, value) in try #require(document.members) {
                let mine = ours.first { $0["_id"] == document["_id"] }?[name]
                let other = found.first { $0["_id"] == document["_id"] }?[name]
                #expect(mine == value, "\(name)")
                #expect(other == value, "\(name)")
            }
        }
        await peer.stop()
    }

    @Test("JSON-RPC: all digits are preserved; invalid JSON is a clear error")
    func jsonRPC() async throws {
        let url = "http://127.0.0.1:\(try await RPCTests.jsonPort())/"
        for word in ["18446744073709551615", "12345678901234567890", "-5", "\"-5\"", "1.5", "[1,2]", "null", "-0.25"] {
            let run = try await runToEnd(Self.skein, ["rpc", "--json-rpc", url, "echo", word])
            #expect(run.code == 0 && run.output == "[[\(word)],{}]\n", "\(run.errors)")
        }
        for (body, sentence) in [
            ("[1,]", "comma"), ("\"\\ud800\"", "surrogate"), ("1E400", "1E400"), ("{\"a\":1,\"a\":2}", "twice"),
            ("01", "0"),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[1,]}", "comma"),
        ] {
            let server = try await ScriptedServer.start { _ in
                [
                    .send(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    )
                ]
            }
            let run = try await runToEnd(Self.skein, ["rpc", "--json-rpc", "http://127.0.0.1:\(server.port)/", "f"])
            #expect(
                run.code == 1 && run.errors.contains("709") && run.errors.contains(sentence), "\(body): \(run.errors)")
            let skein = SkeinClient()
            let response = await skein.get("http://127.0.0.1:\(server.port)/").dispatch()
            #expect(throws: SkeinError.self) { try response.json() }
            #expect(throws: SkeinError.self) { try response.decode([String: [Int]].self) }
            await skein.shutdown()
            await server.stop()
        }
    }

    @Test(
        "XML-RPC: negative numbers are arguments, documents are read by their charset, and what has no form is refused")
    func xmlRPC() async throws {
        let url = "http://127.0.0.1:\(try await RPCTests.xmlPort())/RPC2"
        let run = try await runToEnd(Self.skein, ["rpc", url, "echo", "-5"])
        #expect(run.code == 0 && run.output == "[-5]\n", "\(run.errors)")
        let lossy = try await runToEnd(Self.skein, ["rpc", url, "echo", "12345678901234567.89"])
        #expect(lossy.code == 1 && lossy.errors.contains("digits"))
        let skein = SkeinClient()
        let control = await (try skein.xmlrpc(url)).call("echo", ["a\u{1}"]).dispatch()
        #expect(control.failure?.message.contains("U+1") == true)
        let script = """
            import sys
            from xmlrpc.server import SimpleXMLRPCServer
            server = SimpleXMLRPCServer(("127.0.0.1", 0), encoding=sys.argv[1], logRequests=False)
            server.register_function(lambda: "Grüße", "hello")
            print("listening", server.server_address[1], flush=True)
            server.serve_forever()
            """
        for charset in ["iso-8859-1", "utf-8", "utf-16"] {
            let peer = try PeerProcess(Peers.python(), ["-c", script, charset], log: TestFolder.path("\(charset).log"))
            let port = try await peer.untilPrinted("listening ")
            #expect(
                try await (try skein.xmlrpc("http://127.0.0.1:\(port)/RPC2")).hello().fetch(String.self) == "Grüße",
                "\(charset)")
            await peer.stop()
        }
        await skein.shutdown()
    }

    @Test(
        "XML by its byte order mark, its content type and its own declaration",
        arguments: [
            ([0xFE, 0xFF], String.Encoding.utf16BigEndian, nil, ""),
            ([], .utf16LittleEndian, nil, "<?xml version='1.0' encoding='utf-16'?>"),
            ([], .isoLatin1, nil, "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"),
            ([], .isoLatin1, "text/xml; charset=latin1", ""),
            ([0xEF, 0xBB, 0xBF], .utf8, "text/xml", ""), ([], .utf8, "application/xml", "<?xml version='1.0'?>"),
            ([], .windowsCP1252, nil, "<?xml version='1.0' encoding='windows-1252'?>"),
        ] as [([UInt8], String.Encoding, String?, String)])
    func xml(mark: [UInt8], encoding: String.Encoding, type: String?, declaration: String) throws {
        let bytes = try #require("\(declaration)<a>ü</a>".data(using: encoding))
        #expect(try XMLValue(ByteBuffer(bytes: mark + bytes), contentType: type).text == "ü")
    }

    @Test("a WebSocket message is written to a pipe as its bytes")
    func webSocket() async throws {
        let url = try await WebSocketClientTests.url()
        let out = try await Self.bytes("printf '\\200\\001\\n' | \(Self.skein) ws --binary --count 1 \(url)/echo")
        #expect(out == [0x80, 1])
    }

    @Test("40 paths are signed as by botocore")
    func signatures() async throws {
        let paths = [
            "/", "//a", "/a/../b", "/./a", "/a//b", "/a/./b/", "/a/b/../../c", "/..", "/a/..", "/%20", "/a%2Fb", "/a+b",
            "/ä", "/~a-_.",
            "/a/b/c/", "/a?x=1&y=2", "/?b=2&a=1&a=0", "/a%252Fb",
        ]
        let script = """
            import json, sys, datetime
            from botocore.auth import SigV4Auth, S3SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.credentials import Credentials
            import botocore.auth
            class Fixed(datetime.datetime):
                @classmethod
                def utcnow(cls): return cls(2015, 8, 30, 12, 36, 0)
                @classmethod
                def now(cls, tz=None): return cls(2015, 8, 30, 12, 36, 0, tzinfo=tz)
            botocore.auth.datetime = type("d", (), {"datetime": Fixed})
            if hasattr(botocore.auth, "get_current_datetime"):
                botocore.auth.get_current_datetime = lambda *a, **k: Fixed(2015, 8, 30, 12, 36, 0)
            out = []
            for service, url in json.loads(sys.argv[1]):
                request = AWSRequest("GET", url, headers={})
                SigV4Auth(Credentials("AKTEST", "secret"), service, "us-east-1").add_auth(request)
                out.append(request.headers["Authorization"].split("Signature=")[1])
            print(json.dumps(out))
            """
        let urls = paths.map { ["execute-api", "http://example.amazonaws.com\(Percent.encodeUnsafe($0))"] }
        let run = try await runToEnd(
            Peers.python(), ["-c", script, String(decoding: try JSONEncoder().encode(urls), as: UTF8.self)])
        let theirs = try JSONValue(json: run.output).elements ?? []
        #expect(theirs.count == paths.count, "\(run.errors)")
        let signer = AWSSigner(
            AWSCredentials(accessKey: "AKTEST", secretKey: "secret"), region: "us-east-1", service: "execute-api")
        for (url, signature) in zip(urls, theirs) {
            let signed = signer.sign(
                HTTPRequest(.get, try HTTPURL(url[1])), at: Date(timeIntervalSince1970: 1_440_938_160))
            let ours = signed.headers["Authorization"]?.components(separatedBy: "Signature=").last
            #expect(ours == signature.string, "\(url[1])")
        }
    }

    @Test("messages of each group of a FIFO queue arrive in order")
    func fifo() async throws {
        let peer = try await AWSPeer.shared.get()
        let skein = SkeinClient()
        let options = AWSConfiguration(
            region: "eu-west-1", endpoint: peer.endpoint,
            credentials: AWSCredentials(accessKey: "AKTEST", secretKey: "secret"))
        let queue = try await skein.sqs(options).createQueue(
            "exact.fifo", attributes: ["ContentBasedDeduplication": "true"])
        let messages = (0..<90).map { SQSOutgoing("\($0)", groupID: $0 % 3 == 0 ? "a" : "b") }
        #expect(try await queue.sendAll(messages).isEmpty)
        var found: [String: [Int]] = [:]
        while true {
            let some = try await queue.messages(wait: .zero)
            if some.isEmpty { break }
            for message in some {
                found[message.systemAttributes["MessageGroupId"] ?? "", default: []].append(Int(message.body) ?? -1)
            }
            _ = try await queue.deleteAll(some)
        }
        #expect(found["a"] == Array(stride(from: 0, to: 90, by: 3)))
        #expect(found["b"] == (0..<90).filter { $0 % 3 != 0 })
        await skein.shutdown()
    }
}
