// A request to an ASGI app (ASGI, "HTTP Connection Scope").

import CSkeinPython
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinWire
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One request and its response.
///
/// Unchecked: like ``ASGIExchange``.
final class HTTPCall: ASGIExchange, @unchecked Sendable {
    struct Content {
        var pieces: [ByteBuffer] = []
        var isComplete = false
        var isEndDelivered = false
        /// The content of the request is being read.
        var isBegun = false
        /// Waits for room.
        var reader: UnsafeContinuation<Void, Never>?
    }

    struct Shared {
        var content = Content()
        var continuation: UnsafeContinuation<ServerResponse, any Error>?
        var hasLeft = false
        var isFull = false
    }

    struct Head {
        let status: HTTPStatus
        let headers: Headers
        let contentLength: Int?
        let hasTrailers: Bool
    }

    let shared = Mutex(Shared())
    // State of the app's side:
    var head: Head?
    var inlet: ByteStreamInlet<Headers?>?
    var isComplete = false
    var awaitsTrailers = false
    var trailers = Headers()

    // MARK: The connection's loop

    func answer(on loop: ASGILoop) async throws -> ServerResponse {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let whole = request.takeContent(upTo: 256 << 10)
                let hasLeft = shared.withLock { shared in
                    if shared.hasLeft { return true }
                    shared.continuation = continuation
                    guard let whole else { return false }
                    if whole.readableBytes > 0 { shared.content.pieces = [whole] }
                    shared.content.isComplete = true
                    shared.content.isBegun = true
                    return false
                }
                if hasLeft { return continuation.resume(throwing: CancellationError()) }
                loop.begin(self)
            }
        } onCancel: {
            leave()
            answer(.failure(CancellationError()))
        }
    }

    private func answer(_ result: Result<ServerResponse, any Error>) { takeContinuation()?.resume(with: result) }

    /// The same from Python's loop, together with the responses to other requests.
    func deliver(_ response: ServerResponse) {
        guard let continuation = takeContinuation() else { return }
        loop?.deliver(Delivery(shard: request.shard, continuation: continuation, result: .success(response)))
    }

    private func takeContinuation() -> UnsafeContinuation<ServerResponse, any Error>? {
        shared.withLock { shared in
            defer { shared.continuation = nil }
            return shared.continuation
        }
    }

    /// The client has disconnected.
    private func leave() {
        let reader = shared.withLock { shared in
            shared.hasLeft = true
            shared.isFull = false
            defer { shared.content.reader = nil }
            return shared.content.reader
        }
        reader?.resume()
        loop?.add(.wake(self))
    }

    /// Reads the content of the request, no faster than the app consumes it.
    private func readContent() async {
        do {
            for try await piece in request.body {
                let isFull = shared.withLock { shared in
                    shared.content.pieces.append(piece)
                    return shared.content.pieces.count > 4
                }
                loop?.add(.wake(self))
                if isFull { await untilTaken() }
                if shared.withLock({ $0.hasLeft }) { return }
            }
            shared.withLock { $0.content.isComplete = true }
        } catch {
            // The app is told that no more content follows, and the client is told why: its content may be too large,
            // or too slow.
            shared.withLock { $0.hasLeft = true }
            answer(.failure(error))
        }
        loop?.add(.wake(self))
    }

    private func untilTaken() async {
        await withUnsafeContinuation { continuation in
            let goesOn = shared.withLock { shared in
                if shared.content.pieces.count <= 4 || shared.hasLeft { return true }
                shared.content.reader = continuation
                return false
            }
            if goesOn { continuation.resume() }
        }
    }

    // MARK: Messages to the app

    override func nextMessage() throws(PythonError) -> PythonObject? {
        enum Next {
            case piece(ByteBuffer, isLast: Bool, UnsafeContinuation<Void, Never>?)
            case left
            case nothing
        }
        let isOver = isComplete
        let next = shared.withLock { shared -> Next in
            if shared.hasLeft || isOver { return .left }
            if !shared.content.pieces.isEmpty {
                let piece = shared.content.pieces.removeFirst()
                let isLast = shared.content.pieces.isEmpty && shared.content.isComplete
                if isLast { shared.content.isEndDelivered = true }
                defer { shared.content.reader = nil }
                return .piece(piece, isLast: isLast, shared.content.reader)
            }
            guard shared.content.isComplete, !shared.content.isEndDelivered else { return .nothing }
            shared.content.isEndDelivered = true
            return .piece(ByteBuffer(), isLast: true, nil)
        }
        switch next {
        case .nothing: return nil
        case .left: return try ASGIMessage(words.httpDisconnect, words).release()
        case .piece(let bytes, let isLast, let reader):
            reader?.resume()
            let message = try ASGIMessage(words.httpRequest, words)
            if bytes.readableBytes == 0 {
                message.set(words.body, words.emptyBytes)
            } else {
                try message.set(words.body, new: Python.bytes(bytes))
            }
            message.set(words.moreBody, isLast ? skein_python._Py_FalseStruct : skein_python._Py_TrueStruct)
            return message.release()
        }
    }

    override func isWanted() {
        let begins = shared.withLock { shared in
            defer { shared.content.isBegun = true }
            return !shared.content.isBegun
        }
        if begins { Task(executorPreference: request.shard.executor) { await self.readContent() } }
    }

    // MARK: Messages from the app

    private enum Kind { case start, body, trailers, path, hint, push, unknown }

    override func receive(_ event: ASGIEvent) throws(ASGIFault) -> Bool {
        let kind = event.withType(words.type) { type -> Kind in
            switch type {
            case "http.response.body": .body
            case "http.response.start": .start
            case "http.response.trailers": .trailers
            case "http.response.pathsend": .path
            case "http.response.early_hint": .hint
            case "http.response.push": .push
            default: .unknown
            }
        }
        switch kind ?? .unknown {
        case .start:
            guard head == nil else { throw ASGIFault(message: "http.response.start was sent already") }
            head = try readHead(event)
            return false
        case .body: return try sendBody(event)
        case .trailers:
            guard awaitsTrailers else {
                throw ASGIFault(message: "no trailers were announced, or the content is not complete")
            }
            try Self.readFields(event.value(words.headers), into: &trailers)
            if !event.flag(words.moreTrailers) { complete() }
            return false
        case .path:
            try sendPath(event.string(words.path) ?? "")
            return false
        case .hint:
            var links = Headers()
            for link in try Self.list(event.value(words.links)) {
                links.add("Link", Python.withBytes(link) { String(decoding: $0, as: UTF8.self) } ?? "")
            }
            if head == nil { request.sendEarlyHints(links) }
            return false
        case .push:
            var fields = Headers()
            try Self.readFields(event.value(words.headers), into: &fields)
            request.push(event.string(words.path) ?? "", headers: fields)
            return false
        case .unknown:
            throw ASGIFault(
                message: "\((event.string(words.type) ?? "nothing").debugDescription) is not a response message")
        }
    }

    override var hasRoom: Bool { shared.withLock { !$0.isFull } }

    override func ended(_ error: PythonError?) {
        if isComplete || shared.withLock({ $0.hasLeft }) {
            if let error, !shared.withLock({ $0.hasLeft }) { log(error) }
            return
        }
        let problem =
            error
            ?? PythonError(
                message: "the app did not send a complete response",
                traceback: "the app did not send a complete response")
        log(problem)
        isComplete = true
        if let inlet {
            inlet.fail(SkeinError(.exception, because: problem.message))
        } else {
            deliver(app.errorPage(problem))
        }
    }

    func log(_ error: PythonError) {
        PythonLog.error("\(request.method) \(request.path): \(error.traceback)", to: app.logger)
    }
}

extension HTTPCall: ByteStreamSource {
    func streamWantsMore() {
        shared.withLock { $0.isFull = false }
        loop?.add(.wake(self))
    }

    func streamWasCancelled() { leave() }
}
