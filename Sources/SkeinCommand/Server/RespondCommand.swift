// skein respond: a server that answers with one text, for trials and benchmarks.

import ArgumentParser
import ServiceLifecycle
import SkeinEngine

struct RespondCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "respond",
        abstract: "Serve one text to every request.",
        discussion: """
            The text is answered by an ordinary asynchronous handler, or, with --immediate, by a plain call. The server \
            ends in order on SIGINT and SIGTERM.

              skein respond "hello world" --listen 127.0.0.1:8080
              skein respond "hello world" --listen 127.0.0.1:8443 --tls-cert cert.pem --tls-key key.pem
              skein respond "hello world" --listen unix:/tmp/hello.sock --threads 2
              skein respond "hello world" --websocket
            """)

    @Argument(help: "What to answer.")
    var text: String

    @Option(help: "HOST:PORT, [IPV6]:PORT or unix:PATH; port 0 is a free one.")
    var listen: String = "127.0.0.1:8080"

    @Option(help: "Event-loop threads.")
    var threads: Int = 1

    @Option(help: ArgumentHelp("Speak TLS with the certificate in this PEM file.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The private key of --tls-cert. Default: in the same file.", valueName: "file"))
    var tlsKey: String?

    @Flag(help: "Answer by a plain call on the loop, without a task for each request.")
    var immediate = false

    @Flag(help: "Open a WebSocket for those who ask for one, and send each message back.")
    var websocket = false

    @Flag(name: .customLong("no-deflate"), help: "Do not compress messages of WebSockets.")
    var noDeflate = false

    func validate() throws {
        _ = try ListenAddress.parse(listen)
        guard tlsKey == nil || tlsCert != nil else {
            throw ValidationError("--tls-key belongs to a certificate; add --tls-cert FILE.")
        }
        guard threads > 0 else { throw ValidationError("--threads must be at least 1.") }
    }

    func run() async throws {
        var configuration = ServerConfiguration(addresses: [try ListenAddress.parse(listen)], threads: threads)
        if let tlsCert {
            configuration.tls = ServerTLSOptions(certificates: [
                .init(certificateFile: tlsCert, keyFile: tlsKey ?? tlsCert)
            ])
            configuration.addresses = configuration.addresses.map {
                if case .tcp(let host, let port) = $0 { .tls(host, port: port) } else { $0 }
            }
        }
        configuration.logger = .screen(label: "respond")
        let response = ServerResponse.text(text)
        var options = WebSocketOptions()
        if noDeflate { options.compression = nil }
        let server =
            immediate
            ? HTTPServer(
                configuration,
                immediate: { [websocket, options] request in
                    guard websocket, request.wantsWebSocket else { return response }
                    return try request.webSocket(options, handler: Echo())
                })
            : HTTPServer(configuration) { [websocket, options] request async throws in
                guard websocket, request.wantsWebSocket else { return response }
                return try request.webSocket(options) { socket in
                    for try await message in socket { try await socket.send(message) }
                }
            }
        let group = ServiceGroup(
            services: [server], gracefulShutdownSignals: [.sigint, .sigterm], logger: configuration.logger)
        try await group.run()
    }
}

/// Sends back what it hears. A peer that does not take its answers is not waited for, but left.
private struct Echo: WebSocketHandler {
    func onMessage(_ message: WebSocketMessage, _ socket: WebSocket) {
        if !socket.trySend(message) { Task { await socket.close(.tryAgainLater, "too slow") } }
    }
}

/// Reads the addresses of `--listen`.
enum ListenAddress {
    static func parse(_ text: String) throws -> ServerConfiguration.Address {
        if text.hasPrefix("unix:") { return .unix(path: String(text.dropFirst(5))) }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw ValidationError("\(text.debugDescription) is not an address; write HOST:PORT or unix:PATH.") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else {
            throw ValidationError("\(text.debugDescription) has no host; 0.0.0.0 is every address.")
        }
        return .tcp(String(host), port: port)
    }
}
