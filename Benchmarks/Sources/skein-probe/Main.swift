// Probes of Skein that its command line has no use for; each prints one JSON object.
//
//   skein-probe million URL REQUESTS     requests in callbacks through 100 workers, memory on the way
//   skein-probe pipeline URL REQUESTS    pipelined requests on one hand-driven connection
//   skein-probe rows URL ROWS ROUNDS     rows of PostgreSQL decoded into structs
//   skein-probe find URI CALLS           CPU of a find by id, with 64 callers on one connection of MongoDB
//   skein-probe amazon URL QUEUE TABLE CALLS   CPU of a call of SQS and DynamoDB, ten thousand of each at the end
//   skein-probe engine PORT FOLDER LOG [CERTIFICATE KEY]    a router, files and a log, as bench.py asks for them
//   skein-probe idle CONNECTIONS         memory of idle connections on the server, HTTP or WebSocket

import Foundation
import Skein
import SkeinEngine
import Synchronization

@main
enum Main {
    static func main() async throws {
        let arguments = CommandLine.arguments
        switch (arguments.dropFirst().first, arguments.count) {
        case ("million", 4): await Million(url: arguments[2], limit: Int(arguments[3]) ?? 1_000_000).run()
        case ("pipeline", 4): try await pipeline(arguments[2], count: Int(arguments[3]) ?? 10_000)
        case ("rows", 5):
            try await RowsProbe.run(arguments[2], count: Int(arguments[3]) ?? 100_000, rounds: Int(arguments[4]) ?? 3)
        case ("find", 4): try await FindProbe.run(arguments[2], count: Int(arguments[3]) ?? 64_000)
        case ("amazon", 6):
            try await AmazonProbe.run(
                arguments[2], queue: arguments[3], table: arguments[4], count: Int(arguments[5]) ?? 100)
        case ("engine", 5), ("engine", 7):
            try await serveEngine(
                port: Int(arguments[2]) ?? 0, folder: arguments[3], log: arguments[4] == "-" ? nil : arguments[4],
                certificate: arguments.count == 7 ? (arguments[5], arguments[6]) : nil)
        case ("idle", 3): try await idle(Int(arguments[2]) ?? 10_000)
        default:
            fatalError(
                "usage: skein-probe million|pipeline URL REQUESTS, rows URL ROWS ROUNDS, find URI CALLS, amazon URL QUEUE TABLE CALLS, "
                    + "engine PORT FOLDER LOG, or idle CONNECTIONS")
        }
    }

    /// Sends and reads so many requests on one connection.
    static func pipeline(_ url: String, count: Int) async throws {
        let connection = try HTTPConnection(url)
        let target = try HTTPURL(url).target
        let start = ContinuousClock.now
        try await Task(executorPreference: connection.shard.executor) {
            try await connection.pipeline {
                for _ in 0..<count { try await connection.sendRequest(.get, target) }
            } reading: { _ in
                _ = try await connection.readAll()
            }
        }.value
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        print("{\"requests\": \(count), \"requests_per_second\": \(Double(count) / seconds)}")
    }

    /// Opens connections, sends one request on each, and weighs the process.
    static func idle(_ count: Int) async throws {
        var configuration = ServerConfiguration(addresses: [.tcp("127.0.0.1", port: 0)], threads: 1)
        configuration.logger = .silent
        let server = HTTPServer(configuration) { request in
            guard request.wantsWebSocket else { return .text("hello world") }
            return try request.webSocket { socket in
                for try await message in socket { try await socket.send(message) }
            }
        }
        guard case .tcp(_, let port)? = try await server.start().first else { fatalError("no port") }
        // The clients live in processes of their own, so that the weight is the server's alone.
        // Written at once: a pipe's buffer would keep it until the end.
        FileHandle.standardOutput.write(Data("\(port)\n".utf8))
        let before = ProcessStatus.resident()
        while server.connectionCount < count { try await Task.sleep(for: .milliseconds(50)) }
        try await Task.sleep(for: .seconds(2))
        let after = ProcessStatus.resident()
        print(
            "{\"connections\": \(server.connectionCount), \"bytes_each\": \((after - before) / max(1, server.connectionCount))}"
        )
        exit(0)
    }
}

/// The generator style, a million times.
final class Million: Sendable {
    private let url: String
    private let limit: Int
    private let started = Atomic<Int>(0)
    private let failed = Atomic<Int>(0)
    private let samples = Mutex<[Int]>([])
    private let skein = SkeinClient(concurrency: 100)

    init(url: String, limit: Int) {
        self.url = url
        self.limit = limit
    }

    func run() async {
        for _ in 0..<100 { next() }
        let summary = await skein.fetchAll()
        let samples = samples.withLock { $0 }
        print(
            """
            {"requests": \(summary.tasks), "failed": \(failed.load(ordering: .relaxed)), \
            "requests_per_second": \(summary.tasksPerSecond), "peak_bytes": \(ProcessStatus.peak()), \
            "resident_bytes_each_tenth": \(samples)}
            """)
    }

    private func next() {
        let number = started.wrappingAdd(1, ordering: .relaxed).oldValue
        guard number < limit else { return }
        if number % max(1, limit / 10) == 0 { samples.withLock { $0.append(ProcessStatus.resident()) } }
        skein.get(url) { response in
            if response.statusCode != 200 { self.failed.wrappingAdd(1, ordering: .relaxed) }
            self.next()
        }
    }
}
