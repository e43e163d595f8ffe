// A WebSocket of an ASGI app (ASGI, "WebSocket"): over HTTP/1.1 and HTTP/2 alike.

import CSkeinPython
import DequeModule
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinWire
import Synchronization

/// One socket.
///
/// Unchecked: like ``ASGIExchange``.
final class SocketCall: ASGIExchange, @unchecked Sendable {
    /// Bytes sent that the client has not received yet, above which the app has to wait.
    private static let highWater = 256 << 10
    /// Messages that the app has not received yet, above which the client has to wait.
    private static let mostMessages = 64

    /// The app's response to the opening handshake.
    private enum Decision {
        case accept(subprotocol: String?, Headers)
        case deny(ServerResponse)
    }

    private enum Outgoing {
        case message(WebSocketMessage)
        case close(WebSocketCloseCode, String)
    }

    private struct Shared {
        var continuation: UnsafeContinuation<Decision, any Error>?
        var incoming = Deque<WebSocketMessage>()
        var untaken = 0
        var reader: UnsafeContinuation<Void, Never>?
        var isConnected = false
        var ending: (code: Int, reason: String)?
        var outgoing = Deque<Outgoing>()
        var unsent = 0
        var isSending = false
        var socket: WebSocket?

        /// Whether the client has to wait until the app has received messages.
        var isFull: Bool { incoming.count >= SocketCall.mostMessages || untaken >= SocketCall.highWater }
    }

    private enum Phase { case connecting, accepted, denying(HTTPStatus, Headers), closed }

    private let shared = Mutex(Shared())
    private var phase = Phase.connecting
    private var isAnnounced = false
    private var denial = ByteBuffer()

    // MARK: The connection's loop

