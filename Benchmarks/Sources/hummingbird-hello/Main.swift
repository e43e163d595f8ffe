// Hummingbird answering a text: hummingbird-hello PORT THREADS [LOG], with a line for each request in the log.

import Hummingbird
import Logging
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Lines in a file.
struct File: TextOutputStream, Sendable {
    let descriptor: Int32

    func write(_ text: String) {
        var text = text
        text.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}

/// A log handler as small as it can be.
struct FileLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    let file: File

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        file.write("\(event.message) \(all.map { "\($0)=\($1)" }.joined(separator: " "))\n")
    }
}

@main
enum Main {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (3...4).contains(arguments.count), let port = Int(arguments[1]), let threads = Int(arguments[2]) else {
            fatalError("usage: hummingbird-hello PORT THREADS [LOG]")
        }
        let router = Router()
        var logger = Logger(label: "hello")
        logger.logLevel = .error
        if arguments.count == 4 {
            let file = File(descriptor: open(arguments[3], O_WRONLY | O_CREAT | O_APPEND, 0o644))
            logger = Logger(label: "hello") { _ in FileLogHandler(file: file) }
            router.add(middleware: LogRequestsMiddleware(.info))
        }
        router.get("/hello") { _, _ in "hello world" }
        router.get("/hello/:name") { _, context in "hello \(try context.parameters.require("name"))" }
        let app = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)),
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: threads)), logger: logger)
        try await app.runService()
    }
}
