// What calls of Amazon's services cost: CPU a call, and connections.

import Skein
import SkeinAWS

enum AmazonProbe {
    /// Sends batches to a queue, puts items into a table and queries it, and prints what a call costs; for a thousand calls and more, sends ten
    /// thousand messages, and puts and queries as many items, over one connection.
    static func run(_ endpoint: String, queue: String, table: String, count: Int) async throws {
        let options = AWSConfiguration(
            region: "us-east-1", endpoint: endpoint,
            credentials: AWSCredentials(accessKey: "AKTEST", secretKey: "secret"))
        let text = AttributeValue(String(repeating: "x", count: 100))
        if count < 1000 {
            let skein = session(connections: 16)
            let shard = skein.shards[0]
            let jobs = try await skein.sqs(options).createQueue(queue)
            let items = skein.dynamodb(options)[table]
            try await items.create(partition: ("id", .string), sort: ("n", .number)).commit()
            let batch = (0..<10).map { SQSOutgoing("message \($0)") }
            let send = try await cpu(count, on: shard) { _ in _ = try await jobs.sendAll(batch) }
            let put = try await cpu(count, on: shard) {
                try await items.put(["id": "p", "n": AttributeValue($0), "text": text]).commit()
            }
            let query = try await cpu(count, on: shard) { _ in
                try await items.query("\(name: "id") = \("p") AND \(name: "n") = \(0)").commit()
            }
            print("{\"send\": \(send), \"put\": \(put), \"query\": \(query)}")
            return await skein.shutdown()
        }
        let skein = session(connections: 1)
        let items = skein.dynamodb(options)[table]
        try await items.create(partition: ("id", .string), sort: ("n", .number)).commit()
        // The messages go to several queues, since the peer is slow with a full one.
        for part in 0..<20 {
            let other = try await skein.sqs(options).createQueue("\(queue)-\(part)")
            let failures = try await other.sendAll((0..<500).map { SQSOutgoing("message \($0)") })
            guard failures.isEmpty else { fatalError("\(failures)") }
            try await other.drop().commit()
        }
        for part in 0..<10 {
            try await items.writeAll(
                (0..<1000).map { .put(["id": .string("q\(part)"), "n": AttributeValue($0), "text": text]) })
        }
        var found = 0
        for part in 0..<10 {
            for try await _ in items.items(DynamoQuery(key: "\(name: "id") = \("q\(part)")")) { found += 1 }
        }
        print("{\"found\": \(found), \"connections\": \(skein.connectCount)}")
        await skein.shutdown()
    }

    private static func session(connections: Int) -> SkeinClient {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 1
        configuration.http.connectionsPerOrigin = connections
        return SkeinClient(configuration)
    }

    /// Seconds of CPU a call, with sixteen callers at one time.
    private static func cpu(
        _ count: Int, on shard: Shard, _ work: @escaping @Sendable (Int) async throws -> Void
    ) async throws -> Double {
        let callers = 16
        try await work(0)
        let before = ProcessStatus.cpuSeconds()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<callers {
                // On the loop, as an app's handlers are.
                group.addTask(executorPreference: shard.executor) {
                    for number in stride(from: caller, to: count, by: callers) { try await work(number) }
                }
            }
            try await group.waitForAll()
        }
        return (ProcessStatus.cpuSeconds() - before) / Double(count)
    }
}
