// From the messages of an ASGI app to a response.

import CSkeinPython
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinWire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension HTTPCall {
    func readHead(_ event: ASGIEvent) throws(ASGIFault) -> Head {
        guard let status = event.integer(words.status), (200...599).contains(status) else {
            throw ASGIFault(message: "the status of a response must be from 200 to 599")
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
        guard length ?? 0 >= 0 else { throw ASGIFault(message: "the Content-Length is not a number of bytes") }
        if let problem = headers.problem {
            throw ASGIFault(
                message:
                    "the field \(problem.name.debugDescription) cannot be sent: names are tokens, values have no control characters"
            )
        }
        return Head(
            status: HTTPStatus(status), headers: headers, contentLength: length, hasTrailers: event.flag(words.trailers)
        )
    }

    func sendBody(_ event: ASGIEvent) throws(ASGIFault) -> Bool {
        guard let head else { throw ASGIFault(message: "http.response.start must come before http.response.body") }
        if isComplete || awaitsTrailers { throw ASGIFault(message: "the response is complete already") }
        var bytes = ByteBuffer()
        if let body = event.value(words.body) {
            guard let found = Python.buffer(body) else {
                throw ASGIFault(message: "the content of a response must be bytes, not \(Python.typeName(body))")
            }
            bytes = found
        }
        let isLast = !event.flag(words.moreBody)
        if shared.withLock({ $0.hasLeft }) {
            if isLast { isComplete = true }
            // One iteration of the loop: otherwise an app that sends without pause would not notice that its client has
            // disconnected.
            loop?.add(.wake(self))
            return true
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

    /// Sends a piece. Returns false when the client is behind; the app then has to wait.
    func push(_ bytes: ByteBuffer) -> Bool {
        // Before it is pushed: the client may have caught up when push() returns.
        shared.withLock { $0.isFull = !$0.hasLeft }
        guard inlet?.push(bytes) ?? true else { return false }
        shared.withLock { $0.isFull = false }
        return true
    }

    func whole(_ head: Head, _ bytes: ByteBuffer) -> ServerResponse {
        if request.method == .head || head.status == 304, let length = head.contentLength {
            return ServerResponse(head.status, headers: head.headers, body: .announced(length))
        }
        if let length = head.contentLength, length != bytes.readableBytes, head.status != 204 {
            app.logger.error(
                "\(request.path): the app has announced a Content-Length of \(length) and sent \(bytes.readableBytes) bytes"
            )
            let body = HTTPBody.sequence([bytes], length: length)
            return ServerResponse(head.status, headers: head.headers, body: body)
        }
        return ServerResponse(head.status, headers: head.headers, body: .bytes(bytes))
    }

    func begin(_ head: Head) {
        let stream = BodyStream(source: self)
        inlet = stream.inlet
        let isHead = request.method == .head
        let body = HTTPBody(
            .stream(length: head.contentLength, .never) {
                var pieces = stream.makeAsyncIterator()
                return AsyncThrowingChunks(trailers: { stream.ending ?? nil }) {
                    isHead ? nil : try await pieces.next()
                }
            }, contentType: nil)
        var response = ServerResponse(head.status, headers: head.headers, body: body)
        if head.hasTrailers { response.trailers = Headers() }
        deliver(response)
    }

    func complete() {
        isComplete = true
        awaitsTrailers = false
        inlet?.finish(trailers.isEmpty ? nil : trailers)
        wake()
    }

    func sendPath(_ path: String) throws(ASGIFault) {
        guard let head, !isComplete, inlet == nil else {
            throw ASGIFault(message: "http.response.pathsend must directly follow http.response.start")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        var facts = stat()
        guard descriptor >= 0, fstat(descriptor, &facts) == 0 else {
            if descriptor >= 0 { close(descriptor) }
            throw ASGIFault(message: "\(path.debugDescription) cannot be opened")
        }
        var response = ServerResponse(head.status, headers: head.headers)
        guard response.send(owning: descriptor, 0..<Int(facts.st_size)) else {
            throw ASGIFault(message: "\(path.debugDescription) is not a file")
        }
        isComplete = true
        deliver(response)
        wake()
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
    /// - Parameter isKept: whether a field is included.
    static func readFields(
        _ object: PythonObject?, into headers: inout Headers,
        _ isKept: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool = { _, _ in true }
    ) throws(ASGIFault) {
        guard let object else { return }
        // Any iterable is allowed; nearly all are lists.
        let isList = skein_py_type(object) == skein_python.PyList_Type
        guard let list = isList ? object : PySequence_List(object) else {
            PyErr_Clear()
            throw ASGIFault(message: "header fields must be an iterable of pairs")
        }
        defer { if !isList { Py_DecRef(list) } }
        for index in 0..<PyList_Size(list) {
            guard let pair = PyList_GetItem(list, index) else { continue }
            let parts = try Self.list(pair)
            let isRead =
                parts.count == 2
                && Python.withBytes(parts[0]) { name -> Bool in
                    let value: Void? = Python.withBytes(parts[1]) { value in
                        if isKept(name, value) { headers.add(String(decoding: name, as: UTF8.self), bytes: value) }
                    }
                    return value != nil
                } ?? false
            guard isRead else { throw ASGIFault(message: "a header field must be a pair of bytes") }
        }
    }
}
