// Hummingbird answering one text: hummingbird-hello PORT THREADS

import Hummingbird
import Logging
import NIOPosix

@main
enum Main {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let port = Int(arguments[1]), let threads = Int(arguments[2]) else {
            fatalError("usage: hummingbird-hello PORT THREADS")
        }
        let router = Router()
        router.get("/hello") { _, _ in "hello world" }
        var logger = Logger(label: "hello")
        logger.logLevel = .error
        let app = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)),
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: threads)), logger: logger)
        try await app.runService()
    }
}
