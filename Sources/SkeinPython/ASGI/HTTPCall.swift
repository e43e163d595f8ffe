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
/// Unchecked: as ``ASGIExchange``.
final class HTTPCall: ASGIExchange, @unchecked Sendable {
    private struct Content {
        var pieces: [ByteBuffer] = []
        var isComplete = false
        var isEndDelivered = false
        /// Somebody reads the content of the request.
        var isBegun = false
        /// Waits for room.
        var reader: UnsafeContinuation<Void, Never>?
    }

    private struct Shared {
        var content = Content()
        var continuation: UnsafeContinuation<ServerResponse, any Error>?
        var hasLeft = false
        var isFull = false
    }

    private struct Head {
        let status: HTTPStatus
        let headers: Headers
        let contentLength: Int?
        let hasTrailers: Bool
    }

    private let shared = Mutex(Shared())
    // Of the app's side:
    private var head: Head?
    private var inlet: ByteStreamInlet<Headers?>?
    private var isComplete = false
    private var awaitsTrailers = false
    private var trailers = Headers()

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

    /// The same from Python's loop, together with the answers of other requests.
    private func deliver(_ response: ServerResponse) {
        guard let continuation = takeContinuation() else { return }
        loop?.deliver(Delivery(shard: request.shard, continuation: continuation, result: .success(response)))
    }

    private func takeContinuation() -> UnsafeContinuation<ServerResponse, any Error>? {
        shared.withLock { shared in
            defer { shared.continuation = nil }
            return shared.continuation
        }
    }

    /// The client has left.
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

    /// Reads the content of the request, no faster than the app takes it.
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
            // The app hears that nothing more comes, and the client why: its content may be too large, or too slow.
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

    // MARK: What the app receives

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

