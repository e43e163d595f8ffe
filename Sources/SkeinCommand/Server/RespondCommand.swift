// skein respond: a server that always sends the same text, for tests and benchmarks.

import ArgumentParser
import ServiceLifecycle
import SkeinEngine
import SkeinEngineCommand

struct RespondCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "respond",
        abstract: "Answer every request with one text.",
        discussion: """
            The text is sent by an asynchronous handler, or, with --immediate, by a synchronous call. The server \
            shuts down gracefully on SIGINT and SIGTERM.

              skein respond "hello world" --listen 127.0.0.1:8080
              skein respond "hello world" --listen 127.0.0.1:8443 --tls-cert cert.pem --tls-key key.pem
              skein respond "hello world" --listen unix:/tmp/hello.sock --threads 2
              skein respond "hello world" --websocket
            """)

    @Argument(help: "The text of the response.")
    var text: String

    @OptionGroup var options: EngineOptions

    @Flag(help: "Answer by a synchronous call on the event loop, without a task for each request.")
    var immediate = false

    @Flag(help: "Accept WebSockets, and send each message back.")
    var websocket = false

    @Flag(name: .customLong("no-deflate"), help: "Do not compress WebSocket messages.")
    var noDeflate = false

    func run() async throws {
        var configuration = try options.configuration(label: "respond")
        configuration.threads = options.threads ?? 1
        let response = ServerResponse.text(text)
        var sockets = WebSocketConfiguration()
        if noDeflate { sockets.compression = nil }
        let server =
            immediate
            ? HTTPServer(
                configuration,
                immediate: { [websocket, sockets] request in
                    guard websocket, request.wantsWebSocket else { return response }
                    return try request.webSocket(sockets, handler: Echo())
                })
            : HTTPServer(configuration) { [websocket, sockets] request async throws in
                guard websocket, request.wantsWebSocket else { return response }
                return try request.webSocket(sockets) { socket in
                    for try await message in socket { try await socket.send(message) }
                }
            }
        let group = ServiceGroup(
            services: [server], gracefulShutdownSignals: [.sigint, .sigterm], logger: configuration.logger)
        try await group.run()
    }
}

/// Echoes messages. The connection to a peer that does not read the replies is closed.
private struct Echo: WebSocketHandler {
    func onMessage(_ message: WebSocketMessage, _ socket: WebSocket) {
        if !socket.trySend(message) { Task { await socket.close(.tryAgainLater, "too slow") } }
    }
}
