// The short form: one message to a server, its first message back, and the socket is closed.

import Logging
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What came back for one message.
public struct WebSocketResponse: Response {
    /// What the caller attached.
    public let meta: RequestMetadata
    /// 200 when the socket was opened, else the server's answer to the handshake, or 700 to 722 for a failure.
    public let statusCode: Int
    /// The status in words.
    public let reason: String
    /// The peer's message; nil when it closed the socket before one came.
    public let content: WebSocketMessage?
    /// The session's logger.
    public let logger: Logger
    /// The failure, if there was one.
    public let failure: SkeinError?
    /// The origin that was asked.
    public let peer: String

    /// 1 for text, 2 for bytes, -1 when the peer closed the socket before a message came.
    public var opcode: Int { content.map { Int($0.kind.rawValue) } ?? -1 }
    /// The text of the message; nil when there is none.
    public var data: String? { content?.text }
    /// `WEBSOCKET`.
    public var method: String { "WEBSOCKET" }
    /// 299.
    public static var highestSuccess: Int { 299 }

    init(_ request: HTTPRequest, _ context: HTTPClientContext, _ outcome: Result<WebSocketMessage?, SkeinError>) {
        meta = request.meta
        logger = context.session.logger
        peer = request.url.origin.description
        switch outcome {
        case .success(let message):
            statusCode = 200
            reason = "OK"
            content = message
            failure = nil
        case .failure(let error):
            // The server's refusal is an answer; what is below HTTP is a failure.
            let code = error.code.rawValue
            statusCode = code
            reason = HTTPStatus(code).reason.isEmpty || code >= 700 ? error.code.name : HTTPStatus(code).reason
            content = nil
            failure = code < 700 ? nil : error
        }
    }

    /// The message as one value of JSON.
    /// - Throws: code 709 when it is none.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try JSON.decode(type, from: content?.bytes.readableBytesView ?? .init())
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the message is not a \(type): \(error)", cause: error)
        }
    }

    /// The message as a list; one that is none is a list of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        if let list = try? decode([T].self) { return list }
        return [try decode(type)]
    }
}

extension HTTPClient {
    /// Sends one message and takes one.
    /// - Parameter problem: why that cannot be done, if it is known already.
    package func exchange(
        _ message: WebSocketMessage, _ request: HTTPRequest, _ configuration: WebSocketConfiguration,
        problem: SkeinError?,
        callback: (@Sendable (WebSocketResponse) -> Void)?
    ) -> Corequest<WebSocketResponse> {
        let context = self.context
        return CorequestTask.start(
            context.session,
            {
                if let problem { return WebSocketResponse(request, context, .failure(problem)) }
                do throws(SkeinError) {
                    let socket = try await self.webSocket(request, configuration, handler: nil)
                    return WebSocketResponse(request, context, await Self.ask(socket, message))
                } catch {
                    return WebSocketResponse(request, context, .failure(error))
                }
            }, failed: { error, _ in WebSocketResponse(request, context, .failure(error)) }, callback: callback)
    }

    private static func ask(
        _ socket: WebSocket, _ message: WebSocketMessage
    ) async -> Result<WebSocketMessage?, SkeinError> {
        let outcome: Result<WebSocketMessage?, SkeinError>
        do {
            do {
                try await socket.send(message)
            } catch let error as SkeinError where error.code == .connectionClosed {
                // A server may speak and close before it has heard anything.
            }
            outcome = .success(try await socket.receive())
        } catch let error as SkeinError where error.code == .connectionClosed {
            outcome = .success(nil)  // opened, and closed before a message came
        } catch let error as SkeinError {
            outcome = .failure(error)
        } catch {
            outcome = .failure(SkeinError(.cancelled, because: "the corequest was cancelled"))
        }
        socket.shard.run { socket.beginClose() }
        return outcome
    }
}