    func answer(on loop: ASGILoop) async throws -> ServerResponse {
        let decision = try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let hasLeft = shared.withLock { shared in
                    if shared.ending == nil { shared.continuation = continuation }
                    return shared.ending != nil
                }
                if hasLeft { return continuation.resume(throwing: CancellationError()) }
                loop.begin(self)
            }
        } onCancel: {
            ended(with: 1006, "")
            decide(.failure(CancellationError()))
        }
        switch decision {
        case .deny(let response): return response
        case .accept(let subprotocol, let headers):
            var configuration = WebSocketConfiguration()
            configuration.subprotocols = subprotocol.map { [$0] } ?? []
            // The app receives the Origin field and decides (required by ASGI).
            let acceptance = Acceptance(self)
            return try request.webSocket(configuration, headers: headers, origins: ["*"]) { socket in
                acceptance.isOpen.store(true, ordering: .relaxed)
                try await self.carry(socket)
            }
        }
    }

    /// Tells the app of a socket that was accepted and is never opened, because its client has disconnected meanwhile.
    private final class Acceptance: Sendable {
        let isOpen = Atomic<Bool>(false)
        private let call: SocketCall

        init(_ call: SocketCall) { self.call = call }

        deinit { if !isOpen.load(ordering: .relaxed) { call.ended(with: 1006, "") } }
    }

    private func decide(_ result: Result<Decision, any Error>) {
        let continuation = shared.withLock { shared in
            defer { shared.continuation = nil }
            return shared.continuation
        }
        continuation?.resume(with: result)
    }

    /// Passes messages to the app while the socket is open.
    private func carry(_ socket: WebSocket) async throws {
        shared.withLock { shared in
            shared.socket = socket
            shared.isConnected = true
        }
        send(on: socket)
        do {
            for try await message in socket {
                let isFull = shared.withLock { shared in
                    shared.incoming.append(message)
                    shared.untaken += message.bytes.readableBytes
                    return shared.isFull
                }
                loop?.add(.wake(self))
                if isFull { await untilTaken() }
            }
        } catch {}
        let closing = socket.closing ?? WebSocketClosing(1006)
        ended(with: Int(closing.code.rawValue), closing.reason)
    }

    private func untilTaken() async {
        await withUnsafeContinuation { continuation in
            let goesOn = shared.withLock { shared in
                if !shared.isFull || shared.ending != nil { return true }
                shared.reader = continuation
                return false
            }
            if goesOn { continuation.resume() }
        }
    }

    private func ended(with code: Int, _ reason: String) {
        let reader = shared.withLock { shared in
            shared.ending = shared.ending ?? (code, reason)
            shared.outgoing = []
            shared.unsent = 0
            defer { shared.reader = nil }
            return shared.reader
        }
        reader?.resume()
        loop?.add(.wake(self))
    }

    /// Sends the app's queued messages, in order.
    private func send(on socket: WebSocket) {
        let begins = shared.withLock { shared in
            if shared.isSending || shared.outgoing.isEmpty { return false }
            shared.isSending = true
            return true
        }
        guard begins else { return }
        Task(executorPreference: request.shard.executor) {
            while let next = self.nextOutgoing() {
                switch next {
                case .message(let message): try? await socket.send(message)
                case .close(let code, let reason): await socket.close(code, reason)
                }
                self.loop?.add(.wake(self))
            }
        }
    }

    private func nextOutgoing() -> Outgoing? {
        shared.withLock { shared in
            guard let next = shared.outgoing.popFirst() else {
                shared.isSending = false
                return nil
            }
            if case .message(let message) = next { shared.unsent -= message.bytes.readableBytes }
            return next
        }
    }

    // MARK: Messages to the app

    override func nextMessage() throws(PythonError) -> PythonObject? {
        guard isAnnounced else {
            isAnnounced = true
            return try ASGIMessage(words.connect, words).release()
        }
        let (message, reader, ending) = shared.withLock { shared in
            let message = shared.incoming.popFirst()
            guard let message else {
                return (WebSocketMessage?.none, UnsafeContinuation<Void, Never>?.none, shared.ending)
            }
            shared.untaken -= message.bytes.readableBytes
            guard !shared.isFull else { return (message, nil, nil) }
            defer { shared.reader = nil }
            return (message, shared.reader, nil)
        }
        reader?.resume()
        if let message {
            let made = try ASGIMessage(words.received, words)
            let isText = message.kind == .text
            let value = isText ? Python.text(message.bytes) : Python.bytes(message.bytes)
            try made.set(isText ? words.text : words.bytes, new: value)
            made.set(isText ? words.bytes : words.text, Python.none)
            return made.release()
        }
        guard let ending else { return nil }
        phase = .closed
        let made = try ASGIMessage(words.disconnect, words)
        try made.set(words.code, new: Python.integer(ending.code))
        try made.set(words.reason, new: Python.text(ending.reason))
        return made.release()
    }

    // MARK: Messages from the app

    private enum Kind { case accept, send, close, denialStart, denialBody, unknown }

    override func receive(_ event: ASGIEvent) throws(ASGIFault) -> Bool {
        let kind =
            event.withType(words.type) { type -> Kind in
                switch type {
                case "websocket.send": .send
                case "websocket.accept": .accept
                case "websocket.close": .close
                case "websocket.http.response.start": .denialStart
                case "websocket.http.response.body": .denialBody
                default: .unknown
                }
            } ?? .unknown
        switch (phase, kind) {
        case (.connecting, .accept):
            var headers = Headers()
            try HTTPCall.readFields(event.value(words.headers), into: &headers)
            try Self.check(headers)
            phase = .accepted
            decide(.success(.accept(subprotocol: event.string(words.subprotocol), headers)))
            return false
        case (.connecting, .close):
            phase = .closed
            decide(.success(.deny(.text("Forbidden\n", status: .forbidden))))
            return false
        case (.connecting, .denialStart):
            var headers = Headers()
            try HTTPCall.readFields(event.value(words.headers), into: &headers)
            try Self.check(headers)
            let status = event.integer(words.status) ?? 403
            guard (200...599).contains(status) else {
                throw ASGIFault(message: "the status of a denial response must be from 200 to 599")
            }
            phase = .denying(HTTPStatus(status), headers)
            return false
        case (.denying(let status, let headers), .denialBody):
            if let body = event.value(words.body) { _ = Python.withBytes(body) { denial.writeBytes($0) } }
            if event.flag(words.moreBody) { return false }
            phase = .closed
            decide(.success(.deny(ServerResponse(status, headers: headers, body: .bytes(denial)))))
            return false
        case (.accepted, .send): return try sendMessage(event)
        case (.accepted, .close):
            phase = .closed
            let code = event.integer(words.code) ?? 1000
            add(.close(WebSocketCloseCode(rawValue: UInt16(clamping: code)), event.string(words.reason) ?? ""))
            return false
        case (.closed, _): throw ASGIFault(message: "the socket is closed", isGone: true)
        default:
            throw ASGIFault(
                message: "\((event.string(words.type) ?? "nothing").debugDescription) is not expected in this state")
        }
    }

    private static func check(_ headers: Headers) throws(ASGIFault) {
        if let problem = headers.problem {
            throw ASGIFault(message: "the field \(problem.name.debugDescription) cannot be sent")
        }
    }

    private func sendMessage(_ event: ASGIEvent) throws(ASGIFault) -> Bool {
        if shared.withLock({ $0.ending != nil }) {
            throw ASGIFault(message: "the client has disconnected", isGone: true)
        }
        if let text = event.string(words.text) {
            return add(.message(.text(text)))
        }
        guard let bytes = event.value(words.bytes).flatMap({ Python.buffer($0) }) else {
            throw ASGIFault(message: "websocket.send needs text or bytes")
        }
        return add(.message(.binary(bytes)))
    }

    /// Returns whether the app has to wait.
    @discardableResult
    private func add(_ outgoing: Outgoing) -> Bool {
        let (socket, isFull) = shared.withLock { shared in
            shared.outgoing.append(outgoing)
            if case .message(let message) = outgoing { shared.unsent += message.bytes.readableBytes }
            return (shared.socket, shared.unsent > Self.highWater && shared.ending == nil)
        }
        if let socket { send(on: socket) }
        return isFull
    }

    override var hasRoom: Bool { shared.withLock { $0.unsent <= Self.highWater / 2 } }

    override func ended(_ error: PythonError?) {
        if let error { PythonLog.error("\(request.path): \(error.traceback)", to: app.logger) }
        switch phase {
        case .connecting, .denying:
            let page = error.map { app.errorPage($0) } ?? .text("Internal Server Error\n", status: .internalServerError)
            decide(.success(.deny(page)))
        case .accepted: add(.close(error == nil ? .normal : .internalError, ""))
        case .closed: break
        }
        phase = .closed
    }
}
