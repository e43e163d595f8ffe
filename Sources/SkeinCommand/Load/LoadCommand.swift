// skein load: puts load on a server and reports the results.

import ArgumentParser
import GRPCCore
import Skein
import SkeinCore
import SkeinGRPC
import SkeinSQL

struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Generate load for a server and measure it.",
        discussion: """
            Without --rate, each of the -c clients sends its next request after the response to the previous one (a \
            closed loop). With --rate, requests are scheduled at fixed times whatever the server does, and latency is \
            measured from the scheduled time, so that it includes the stalls of the server (an open loop).

            Over HTTP/2, each of the -c clients has one connection with -m requests in flight.

              skein load -n 100000 -c 64 http://localhost:8080/
              skein load -n 100000 -c 4 -m 32 --http2 http://localhost:8080/
              skein load --duration 10 --rate 2000 -c 200 http://localhost:8080/ --json

            With a ws:// URL, each client opens a WebSocket, sends --data and waits for a message. With --xml-rpc, --json-rpc and \
            --grpc, each request is a call; --data is a JSON array (or object) of arguments, or a serialized message.

              skein load -n 100000 -c 10 ws://localhost:8080/echo --data hello
              skein load --json-rpc sum --data '[1, 2]' http://localhost:8080/
              skein load --grpc routeguide.RouteGuide/GetFeature --data @point.bin http://localhost:50051

            The URL of a database contains the statement: query= for SQL, command= for Redis and MongoDB.

              skein load -c 64 'postgres://weaver@localhost/blog?query=SELECT%201'
              skein load -c 64 'redis://localhost?command=GET%20hits'
              skein load -c 64 'mongodb://localhost/blog?command={"find": "posts", "filter": {"_id": 7}, "limit": 1}'
              skein load -c 4 'sqlite:blog.db?query=SELECT%20count(*)%20FROM%20post'
            """)

    @Argument(help: ArgumentHelp("URLs, used in turn.", valueName: "url"))
    var urls: [String]

    @Option(name: .customShort("n"), help: "Total number of requests. Default: 1000, unless --duration is given.")
    var requests: Int?

    @Option(name: [.customShort("c"), .customLong("clients")], help: "Concurrent clients, each with a connection.")
    var clients: Int = 10

    @Option(help: ArgumentHelp("The duration of the test.", valueName: "seconds"))
    var duration: Double?

    @Option(help: ArgumentHelp("Requests per second, scheduled at fixed times.", valueName: "per-second"))
    var rate: Double?

    @Option(help: "Event-loop threads.")
    var threads: Int = 1

    @Option(
        name: [.customShort("m"), .customLong("streams")],
        help: "Streams on each connection; more than 1 implies HTTP/2.")
    var streams: Int = 1

    @Flag(name: .customLong("http1"), help: "Use HTTP/1.1.")
    var isHTTP1 = false

    @Flag(name: .customLong("http2"), help: "Use HTTP/2 from the first byte, also in clear text (prior knowledge).")
    var isHTTP2 = false

    @Option(help: "The method.")
    var method: String = "GET"

    @Option(name: [.customShort("H"), .long], help: "A header field, 'Name: value'; may be repeated.")
    var header: [String] = []

    @Option(name: .shortAndLong, help: "The content: TEXT, @FILE, or - for standard input.")
    var data: String?

    @Option(name: .customLong("xml-rpc"), help: ArgumentHelp("Call this function by XML-RPC.", valueName: "function"))
    var xmlRPC: String?

    @Option(name: .customLong("json-rpc"), help: ArgumentHelp("Call this function by JSON-RPC.", valueName: "function"))
    var jsonRPC: String?

    @Option(help: ArgumentHelp("Call this method by gRPC.", valueName: "service/method"))
    var grpc: String?

    @Option(help: ArgumentHelp("Seconds for each request.", valueName: "seconds"))
    var timeout: Double = 30

    @Flag(help: "Open a connection for each request.")
    var noKeepAlive = false

    @OptionGroup(title: "Aliases")
    var aliases: AliasOptions

    @OptionGroup(title: "Connection options")
    var transport: TransportOptions

    @Flag(help: "Print one JSON object instead of the table.")
    var json = false

    func validate() throws {
        guard !urls.isEmpty else { throw ValidationError("Name at least one URL.") }
        for url in urls where LoadDatabase(url) == nil {
            do { _ = try HTTPURL(webSocket: url) } catch { throw ValidationError("\(error.message).") }
        }
        let databases = urls.count { LoadDatabase($0) != nil }
        guard databases == 0 || urls.count == 1 else {
            throw ValidationError("A database cannot be combined with other URLs.")
        }
        if let database = LoadDatabase(urls[0]) {
            do { try database.check() } catch { throw ValidationError("\(error.message).") }
        }
        let sockets = urls.count { $0.lowercased().hasBytePrefix("ws") }
        guard sockets == 0 || sockets == urls.count else {
            throw ValidationError("WebSockets and requests cannot be combined.")
        }
        guard [xmlRPC, jsonRPC, grpc].count(where: { $0 != nil }) <= 1, sockets == 0 || xmlRPC == nil && grpc == nil
        else {
            throw ValidationError(
                "--xml-rpc, --json-rpc and --grpc exclude each other; over a WebSocket only JSON-RPC is called.")
        }
        guard streams == 1 || (sockets == 0 && xmlRPC == nil && jsonRPC == nil && grpc == nil) else {
            throw ValidationError("-m is for HTTP/2 requests; for calls and sockets, raise -c.")
        }
        if let grpc, grpc.splitBytes(separator: "/").count != 2 {
            throw ValidationError(
                "\(grpc.debugDescription) is not SERVICE/METHOD, such as routeguide.RouteGuide/GetFeature.")
        }
        guard (1...1_000_000).contains(clients), (1...1024).contains(threads), (1...1_000_000).contains(streams) else {
            throw ValidationError("-c and -m must be from 1 to 1000000, and --threads from 1 to 1024.")
        }
        guard requests ?? 1 > 0 else { throw ValidationError("-n must be at least 1.") }
        guard duration ?? 1 > 0, duration ?? 1 < 1e9, rate ?? 1 >= 1e-6, rate ?? 1 < 1e9, timeout > 0, timeout < 1e9
        else {
            throw ValidationError("--duration, --rate and --timeout must be more than 0.")
        }
        guard streams > 0 else { throw ValidationError("-m must be at least 1.") }
        guard !isHTTP1 || (streams == 1 && !isHTTP2) else {
            throw ValidationError("--http1 has one request at a time on a connection; leave out -m and --http2.")
        }
        _ = try HeaderArguments.parse(header)
    }

    func run() async throws {
        let kind = try kind()
        var isHTTP = false
        if case .http = kind { isHTTP = true }
        let body = isHTTP ? try InputFile.body(data) : .none
        let headers = try HeaderArguments.parse(header)
        let method = HTTPMethod(rawValue: self.method.uppercased())
        let plan = LoadPlan(
            kind: kind, urls: urls.map { LoadDatabase($0)?.url ?? $0 }, headers: headers,
            requests: isHTTP ? try urls.map { HTTPRequest(method, try HTTPURL($0), headers: headers, body: body) } : [],
            count: requests ?? (duration == nil ? 1000 : nil), duration: duration, rate: rate, clients: clients,
            streams: isHTTP2 || streams > 1 ? streams : nil, isHTTP1: isHTTP1, transport: transport, aliases: aliases,
            threads: threads,
            timeout: .seconds(timeout),
            keepAlive: !noKeepAlive)
        let report = await (try LoadRun(plan)).run()
        Terminal.say(json ? report.json : report.table)
        if !report.errors.isEmpty || report.status.keys.contains(where: { $0 >= 400 }) { throw ExitCode(1) }
    }
}

