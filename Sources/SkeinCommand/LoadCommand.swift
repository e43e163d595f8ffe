import ArgumentParser
import Skein

struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "load")
    @Argument var url: String
    @Option(name: .short) var n = 1000
    @Option(name: .short) var c = 10
    @Option var threads = 1
    @Flag var http1 = false
    func run() async throws {
        var configuration = Skein.Configuration()
        configuration.threads = threads
        configuration.concurrency = c
        let skein = Skein(configuration)
        let url = try HTTPURL(self.url)
        let per = n / c
        let t0 = NIODeadline.now()
        await withTaskGroup(of: Void.self) { group in
            for i in 0..<c {
                let shard = skein.shards[i % skein.shards.count]
                group.addTask(executorPreference: shard.executor) {
                    for _ in 0..<per {
                        let r = await skein.start(HTTPRequest(.get, url)).dispatch()
                        if r.statusCode != 200 { print(r.reportLine) }
                    }
                }
            }
        }
        let s = await skein.fetchAll()
        print(s, (NIODeadline.now() - t0))
    }
}
