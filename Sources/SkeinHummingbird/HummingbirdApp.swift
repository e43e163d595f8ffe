// Runs Hummingbird's routers in an engine, unchanged: requests are converted to Hummingbird's, and its responses to
// ours.

import Logging
import NIOCore
import SkeinCore

#if Hummingbird
    import HTTPTypes
    import Hummingbird
    import SkeinEngine
    import Synchronization

    /// A responder of Hummingbird, usually a router's, as an app: `engine.mount("/old", HummingbirdApp(router))`.
    ///
    /// Its routes are below the mount. A request without a matching route is passed on. It needs a connection, because
    /// Hummingbird's contexts do.
    public struct HummingbirdApp<Responder: Hummingbird.HTTPResponder>: SkeinEngine.App
    where
        Responder.Context: Hummingbird.RequestContext,
        Responder.Context.Source == Hummingbird.ApplicationRequestContextSource
    {
        /// Content up to this size is collected and sent in one piece.
        private static var small: Int { 64 << 10 }

        private let responder: Responder
        private let logger: Logger

        /// An app of a responder.
        /// - Parameter logger: the logger of its contexts.
        public init(responder: Responder, logger: Logger = .screen(label: "hummingbird")) {
            self.responder = responder
            self.logger = logger
        }

        /// Responds to one request.
        public func respond(to request: ServerRequest) async throws -> ServerResponse {
            guard let channel = request.nioChannel else {
                throw SkeinError(
                    .exception, because: "Hummingbird's contexts need a connection; test this app on a port")
            }
            let theirs = Hummingbird.Request(head: try head(of: request), body: .init(asyncSequence: request.body))
            let context = Responder.Context(source: .init(channel: channel, logger: logger))
            do {
                let response = try await responder.respond(to: theirs, context: context)
                // This is a router's response when no route matches.
                guard response.status != .notFound || response.body.contentLength != 0 else { throw NotServed() }
                return try await answer(response, request)
            } catch let error as any Hummingbird.HTTPResponseError {
                guard error.status != .notFound else { throw NotServed() }
                return try await answer(try error.response(from: theirs, context: context), request)
            }
        }

        private func head(of request: ServerRequest) throws(ServerError) -> HTTPTypes.HTTPRequest {
            guard let method = HTTPTypes.HTTPRequest.Method(request.method.rawValue) else {
                throw ServerError(.badRequest)
            }
            var fields = HTTPFields()
            for (name, value) in request.headers {
                if name.lowercased() != "host", let name = HTTPField.Name(name) {
                    fields.append(.init(name: name, value: value))
                }
            }
            let query = request.query.map { "?\($0)" } ?? ""
            let path = request.localPath
            return HTTPTypes.HTTPRequest(
                method: method, scheme: request.isSecure ? "https" : "http", authority: request.headers["Host"],
                path: (path.isEmpty ? "/" : path) + query, headerFields: fields)
        }

        private func answer(_ theirs: Hummingbird.Response, _ request: ServerRequest) async throws -> ServerResponse {
            var headers = Headers()
            for field in theirs.headers { headers.add(field.name.rawName, field.value) }
            let length = theirs.body.contentLength
            let status = HTTPStatus(theirs.status.code)
            if request.method == .head || length == 0 {
                let none: [ByteBuffer] = []
                let body: HTTPBody = (length ?? 0) > 0 ? .sequence(none, length: length) : .none
                return ServerResponse(status, headers: headers, body: body)
            }
            if let length, length <= Self.small {
                let collected = Collected()
                try await theirs.body.write(BodyWriter(sink: collected))
                return ServerResponse(status, headers: headers, body: .bytes(collected.bytes))
            }
            let stream = PushedBody()
            let body = theirs.body
            let task = Task {
                do {
                    try await body.write(BodyWriter(sink: stream))
                    stream.finish()
                } catch {
                    stream.fail(error)
                }
            }
            stream.begin(task)
            return ServerResponse(status, headers: headers, body: .stream(stream.stream, length: length))
        }
    }

    extension HummingbirdApp {
        /// An app of a router.
        public init<Context>(_ router: Hummingbird.Router<Context>, logger: Logger = .screen(label: "hummingbird"))
        where Responder == Hummingbird.RouterResponder<Context> {
            self.init(responder: router.buildResponder(), logger: logger)
        }
    }

    /// Receives the pieces of a body.
    private protocol BodyTaker: Sendable {
        func take(_ piece: ByteBuffer) async throws
        func finish()
    }

    /// Hummingbird's writer over one of ours.
    private struct BodyWriter: Hummingbird.ResponseBodyWriter {
        let sink: any BodyTaker

        mutating func write(_ buffer: ByteBuffer) async throws { try await sink.take(buffer) }
        mutating func write(contentsOf buffers: some Sequence<ByteBuffer>) async throws {
            for buffer in buffers { try await sink.take(buffer) }
        }
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws { sink.finish() }
    }

    /// A small body.
    private final class Collected: BodyTaker {
        private let buffer = Mutex(ByteBuffer())

        var bytes: ByteBuffer { buffer.withLock { $0 } }

        func take(_ piece: ByteBuffer) { buffer.withLock { _ = $0.writeImmutableBuffer(piece) } }
        func finish() {}
    }

    /// A body that is written no faster than it is read.
    private final class PushedBody: BodyTaker, ByteStreamSource {
        private struct State {
            var waiter: CheckedContinuation<Void, any Error>?
            var mayGoOn = false
            var isCancelled = false
            var task: Task<Void, Never>?
        }

        private let state = Mutex(State())
        private let made = Mutex<BodyStream?>(nil)

        var stream: BodyStream {
            made.withLock { made in
                if let made { return made }
                let stream = BodyStream(source: self)
                made = stream
                return stream
            }
        }

        func begin(_ task: Task<Void, Never>) {
            let isCancelled = state.withLock { state in
                state.task = task
                return state.isCancelled
            }
            if isCancelled { task.cancel() }
        }

        func take(_ piece: ByteBuffer) async throws {
            guard !stream.push(piece) else { return }
            try await withCheckedThrowingContinuation { continuation in
                let outcome = state.withLock { state -> Result<Void, any Error>? in
                    if state.isCancelled { return .failure(CancellationError()) }
                    if state.mayGoOn {
                        state.mayGoOn = false
                        return .success(())
                    }
                    state.waiter = continuation
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        }

        func finish() { stream.finish(nil) }
        func fail(_ error: any Error) { stream.fail(error) }

        func streamWantsMore() {
            state.withLock { state in
                defer { state.waiter = nil }
                state.mayGoOn = state.waiter == nil
                return state.waiter
            }?.resume()
        }

        func streamWasCancelled() {
            let (waiter, task) = state.withLock { state in
                defer { state.waiter = nil }
                state.isCancelled = true
                return (state.waiter, state.task)
            }
            waiter?.resume(throwing: CancellationError())
            task?.cancel()
        }
    }
#endif
