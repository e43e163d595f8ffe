// skein load: puts load on a server and tells what it made of it.

import ArgumentParser
import Skein

struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Put load on a server and measure it.",
        discussion: """
            Without --rate, each of the -c clients sends its next request when it has the answer to the one before (a \
            closed loop). With --rate, requests are due at fixed moments whatever the server does, and latency counts \
            from the moment a request was due: a server that stalls is not flattered (an open loop).

              skein load -n 100000 -c 64 http://localhost:8080/
              skein load --duration 10 --rate 2000 -c 200 http://localhost:8080/ --json
            """)

    @Argument(help: ArgumentHelp("URLs, taken in turn.", valueName: "url"))
    var urls: [String]

    @Option(name: .customShort("n"), help: "Requests in all. Default: 1000, unless --duration is given.")
    var requests: Int?

    @Option(name: [.customShort("c"), .customLong("clients")], help: "Clients at one time, each with a connection.")
    var clients: Int = 10

    @Option(help: ArgumentHelp("How long to go on, in seconds.", valueName: "seconds"))
    var duration: Double?

    @Option(help: ArgumentHelp("Requests per second, due at fixed moments.", valueName: "per-second"))
    var rate: Double?

    @Option(help: "Event-loop threads.")
    var threads: Int = 1

    @Option(name: .customShort("m"), help: "Streams on each connection; HTTP/1.1 has one.")
    var streams: Int = 1

    @Flag(name: .customLong("http1"), help: "Speak HTTP/1.1.")
    var isHTTP1 = false

    @Option(help: "The method.")
    var method: String = "GET"

    @Option(name: [.customShort("H"), .long], help: "A header field, 'Name: value'; may be repeated.")
    var header: [String] = []

    @Option(name: .shortAndLong, help: "What to send: TEXT, @FILE, or - for standard input.")
    var data: String?

    @Option(help: ArgumentHelp("Seconds for each request.", valueName: "seconds"))
    var timeout: Double = 30

    @Flag(help: "Make a connection for each request.")
    var noKeepAlive = false

    @Flag(help: "Print one JSON object instead of the table.")
    var json = false

    func validate() throws {
        guard !urls.isEmpty else { throw ValidationError("Name at least one URL.") }
        for url in urls { do { _ = try HTTPURL(url) } catch { throw ValidationError("\(error.message).") } }
        guard clients > 0, threads > 0 else { throw ValidationError("-c and --threads must be at least 1.") }
        guard requests ?? 1 > 0 else { throw ValidationError("-n must be at least 1.") }
        guard duration ?? 1 > 0, rate ?? 1 > 0, timeout > 0 else {
            throw ValidationError("--duration, --rate and --timeout must be more than 0.")
        }
        guard streams == 1 else { throw ValidationError("-m needs HTTP/2, which is not spoken yet; leave it at 1.") }
        _ = try HeaderArguments.parse(header)
    }

    func run() async throws {
        let body = try InputFile.body(data)
        let headers = try HeaderArguments.parse(header)
        let method = HTTPMethod(rawValue: self.method.uppercased())
        let plan = LoadPlan(
            requests: try urls.map { HTTPRequest(method, try HTTPURL($0), headers: headers, body: body) },
            count: requests ?? (duration == nil ? 1000 : nil), duration: duration, rate: rate, clients: clients,
            threads: threads, timeout: .seconds(timeout), keepAlive: !noKeepAlive)
        let report = await LoadRun(plan).run()
        Terminal.say(json ? report.json : report.table)
        if !report.errors.isEmpty || report.status.keys.contains(where: { $0 >= 400 }) { throw ExitCode(1) }
    }
}

/// What a load consists of.
struct LoadPlan: Sendable {
    let requests: [HTTPRequest]
    let count: Int?
    let duration: Double?
    let rate: Double?
    let clients: Int
    let threads: Int
    let timeout: Duration
    let keepAlive: Bool
}
