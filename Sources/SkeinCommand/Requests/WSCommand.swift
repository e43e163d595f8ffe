// skein ws: a WebSocket on the command line; interactive at a terminal, one line for each message in a pipe.

import ArgumentParser
import Foundation
import Skein

struct WSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ws", abstract: "Send and receive messages over a WebSocket.",
        discussion: """
            Each line of standard input is sent as a message, and each received message is printed as a line. After the end of the \
            input, the command waits until the server has sent nothing for a second (--wait). The exit code is 1 when the socket \
            cannot be opened, is lost, or is closed with an error code.

              skein ws ws://localhost:8080/chat
              echo '{"op": "ping"}' | skein ws --count 1 wss://example.org/socket
              skein ws ws://localhost:8080/echo --send hello --send world --json
            """)

    @Argument(help: "ws:// or wss://.")
    var url: String

    @Option(help: ArgumentHelp("Send this message instead of standard input; may be repeated.", valueName: "text"))
    var send: [String] = []

    @Flag(help: "Send binary messages instead of text.")
    var binary = false

    @Option(help: ArgumentHelp("Exit after this number of messages.", valueName: "messages"))
    var count: Int?

    @Option(help: ArgumentHelp("Seconds without a message before exit, after the input ends.", valueName: "seconds"))
    var wait: Double = 1

    @Option(help: ArgumentHelp("A subprotocol to offer; may be repeated.", valueName: "name"))
    var subprotocol: [String] = []

    @Flag(help: "Reconnect when the connection is lost.")
    var reconnect = false

    @Flag(name: .customLong("no-deflate"), help: "Do not offer compression.")
    var noDeflate = false

    @Flag(name: .customLong("http2"), help: "Use an HTTP/2 stream if the server supports it.")
    var isHTTP2 = false

    @Flag(help: "Print each message as a JSON object with opcode and data.")
    var json = false

    @Option(name: [.customShort("H"), .long], help: "A header field, 'Name: value'; may be repeated.")
    var header: [String] = []

    @Option(help: ArgumentHelp("Seconds for the handshake.", valueName: "seconds"))
    var timeout: Double = 30

    @OptionGroup(title: "Credentials")
    var credentials: CredentialOptions

    @OptionGroup(title: "Aliases")
    var aliases: AliasOptions

    @OptionGroup(title: "Connection options")
    var transport: TransportOptions

    func validate() throws {
        do { _ = try HTTPURL(webSocket: url) } catch { throw ValidationError("\(error.message).") }
        guard count ?? 1 > 0 else { throw ValidationError("--count must be at least 1.") }
        guard wait >= 0, wait < 1e9, timeout > 0, timeout < 1e9 else {
            throw ValidationError("--wait and --timeout must be numbers of seconds.")
        }
        _ = try HeaderArguments.parse(header)
    }

    func run() async throws {
        var configuration = SkeinClient.Configuration()
        transport.apply(to: &configuration.http)
        try credentials.apply(to: &configuration.http)
        var options = WebSocketConfiguration()
        options.subprotocols = subprotocol
        options.usesHTTP2 = isHTTP2
        if noDeflate { options.compression = nil }
        if reconnect { options.reconnect = .init() }
        do {
            let client = SkeinClient(configuration)
            try aliases.register(on: client)
            let socket = try await client.webSocket(
                url, configuration: options, headers: try HeaderArguments.parse(header), auth: credentials.value,
                timeout: .seconds(timeout))
            try await talk(over: socket)
        } catch let error as SkeinError {
            Terminal.complain("\(error)")
            throw ExitCode(1)
        }
    }

    private func talk(over socket: WebSocket) async throws {
        let isInteractive = send.isEmpty && isatty(0) == 1 && Terminal.isWatched
        if isInteractive { Terminal.complain("connected; each line is a message, Ctrl-D ends the input") }
        let silence = Silence()
        let speaking = Task {
            if send.isEmpty {
                for try await line in StandardInput.lines { try await socket.send(message(line)) }
            } else {
                for text in send { try await socket.send(message(Array(text.utf8))) }
            }
            if !isInteractive { await silence.last(.seconds(wait)) }
            await socket.close()
        }
        var left = count ?? .max
        for try await message in socket {
            silence.end()
            if json {
                Terminal.say(record(message))
            } else if message.kind == .text || Terminal.isRead {
                Terminal.say(message.text)
            } else {
                message.bytes.withUnsafeReadableBytes { Terminal.emit($0) }
            }
            left -= 1
            if left == 0 { await socket.close() }
        }
        speaking.cancel()
        if isInteractive, let closing = socket.closing { Terminal.complain("closed: \(closing)") }
    }

    private func message(_ line: [UInt8]) throws -> WebSocketMessage {
        if binary { return .binary(line) }
        guard let text = String(validating: line, as: UTF8.self) else {
            throw SkeinError(.exception, because: "a line of the input is not UTF-8; --binary sends bytes")
        }
        return .text(text)
    }

    private func record(_ message: WebSocketMessage) -> String {
        let data: JSONValue =
            message.kind == .text ? .string(message.text) : .base64(message.bytes.readableBytesView)
        return JSONValue.object(["data": data, "opcode": .integer(message.kind.rawValue)]).json
    }
}

/// The time of the last message from the server.
///
/// Unchecked: a lock guards the time.
private final class Silence: @unchecked Sendable {
    private let lock = NSLock()
    private var since = ContinuousClock.now

    func end() { lock.withLock { since = .now } }

    /// Waits until there has been no message for this time.
    func last(_ time: Duration) async {
        lock.withLock { since = max(since, .now) }
        while true {
            let left = lock.withLock { since + time - .now }
            guard left > .zero, (try? await Task.sleep(for: left)) != nil else { return }
        }
    }
}
