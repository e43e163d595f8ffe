import Foundation
import PeerSupport
import Skein
import SkeinAWS
import Testing

/// moto, behind a proxy that checks each signature with botocore, and boto3 as the other client.
@Suite("AWS", .timeLimit(.minutes(3)), InTurn())
struct AWSTests {
    private static let key = AWSCredentials(accessKey: "AKTEST", secretKey: "secret")

    private func options(_ credentials: AWSCredentials? = key, _ environment: [String: String] = [:]) async throws
        -> AWSConfiguration
    {
        AWSConfiguration(
            region: "us-east-1", endpoint: try await AWSPeer.shared.get().endpoint, credentials: credentials,
            environment: environment)
    }

    private func fail(_ operation: String, _ type: String, status: Int = 400, times: Int = 1, half: Bool = false)
        async throws
    {
        let skein = SkeinClient()
        let url = try await AWSPeer.shared.get().endpoint + "/control/fail"
        var parameters: Parameters = ["operation": operation, "type": type, "status": status, "times": times]
        if half { parameters.add("half", 1) }
        try await skein.get(url, parameters: parameters).commit()
        await skein.shutdown()
    }

    // MARK: SQS

    @Test("queues: made, found, listed, set, emptied, deleted")
    func queues() async throws {
        let skein = SkeinClient()
        let sqs = skein.sqs(try await options())
        let queue = try await sqs.createQueue("life-a", attributes: ["VisibilityTimeout": "60"])
        _ = try await sqs.createQueue("life-b")
        #expect(try await sqs.queue(named: "life-a").url == queue.url)
        #expect(try await sqs.queues(prefix: "life-").count == 2)
        #expect(try await queue.attributes()["VisibilityTimeout"] == "60")
        try await queue.setAttributes(["VisibilityTimeout": "90"]).commit()
        #expect(try await queue.attributes(["VisibilityTimeout"]) == ["VisibilityTimeout": "90"])
        try await queue.send("x").commit()
        try await queue.purge().commit()
        #expect(try await queue.attributes()["ApproximateNumberOfMessages"] == "0")
        try await queue.drop().commit()
        let error = await #expect(throws: SkeinError.self) { try await sqs.queue(named: "life-a") }
        let cause = error?.cause as? AWSError
        #expect(cause?.code.contains("QueueDoesNotExist") == true && cause?.status == 400)
        #expect(try await sqs.call("ListQueues", ["QueueNamePrefix": .string("life-")]).fetch()["QueueUrls"]?[0] != nil)
        await skein.shutdown()
    }

    @Test("messages: sent, received, extended, returned, deleted")
    func messages() async throws {
        let skein = SkeinClient()
        let queue = try await skein.sqs(options()).createQueue("messages")
        let sent = await queue.send(
            SQSOutgoing("grüße\n\"x\"", attributes: ["n": 7, "s": "t", "b": .binary(Data([0, 255]))])
        ).dispatch()
        #expect(sent.statusCode == 200 && sent.content["MessageId"]?.string != nil)
        let message = try #require(try await queue.messages(wait: .seconds(1)).first)
        #expect(message.body == "grüße\n\"x\"" && message.receiveCount == 1)
        #expect(message.attributes == ["n": .number("7"), "s": .string("t"), "b": .binary(Data([0, 255]))])
        #expect(try await queue.messages(wait: .zero).isEmpty)
        try await queue.changeVisibility(message, to: .zero).commit()
        let again = try #require(try await queue.messages(wait: .seconds(5)).first)
        #expect(again.id == message.id && again.receiveCount == 2)
        try await queue.delete(again).commit()
        #expect(try await queue.attributes()["ApproximateNumberOfMessagesNotVisible"] == "0")
        struct Job: Codable, Equatable { let id: Int }
        try await queue.send(SQSOutgoing(json: Job(id: 3))).commit()
        #expect(try await queue.messages(wait: .seconds(1)).first?.decode(Job.self) == Job(id: 3))
        let fifo = try await skein.sqs(options()).createQueue("order.fifo")
        for text in ["a", "b", "a"] {
            try await fifo.send(SQSOutgoing(text, groupID: "g", deduplicationID: text)).commit()
        }
        #expect(try await fifo.messages(wait: .zero).map(\.body) == ["a", "b"])
        await skein.shutdown()
    }

