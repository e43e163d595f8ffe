// The short form: sends one message, receives one, and closes the socket.

import Logging
import SkeinCore
import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The response to one message.
public struct WebSocketResponse: Response {
    /// The caller's metadata.
    public let meta: RequestMetadata
    /// 200 when the socket was opened, else the status of the handshake, or 700 to 722 for a failure.
    public let statusCode: Int
    /// The name of the status.
    public let reason: String
    /// The peer's message; nil when it closed the socket before it sent one.
    public let content: WebSocketMessage?
    /// The session's logger.
    public let logger: Logger
    /// The failure, if there was one.
    public let failure: SkeinError?
    /// The origin of the request.
    public let peer: String

    /// 1 for text, 2 for bytes, -1 when the peer closed the socket before it sent a message.
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
            // A refusal by the server is a response; an error below HTTP is a failure.
            let code = error.code.rawValue
            statusCode = code
            reason = HTTPStatus(code).reason.isEmpty || code >= 700 ? error.code.name : HTTPStatus(code).reason
            content = nil
            failure = code < 700 ? nil : error
        }
    }

    /// The message as a JSON value.
    /// - Throws: code 709 when it is not valid JSON for the type.
    public func decode<T: Decodable>(_ type: T.Type) throws -> T {
        do {
            return try JSON.decode(type, from: content?.bytes.readableBytesView ?? .init())
        } catch {
            throw SkeinError(
                .invalidContent, peer: peer, because: "the message is not a \(type): \(error)", cause: error)
        }
    }

    /// The message as a list; a single value is a list of one.
    public func decodeRecords<T: Decodable>(_ type: T.Type) throws -> [T] {
        if let list = try? decode([T].self) { return list }
        return [try decode(type)]
    }
}

extension HTTPClient {
    /// Sends one message and receives one.
    /// - Parameter problem: an error that is known beforehand, if any.
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
                // A server may send a message and close before it has received one.
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
