import Crypto
import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinEngine
import Testing

@testable import SkeinHTTP

/// Values through stores, queues and remote calls, by the library and by the program, beside the clients of others.
@Suite("Exactness: stores and calls", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct ExactStoreTests {
    private static let skein = CommandTests.skein

    @Test("300 binary values of Redis: what redis-cli prints goes to a pipe, and JSON tells text from bytes")
    func redis() async throws {
        let peer = try await RedisPeer.shared.get()
        let skein = Skein()
        let redis = try skein.redis(peer.url("/7"))
        var random = SeededGenerator(seed: 5)
        var values: [[UInt8]] = [[0x80], Array("gA==".utf8), [], [0], [0x0A], [0x0D, 0x0A]]
        while values.count < 300 { values.append(random.bytes(random.number(0...12))) }
        for (number, value) in values.enumerated() {
            try await redis.set("exact:\(number)", ByteBuffer(bytes: value)).commit()
            #expect(try await redis.get("exact:\(number)").fetch(Data.self) == Data(value))
        }
        for number in 0..<60 {
            let ours = try await Self.bytes("\(Self.skein) redis \(peer.url("/7")) GET exact:\(number)")
            let theirs = try await Self.bytes("redis-cli -p \(peer.port) -n 7 GET exact:\(number)")
            #expect(ours == theirs && ours == values[number] + [0x0A], "\(values[number])")
            let json = try await Self.bytes("\(Self.skein) redis --json \(peer.url("/7")) GET exact:\(number)")
            let value = try JSONValue(json: json)
            if let text = String(validating: values[number], as: UTF8.self) {
                #expect(value.string?.equalsBytes(text) == true)
            } else {
                #expect(value["$base64"]?.string.flatMap { Data(base64Encoded: $0) } == Data(values[number]))
            }
        }
        _ = try await Self.bytes("printf 'a\\200\\n' | \(Self.skein) redis -x \(peer.url("/7")) SET exact:in")
        #expect(try await redis.get("exact:in").fetch(Data.self) == Data([0x61, 0x80, 0x0A]))
        await skein.shutdown()
    }

    /// What a line of the shell prints, whatever its code.
    private static func bytes(_ line: String) async throws -> [UInt8] {
        let path = TestFolder.path("bytes")
        _ = try await runToEnd("bash", ["-c", "(\(line)) > \(path)"])
        return Array(try Data(contentsOf: URL(filePath: path)))
    }

    @Test("numbers of DynamoDB arrive with the digits that were typed; boto3 reads them, and they come back")
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
        var numbers = [
            "12345678901234567890", "0.1", "1e-30", "-7", "12345678901234567890123456789012345678",
            "18446744073709551615",
        ]
        while numbers.count < 40 {
            numbers.append("\(random.digits(random.number(1...20))).\(random.digits(random.number(1...17)))")
        }
        let members = numbers.enumerated().map { "\"n\($0)\": \($1)" }.joined(separator: ", ")
        let put = try await skein("put", "exact", "{\"id\": \"x\", \(members), \"b\": {\"$base64\": \"gAE=\"}}")
        #expect(put.code == 0, "\(put.errors)")
        let script = """
            import boto3, json, sys
            table = boto3.resource("dynamodb", endpoint_url=sys.argv[1], region_name="eu-west-1",
                aws_access_key_id="AKTEST", aws_secret_access_key="secret").Table("exact")
            item = table.get_item(Key={"id": "x"})["Item"]
            print(json.dumps({k: v.value.hex() if k == "b" else str(v) for k, v in item.items()}))
            """
        let theirs = try await runToEnd(Peers.python(), ["-c", script, peer.endpoint])
        let found = try JSONValue(json: theirs.output)
        for (place, number) in numbers.enumerated() {
            let read = try #require(found["n\(place)"]?.string)
            #expect(Decimal(string: read) == Decimal(string: number), "\(number): \(read)")
        }
        #expect(found["b"]?.string == "8001")
        let back = try JSONValue(json: try await skein("get", "exact", "{\"id\": \"x\"}").output)
        for (place, number) in numbers.enumerated() {
            guard case .number(let digits)? = back["n\(place)"] else {
                Issue.record("no number n\(place)")
                continue
            }
            #expect(Decimal(string: digits.text) == Decimal(string: number))
        }
        #expect(back["b"] == ["$base64": "gAE="])
    }

    @Test("JSON-RPC: all digits go and come; what is no JSON is an error with a sentence")
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
            let skein = Skein()
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
        let skein = Skein()
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

    @Test("a message of a WebSocket goes to a pipe as its bytes")
    func webSocket() async throws {
        let url = try await WebSocketClientTests.url()
        let out = try await Self.bytes("printf '\\200\\001\\n' | \(Self.skein) ws --binary --count 1 \(url)/echo")
        #expect(out == [0x80, 1])
    }

    @Test("40 paths are signed as botocore signs them")
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

    @Test("messages of each group of a FIFO queue arrive in the order in which they were given")
    func fifo() async throws {
        let peer = try await AWSPeer.shared.get()
        let skein = Skein()
        let options = AWSOptions(
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
