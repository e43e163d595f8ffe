// AsyncHTTPClient as a load generator: async-http-client-load URL REQUESTS CLIENTS THREADS

import AsyncHTTPClient
import NIOPosix

@main
enum Main {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 5, let requests = Int(arguments[2]), let clients = Int(arguments[3]),
            let threads = Int(arguments[4])
        else { fatalError("usage: async-http-client-load URL REQUESTS CLIENTS THREADS") }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = clients
        let client = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for number in 0..<clients {
                let share = requests / clients + (number < requests % clients ? 1 : 0)
                tasks.addTask {
                    for _ in 0..<share {
                        let response = try await client.execute(
                            HTTPClientRequest(url: arguments[1]), timeout: .seconds(30))
                        _ = try await response.body.collect(upTo: 1 << 20)
                    }
                }
            }
            try await tasks.waitForAll()
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        print(Double(requests) / seconds)
        try await client.shutdown()
    }
}
