// What calls of Amazon's services cost: CPU a call, and connections.

import Skein

enum AmazonProbe {
    /// Sends batches to a queue, puts items into a table and queries it.
    static func run(_ endpoint: String, queue: String, table: String, count: Int) async throws {
        var configuration = Skein.Configuration()
        configuration.threads = 1
        configuration.http.connectionsPerOrigin = 1
        let skein = Skein(configuration)
        let options = AWSOptions(
            region: "us-east-1", endpoint: endpoint,
            credentials: AWSCredentials(accessKey: "AKTEST", secretKey: "secret"))
        let jobs = try await skein.sqs(options).createQueue(queue)
        let items = skein.dynamodb(options)[table]
        try await items.create(partition: ("id", .string), sort: ("n", .number)).commit()
        let batch = (0..<10).map { SQSOutgoing("message \($0)") }
        let send = try await cpu(count) { _ in _ = try await jobs.sendAll(batch) }
        let text = AttributeValue(String(repeating: "x", count: 100))
        let put = try await cpu(count) {
            try await items.put(["id": "p", "n": AttributeValue($0), "text": text]).commit()
        }
        let query = try await cpu(count) { _ in
            try await items.query("\(name: "id") = \("p") AND \(name: "n") = \(0)").commit()
        }
        let connections = skein.connectCount
        // Ten thousand of each, over the same connection. The queue is emptied on the way, since the peer is slow with
        // a full one.
        for _ in 0..<20 {
            let failures = try await jobs.sendAll((0..<500).map { SQSOutgoing("message \($0)") })
            guard failures.isEmpty else { fatalError("\(failures)") }
            try await jobs.purge().commit()
        }
        for part in 0..<10 {
            try await items.writeAll(
                (0..<1000).map { .put(["id": .string("q\(part)"), "n": AttributeValue($0), "text": text]) })
        }
        var found = 0
        for part in 0..<10 {
            for try await _ in items.items(DynamoQuery(key: "\(name: "id") = \("q\(part)")")) { found += 1 }
        }
        print(
            "{\"send\": \(send), \"put\": \(put), \"query\": \(query), \"found\": \(found), \"connections\": \(connections), "
                + "\"connections_after_all\": \(skein.connectCount)}")
        await skein.shutdown()
    }

    /// Seconds of CPU a call.
    private static func cpu(_ count: Int, _ work: (Int) async throws -> Void) async throws -> Double {
        try await work(0)
        let before = ProcessStatus.cpuSeconds()
        for number in 0..<count { try await work(number) }
        return (ProcessStatus.cpuSeconds() - before) / Double(count)
    }
}