    // MARK: What the app sends

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
            guard awaitsTrailers else { throw ASGIFault(message: "no trailers were announced, or content is still to come") }
            try Self.readFields(event.value(words.headers), into: &trailers)
            if !event.flag(words.moreTrailers) { complete() }
            return false
        case .path:
            try sendPath(event.string(words.path) ?? "")
            return false
        case .hint:
            var links = Headers()
            for link in try Self.list(event.value(words.links)) { links.add("Link", Python.withBytes(link) { String(decoding: $0, as: UTF8.self) } ?? "") }
            if head == nil { request.sendEarlyHints(links) }
            return false
        case .push:
            var fields = Headers()
            try Self.readFields(event.value(words.headers), into: &fields)
            request.push(event.string(words.path) ?? "", headers: fields)
            return false
        case .unknown:
            throw ASGIFault(message: "\((event.string(words.type) ?? "nothing").debugDescription) is no message of a response")
        }
    }

    override var hasRoom: Bool { shared.withLock { !$0.isFull } }

    private func readHead(_ event: ASGIEvent) throws(ASGIFault) -> Head {
        guard let status = event.integer(words.status), (200...599).contains(status) else {
            throw ASGIFault(message: "a response has a status from 200 to 599")
        }
        var headers = Headers()
        var length: Int?
        try Self.readFields(event.value(words.headers), into: &headers) { name, value in
            if name.count == 14, Bytes.equal(name, 0, 14, lowercase: "content-length") {
                length = Int(String(decoding: value, as: UTF8.self)) ?? -1
                return false
            }
            return !(name.count == 17 && Bytes.equal(name, 0, 17, lowercase: "transfer-encoding"))
        }
        guard length ?? 0 >= 0 else { throw ASGIFault(message: "the Content-Length is no number of bytes") }
        if let problem = headers.problem {
            throw ASGIFault(message: "the field \(problem.name.debugDescription) cannot be sent: names are tokens, values have no control characters")
        }
        return Head(
            status: HTTPStatus(status), headers: headers, contentLength: length, hasTrailers: event.flag(words.trailers))
    }

    private func sendBody(_ event: ASGIEvent) throws(ASGIFault) -> Bool {
        guard let head else { throw ASGIFault(message: "http.response.start comes before http.response.body") }
        if isComplete || awaitsTrailers { throw ASGIFault(message: "the response is complete already") }
        var bytes = ByteBuffer()
        if let body = event.value(words.body) {
            guard let found = Python.buffer(body) else {
                throw ASGIFault(message: "the content of a response is bytes, not \(Python.typeName(body))")
            }
            bytes = found
        }
        let isLast = !event.flag(words.moreBody)
        if shared.withLock({ $0.hasLeft }) {
            if isLast { isComplete = true }
            return false
        }
        if inlet == nil, isLast, !head.hasTrailers {
            isComplete = true
            deliver(whole(head, bytes))
            wake()
            return false
        }
        if inlet == nil { begin(head) }
        let goesOn = bytes.readableBytes == 0 || request.method == .head || push(bytes)
        if isLast {
            if head.hasTrailers { awaitsTrailers = true } else { complete() }
        }
        return !goesOn && !isLast && !hasRoom
    }

    /// Sends a piece. Returns false when the client is behind, until it has caught up.
    private func push(_ bytes: ByteBuffer) -> Bool {
        // Before it is pushed: the client may have caught up when push() returns.
        shared.withLock { $0.isFull = !$0.hasLeft }
        guard inlet?.push(bytes) ?? true else { return false }
        shared.withLock { $0.isFull = false }
        return true
    }

    private func whole(_ head: Head, _ bytes: ByteBuffer) -> ServerResponse {
        if request.method == .head || head.status == 304, let length = head.contentLength {
            return ServerResponse(head.status, headers: head.headers, body: .announced(length))
        }
        if let length = head.contentLength, length != bytes.readableBytes, head.status != 204 {
            app.logger.error(
                "\(request.path): the app has announced a Content-Length of \(length) and sent \(bytes.readableBytes) bytes")
            let body = HTTPBody.sequence([bytes], length: length)
            return ServerResponse(head.status, headers: head.headers, body: body)
        }
        return ServerResponse(head.status, headers: head.headers, body: .bytes(bytes))
    }

    private func begin(_ head: Head) {
        let stream = BodyStream(source: self)
        inlet = stream.inlet
        let isHead = request.method == .head
        let body = HTTPBody(
            .stream(length: head.contentLength, .never) {
                var pieces = stream.makeAsyncIterator()
                return AsyncThrowingChunks(trailers: { stream.ending ?? nil }) { isHead ? nil : try await pieces.next() }
            }, contentType: nil)
        var response = ServerResponse(head.status, headers: head.headers, body: body)
        if head.hasTrailers { response.trailers = Headers() }
        deliver(response)
    }

    private func complete() {
        isComplete = true
        awaitsTrailers = false
        inlet?.finish(trailers.isEmpty ? nil : trailers)
        wake()
    }

    private func sendPath(_ path: String) throws(ASGIFault) {
        guard let head, !isComplete, inlet == nil else {
            throw ASGIFault(message: "http.response.pathsend follows http.response.start, and nothing else")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        var facts = stat()
        guard descriptor >= 0, fstat(descriptor, &facts) == 0 else {
            if descriptor >= 0 { close(descriptor) }
            throw ASGIFault(message: "\(path.debugDescription) cannot be opened")
        }
        var response = ServerResponse(head.status, headers: head.headers)
        guard response.send(owning: descriptor, 0..<Int(facts.st_size)) else {
            throw ASGIFault(message: "\(path.debugDescription) is no file")
        }
        isComplete = true
        deliver(response)
        wake()
    }

    override func ended(_ error: PythonError?) {
        if isComplete || shared.withLock({ $0.hasLeft }) {
            if let error, !shared.withLock({ $0.hasLeft }) { log(error) }
            return
        }
        let problem = error ?? PythonError(message: "the app has sent no complete response", traceback: "the app has sent no complete response")
        log(problem)
        isComplete = true
        if let inlet {
            inlet.fail(SkeinError(.exception, because: problem.message))
        } else {
            deliver(app.errorPage(problem))
        }
    }

    private func log(_ error: PythonError) {
        PythonLog.error("\(request.method) \(request.path): \(error.traceback)", to: app.logger)
    }

    // MARK: Fields

    static func list(_ object: PythonObject?) throws(ASGIFault) -> [PythonObject] {
        guard let object else { return [] }
        let type = skein_py_type(object)
        if type == skein_python.PyList_Type {
            return (0..<PyList_Size(object)).compactMap { PyList_GetItem(object, $0) }
        }
        if type == skein_python.PyTuple_Type {
            return (0..<PyTuple_Size(object)).compactMap { PyTuple_GetItem(object, $0) }
        }
        return []
    }

    /// Reads pairs of bytes.
    /// - Parameter isKept: whether a field belongs to the section.
    static func readFields(
        _ object: PythonObject?, into headers: inout Headers,
        _ isKept: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool = { _, _ in true }
    ) throws(ASGIFault) {
        guard let object else { return }
        // Any iterable is allowed; nearly all are lists.
        let isList = skein_py_type(object) == skein_python.PyList_Type
        guard let list = isList ? object : PySequence_List(object) else {
            PyErr_Clear()
            throw ASGIFault(message: "header fields are an iterable of pairs")
        }
        defer { if !isList { Py_DecRef(list) } }
        for index in 0..<PyList_Size(list) {
            guard let pair = PyList_GetItem(list, index) else { continue }
            let parts = try Self.list(pair)
            let isRead = parts.count == 2
                && Python.withBytes(parts[0]) { name -> Bool in
                    let value: Void? = Python.withBytes(parts[1]) { value in
                        if isKept(name, value) { headers.add(String(decoding: name, as: UTF8.self), bytes: value) }
                    }
                    return value != nil
                } ?? false
            guard isRead else { throw ASGIFault(message: "a header field is a pair of bytes") }
        }
    }
}

extension HTTPCall: ByteStreamSource {
    func streamWantsMore() {
        shared.withLock { $0.isFull = false }
        loop?.add(.wake(self))
    }

    func streamWasCancelled() { leave() }
}
