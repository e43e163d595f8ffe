// What a find by id costs: CPU a call, with 64 callers on one connection.

import Skein
import SkeinMongo

enum FindProbe {
    static func run(_ uri: String, count: Int) async throws {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 1
        configuration.concurrency = 1000
        let skein = SkeinClient(configuration)
        var options = try MongoConfiguration(uri)
        options.pool.maximum = 1
        let posts = skein.mongo(options)["bench"]["posts"]
        try await posts.findOne(["_id": 7]).commit()
        let callers = 64
        let start = ContinuousClock.now
        let before = ProcessStatus.cpuSeconds()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<callers {
                group.addTask(executorPreference: skein.shards[0].executor) {
                    for _ in 0..<count / callers {
                        let found = try await posts.findOne(["_id": 7]).fetch()
                        guard found.data.first?["_id"] == 7 else { fatalError("another document was found") }
                    }
                }
            }
            try await group.waitForAll()
        }
        let calls = Double(count / callers * callers)
        print(
            "{\"microseconds\": \((ProcessStatus.cpuSeconds() - before) / calls * 1e6), "
                + "\"calls_per_second\": \(calls / ((ContinuousClock.now - start) / .seconds(1))), "
                + "\"connections\": \(skein.connectCount)}")
        await skein.shutdown()
    }
}
