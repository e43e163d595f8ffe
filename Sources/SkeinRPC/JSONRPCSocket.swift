// JSON-RPC over a WebSocket: concurrent calls on one connection.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Sends calls over one socket and assigns the responses.
package final class JSONRPCSocket: WebSocketHandler {
    private struct State {
        var opening: Task<WebSocket, any Error>?
        /// The waiting calls, by ID.
        var waiting: [Int: Inbox<ByteBuffer>] = [:]
    }

    private let request: HTTPRequest
    private let client: HTTPClient
    private let state = Mutex(State())

    package init(_ request: HTTPRequest, over client: HTTPClient) {
        self.request = request
        self.client = client
    }

    /// Sends a call or a batch.
    package func send(
        _ call: HTTPRequest, callback: @escaping @Sendable (HTTPResponse) -> Void
    ) -> Corequest<HTTPResponse> {
        let bytes = call.body.bytes ?? ByteBuffer()
        return client.answering(call, callback: callback) { try await self.exchange(bytes) }
    }

    private func exchange(_ bytes: ByteBuffer) async throws -> ByteBuffer {
        let socket = try await opened()
        let text = WebSocketMessage.text(String(buffer: bytes))
        // A batch has one response; its first ID stands for it. One without an ID has no response.
        guard let id = Self.ids(bytes).compactMap(\.self).first else {
            try await socket.send(text)
            return ByteBuffer()
        }
        let answer = Inbox<ByteBuffer>(maximum: 1)
        state.withLock { $0.waiting[id] = answer }
        defer { state.withLock { $0.waiting[id] = nil } }
        try await socket.send(text)
        while true {
            switch answer.take() {
            case .element(let bytes, _): return bytes
            case .wait: if let bytes = try await answer.wait() { return bytes }
            case .end:
                throw SkeinError(
                    .connectionClosed, peer: request.url.origin.description, because: "the socket was closed")
            }
        }
    }

    /// The ID of a call, or those of a batch.
    private static func ids(_ bytes: ByteBuffer) -> [Int?] {
        guard let document = try? JSONValue(json: bytes.readableBytesView) else { return [] }
        return (document.elements ?? [document]).map { $0["id"]?.integer }
    }

    private func opened() async throws -> WebSocket {
        let opening = state.withLock { state in
            if let opening = state.opening { return opening }
            let opening = Task { () async throws -> WebSocket in
                try await self.client.webSocket(self.request, WebSocketConfiguration(), handler: self)
            }
            state.opening = opening
            return opening
        }
        do {
            return try await opening.value
        } catch {
            state.withLock { if $0.opening == opening { $0.opening = nil } }
            throw error
        }
    }

    package func onMessage(_ message: WebSocketMessage, _ socket: WebSocket) {
        let ids = Self.ids(message.bytes).compactMap(\.self)
        let answer = state.withLock { state in
            // A response without an ID means a parse error, most likely of the oldest call.
            let id = ids.min { $0 < $1 } ?? state.waiting.keys.min()
            return id.flatMap { state.waiting[$0] }
        }
        _ = answer?.push(message.bytes, size: 0)
    }

    package func onClose(_ closing: WebSocketClosing, _ socket: WebSocket) {
        let lost = state.withLock { state in
            state.opening = nil
            return state.waiting.values
        }
        for answer in lost { answer.finish(.finished) }
    }
}

extension JSONRPCService {
    /// The maximum of concurrent calls of one socket.
    private static let maximumRunning = 64

    /// Handles the calls of a socket until it is closed, several concurrently.
    /// - Throws: the errors of the socket's iteration.
    public func serve(_ socket: WebSocket) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            for try await message in socket {
                if running == Self.maximumRunning {
                    try await group.next()
                    running -= 1
                }
                group.addTask {
                    guard let answer = await self.answer(message.bytes)?.bytes else { return }
                    try await socket.send(WebSocketMessage(.text, answer))
                }
                running += 1
            }
            try await group.waitForAll()
        }
    }
}