    @Test("hundreds of messages in batches of ten over one connection, with partial failures")
    func many() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 1
        configuration.http.connectionsPerOrigin = 1
        let skein = SkeinClient(configuration)
        let queue = try await skein.sqs(options()).createQueue("many")
        try await fail("SendMessageBatch", "", times: 3, half: true)
        #expect(try await queue.sendAll((0..<300).map { SQSOutgoing("message \($0)") }).isEmpty)
        #expect(try await queue.attributes()["ApproximateNumberOfMessages"] == "300")
        #expect(skein.connectCount == 1)
        let some = try await queue.messages(wait: .zero)
        #expect(try await queue.deleteAll(some).isEmpty && some.count == 10)
        #expect(try await queue.attributes()["ApproximateNumberOfMessages"] == "290")
        // A request that the service rejects is not sent again.
        let wrong = try await queue.deleteAll([some[0], some[1]] + [try Self.message(receipt: "nonsense")])
        #expect(wrong.map(\.index) == [2] && wrong[0].code == "ReceiptHandleIsInvalid")
        await skein.shutdown()
    }

    private static func message(receipt: String) throws -> SQSMessage {
        try JSONDecoder().decode(
            SQSMessage.self, from: Data(#"{"MessageId": "x", "ReceiptHandle": "\#(receipt)", "Body": ""}"#.utf8))
    }

    @Test("a consumer deletes accepted messages, returns the rest, and extends slow ones")
    func consumer() async throws {
        let skein = SkeinClient()
        let queue = try await skein.sqs(options()).createQueue("work")
        try await queue.sendAll((0..<25).map { SQSOutgoing("\($0)") })
        let (words, done) = AsyncStream.makeStream(of: String.self)
        struct Later: Error {}
        let consumer = Task {
            try await queue.consume(concurrency: 4, visibility: .seconds(6)) { message in
                if message.body == "7", message.receiveCount == 1 { throw Later() }
                // Longer than the visibility timeout without extensions.
                if message.body == "8" { try await Task.sleep(for: .seconds(7)) }
                done.yield(message.body)
            }
        }
        var all: [String] = []
        for await word in words {
            all.append(word)
            // When all are done, it requests as many messages as it has room for, not single ones.
            if all.count == 25 { try await queue.send("25").commit() }
            if all.count == 26 { break }
        }
        #expect(try await asksFor(atLeast: 2, of: queue))
        consumer.cancel()
        try await consumer.value
        done.finish()
        for await word in words { all.append(word) }
        #expect(all.sorted() == (0..<26).map { "\($0)" }.sorted())
        let left = try await queue.attributes()
        #expect(left["ApproximateNumberOfMessages"] == "0" && left["ApproximateNumberOfMessagesNotVisible"] == "0")
        await skein.shutdown()
    }

    /// Whether requests for this many messages of a queue are in progress at once within a while. Two may still be in
    /// deletion then.
    private func asksFor(atLeast count: Int, of queue: SQSQueue) async throws -> Bool {
        let skein = SkeinClient()
        let url = try await AWSPeer.shared.get().endpoint + "/control/log"
        let end = ContinuousClock.now + .seconds(20)
        var isSo = false
        while !isSo, ContinuousClock.now < end {
            let last = try await skein.get(url).fetch([JSONValue].self).last {
                $0["operation"]?.string == "ReceiveMessage" && $0["input"]?["QueueUrl"]?.string == queue.url
            }
            isSo = (last?["input"]?["MaxNumberOfMessages"]?.integer ?? 0) >= count
        }
        await skein.shutdown()
        return isSo
    }

    @Test("boto3 reads Skein's messages and items, and vice versa")
    func boto3() async throws {
        let peer = try await AWSPeer.shared.get()
        let skein = SkeinClient()
        let queue = try await skein.sqs(options()).createQueue("exchange")
        try await peer.python("send", "exchange", "von Python ü")
        let theirs = try #require(try await queue.messages(wait: .seconds(1)).first)
        #expect(
            theirs.body == "von Python ü" && theirs.attributes == ["n": .number("7"), "b": .binary(Data([0, 255]))])
        try await queue.delete(theirs).commit()
        try await queue.send(SQSOutgoing("von Swift ü", attributes: ["n": 8, "b": .binary(Data([1]))])).commit()
        let ours = try JSONDecoder().decode(
            JSONValue.self, from: Data(try await peer.python("receive", "exchange").utf8))
        #expect(
            ours["body"]?.string == "von Swift ü" && ours["attributes"]?["n"]?.string == "8"
                && ours["attributes"]?["b"]?.string == "01")
        let table = skein.dynamodb(try await options())["exchange"]
        try await table.create(partition: ("id", .string)).commit()
        try await peer.python(
            "put", "exchange", #"{"id": "py", "n": 1.5, "list": [1, "x", true, null], "map": {"ü": "y"}}"#)
        let item = try #require(await table.get(["id": "py"]).dispatch().item)
        #expect(item == ["id": "py", "n": 1.5, "list": [1, "x", true, nil], "map": ["ü": "y"]])
        try await table.put(["id": "swift", "n": 2.25, "list": [1], "map": ["k": false]]).commit()
        #expect(
            try await peer.python("get", "exchange", #"{"id": "swift"}"#)
                == #"{"id": "swift", "list": ["1"], "map": {"k": false}, "n": "2.25"}"#)
        await skein.shutdown()
    }

    // MARK: DynamoDB

    struct Post: Codable, Equatable {
        var author: String
        var number: Int
        var title: String
        var hits = 0
    }

    @Test("items: put, read, changed, deleted, each with conditions")
    func items() async throws {
        let skein = SkeinClient()
        let db = skein.dynamodb(try await options())
        let posts = db["posts"]
        try await posts.create(partition: ("author", .string), sort: ("number", .number)).commit()
        try await posts.untilActive()
        #expect(try await db.tableNames().contains("posts"))
        let post = Post(author: "Ada", number: 1, title: "On \"looms\"")
        try await posts.put(encoding: post, if: "attribute_not_exists(\(name: "author"))").commit()
        let twice = try await posts.put(encoding: post, if: "attribute_not_exists(\(name: "author"))").dispatch()
        #expect(twice.statusCode == 409 && twice.error?.code == "ConditionalCheckFailedException")
        let key: DynamoItem = ["author": "Ada", "number": 1]
        #expect(try await posts.get(key, isConsistent: true).one(Post.self) == post)
        #expect(await posts.get(key, attributes: ["title"]).dispatch().item == ["title": "On \"looms\""])
        #expect(try await posts.get(["author": "Ada", "number": 2]).fetch(Post?.self) == nil)
        let none = await #expect(throws: SkeinError.self) {
            try await posts.get(["author": "Ada", "number": 2]).one(Post.self)
        }
        #expect(none?.code.rawValue == 410)
        let changed = await posts.update(key, "SET \(name: "hits") = \(name: "hits") + \(2)", returning: .updatedNew)
            .dispatch()
        #expect(changed.item == ["hits": 2])
        let refused = await posts.update(key, "SET \(name: "hits") = \(0)", if: "\(name: "hits") > \(5)").dispatch()
        #expect(refused.statusCode == 409)
        #expect(try await posts.delete(key, returning: .allOld).one(Post.self).hits == 2)
        let wrong = await db["nowhere"].get(key).dispatch()
        #expect(wrong.statusCode == 400 && wrong.error?.code == "ResourceNotFoundException")
        #expect(try await db.getItem("posts", key).fetch(Post?.self) == nil)
        #expect(try await posts.describe().fetch()["Table"]?["KeySchema"]?[1]?["AttributeName"]?.string == "number")
        try await posts.drop().commit()
        await skein.shutdown()
    }

    @Test("a thousand items in batches, some unprocessed, then queried page by page, over one connection")
    func thousands() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 1
        configuration.http.connectionsPerOrigin = 1
        let skein = SkeinClient(configuration)
        let table = skein.dynamodb(try await options())["thousands"]
        try await table.create(partition: ("id", .string), sort: ("n", .number)).commit()
        try await fail("BatchWriteItem", "", times: 3, half: true)
        try await fail("BatchGetItem", "", times: 2, half: true)
        try await table.writeAll(
            (0..<1000).map {
                .put([
                    "id": .string("p\($0 % 2)"), "n": AttributeValue($0),
                    "text": .string(String(repeating: "x", count: 3000)),
                ])
            })
        #expect(try await table.count() == 1000)
        var query = DynamoQuery(
            key: "\(name: "id") = \("p1") AND \(name: "n") < \(900)", filter: "\(name: "n") > \(100)")
        query.isAscending = false
        var numbers: [Int] = []
        for try await item in table.items(query) { numbers.append(item["n"]?.int ?? -1) }
        #expect(numbers == (101..<900).filter { $0 % 2 == 1 }.reversed())
        query.pageSize = 10
        #expect(await table.page(query).dispatch().items.count <= 10)
        struct Row: Decodable { let n: Int }
        var sum = 0
        for try await row in table.items(DynamoQuery(filter: "\(name: "n") < \(10)")).decode(Row.self) { sum += row.n }
        #expect(sum == 45)
        let found = try await table.getAll(
            (0..<250).map { ["id": .string("p\($0 % 2)"), "n": AttributeValue($0)] } + [["id": "p0", "n": 99_999]],
            as: Row.self)
        #expect(found.map(\.n).sorted() == Array(0..<250))
        #expect(
            try await table.query("\(name: "id") = \("p0") AND \(name: "n") <= \(4)").fetch([Row].self).map(\.n) == [
                0, 2, 4,
            ])
        #expect(skein.connectCount == 1)
        await skein.shutdown()
    }

    @Test("transactions are atomic, and report reasons")
    func transactions() async throws {
        let skein = SkeinClient()
        let db = skein.dynamodb(try await options())
        let table = db["accounts"]
        try await table.create(partition: ("id", .string)).commit()
        try await db.transact {
            $0.put("accounts", ["id": "a", "sum": 10])
            $0.put("accounts", ["id": "b", "sum": 0], if: "attribute_not_exists(\(name: "id"))")
        }.commit()
        func move(_ sum: Int) -> Corequest<AWSResponse> {
            db.transact {
                $0.update(
                    "accounts", ["id": "a"], "SET \(name: "sum") = \(name: "sum") - \(sum)",
                    if: "\(name: "sum") >= \(sum)")
                $0.update("accounts", ["id": "b"], "SET \(name: "sum") = \(name: "sum") + \(sum)")
            }
        }
        try await move(7).commit()
        let refused = await move(7).dispatch()
        #expect(refused.statusCode == 409 && refused.error?.cancellationReasons == ["ConditionalCheckFailed", "None"])
        let both = try await db.transactGet([
            ("accounts", ["id": "a"]), ("accounts", ["id": "c"]), ("accounts", ["id": "b"]),
        ])
        #expect(both == [["id": "a", "sum": 3], nil, ["id": "b", "sum": 7]])
        await skein.shutdown()
    }

    // MARK: Errors

    @Test("throttled requests are retried with pauses, and fail in the end")
    func throttling() async throws {
        let skein = SkeinClient()
        var options = try await options()
        options.firstWait = .milliseconds(5)
        let table = skein.dynamodb(options)["throttled"]
        try await table.create(partition: ("id", .string)).commit()
        try await fail("PutItem", "ProvisionedThroughputExceededException", times: 3)
        try await table.put(["id": "a"]).commit()
        try await fail("PutItem", "InternalServerError", status: 500, times: 1)
        try await table.put(["id": "b"]).commit()
        try await fail("DeleteItem", "ThrottlingException", times: 5)
        let refused = await table.delete(["id": "a"]).dispatch()
        #expect(refused.error?.isThrottling == true && refused.reason == "ThrottlingException")
        try await table.delete(["id": "a"]).commit()
        await skein.shutdown()
    }

    @Test("a wrong key, a wrong secret and missing credentials are clear errors")
    func refused() async throws {
        let skein = SkeinClient()
        for (credentials, code) in [
            (AWSCredentials(accessKey: "AKTEST", secretKey: "wrong"), "InvalidSignatureException"),
            (AWSCredentials(accessKey: "AKNONE", secretKey: "secret"), "UnrecognizedClientException"),
        ] {
            let response = await skein.dynamodb(try await options(credentials)).call("ListTables", [:]).dispatch()
            #expect(response.statusCode == 403 && response.error?.code == code)
        }
        let none = await skein.dynamodb(
            try await options(nil, ["HOME": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true"])
        ).call("ListTables", [:]).dispatch()
        #expect(
            none.failure?.code == .unknownAuthentication && none.failure?.message.contains("AWS_ACCESS_KEY_ID") == true)
        await skein.shutdown()
    }

    @Test(
        "credentials come from environment, files, containers and machines, and are fetched anew when they have expired"
    )
    func credentials() async throws {
        let skein = SkeinClient()
        let peer = try await AWSPeer.shared.get()
        func call(_ environment: [String: String]) async throws -> Int {
            await skein.dynamodb(try await options(nil, environment)).call("ListTables", [:]).dispatch().statusCode
        }
        #expect(try await call(["AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "secret"]) == 200)
        let file = try TestFolder.write(
            "[other]\naws_access_key_id = AKTEST\naws_secret_access_key = secret\n", as: "credentials")
        #expect(
            try await call(["AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "other", "HOME": "/nowhere"]) == 200)
        #expect(
            try await call(["AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "nobody", "HOME": "/nowhere"]) == 701)
        #expect(try await call(["HOME": "/nowhere", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "\(peer.endpoint)/"]) == 200)
        let container = [
            "HOME": "/nowhere", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "\(peer.endpoint)/creds",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me",
        ]
        let db = skein.dynamodb(try await options(nil, container))
        #expect(await db.call("ListTables", [:]).dispatch().statusCode == 200)
        // The others are received by another consumer, so that these have expired.
        #expect(try await call(container) == 200)
        #expect(await db.call("ListTables", [:]).dispatch().statusCode == 200)
        var elsewhere = container
        elsewhere["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://example.org/creds"
        #expect(try await call(elsewhere) == 706)
        await skein.shutdown()
    }

    @Test("clock skew is corrected by the service's time")
    func clock() async throws {
        @Sendable func answer(_ status: String, _ body: String) -> ScriptedServer.Step {
            .send(
                "HTTP/1.1 \(status)\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
        }
        let server = try await ScriptedServer.start { _ in
            [
                .until("\r\n\r\n"),
                answer(
                    "403 Forbidden",
                    #"{"__type":"x#InvalidSignatureException","message":"Signature expired: it is late"}"#),
                .until("20300101T0000"), answer("200 OK", #"{"TableNames":["t"]}"#), .wait,
            ]
        }
        let skein = SkeinClient()
        let options = AWSConfiguration(
            region: "us-east-1", endpoint: "http://127.0.0.1:\(server.port)", credentials: Self.key)
        #expect(try await skein.dynamodb(options).tableNames() == ["t"])
        await skein.shutdown()
        await server.stop()
    }

    @Test("through a proxy, with keep-alive")
    func proxied() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 1
        configuration.http.proxy = .always(try Proxy("http://127.0.0.1:\(try await ProxyPeerTests.squid.value.plain)"))
        let skein = SkeinClient(configuration)
        let queue = try await skein.sqs(options()).createQueue("proxied")
        for number in 0..<10 { try await queue.send("message \(number)").commit() }
        #expect(await skein.dynamodb(try await options()).call("ListTables", [:]).dispatch().statusCode == 200)
        #expect(skein.connectCount == 1)
        await skein.shutdown()
    }
}