extension LoadCommand {
    /// The kind of call, from the options and the scheme.
    private func kind() throws -> LoadKind {
        if let database = LoadDatabase(urls[0]) { return database.kind }
        if let grpc {
            let names = grpc.splitBytes(separator: "/").map(String.init)
            let message = try InputFile.bytes(data) ?? []
            return .grpc(MethodDescriptor(fullyQualifiedService: names[0], method: names[1]), GRPCBytes(message))
        }
        let text = try data.map(InputFile.utf8)
        if let xmlRPC {
            return .xmlrpc(xmlRPC, try (text.map(RPCCommand.value)?.elements ?? []).map { try RPCCommand.xml($0) })
        }
        if let jsonRPC {
            let value = text.map(RPCCommand.value)
            return .jsonrpc(jsonRPC, value?.members.map { .members($0) } ?? .byPosition(value?.elements ?? []))
        }
        return urls[0].lowercased().hasBytePrefix("ws") ? .socket(.text(text ?? "hello")) : .http
    }
}

/// The parameters of a load.
struct LoadPlan: Sendable {
    let kind: LoadKind
    let urls: [String]
    let headers: Headers
    let requests: [HTTPRequest]
    let count: Int?
    let duration: Double?
    let rate: Double?
    let clients: Int
    /// Streams on each connection; nil for HTTP/1.1.
    let streams: Int?
    let isHTTP1: Bool
    let transport: TransportOptions
    let aliases: AliasOptions
    let threads: Int

    /// Concurrent requests.
    var callers: Int { clients * (streams ?? 1) }
    let timeout: Duration
    let keepAlive: Bool
}
