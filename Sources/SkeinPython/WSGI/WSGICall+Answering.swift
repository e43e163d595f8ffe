// From the return value of a WSGI app to a response (PEP 3333).

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

extension WSGICall {
    func send(_ answer: PythonObject) throws(PythonError) {
        let type = skein_py_type(answer)
        if type == skein_python.PyList_Type || type == skein_python.PyTuple_Type {
            return try sendAll(answer, isList: type == skein_python.PyList_Type)
        }
        if type == PythonModule.function(.fileWrapper), try sendFile(answer) { return }
        let iterator = try PythonReference(PyObject_GetIter(answer))
        while let item = PyIter_Next(iterator.object) {
            defer { Py_DecRef(item) }
            try send(piece: item)
            if isComplete { break }
        }
        if PyErr_Occurred() != nil { throw PythonError.taken() }
        try finish()
    }

    /// Whether nothing more that the app adds would be sent.
    var isComplete: Bool { hasLeft || sent != nil && request.method == .head }

    /// Sends a complete response in one piece, with its length.
    func sendAll(_ list: PythonObject, isList: Bool) throws(PythonError) {
        var whole = ByteBuffer()
        for index in 0..<(isList ? PyList_Size(list) : PyTuple_Size(list)) {
            guard let item = isList ? PyList_GetItem(list, index) : PyTuple_GetItem(list, index) else {
                throw PythonError.taken()
            }
            guard Python.withBytes(item, { whole.writeBytes($0) }) != nil else { throw Self.notBytes(item) }
        }
        if sent != nil {
            if whole.readableBytes > 0 { try send(whole) }
            return try finish()
        }
        try answer(whole: whole)
    }

    func send(piece item: PythonObject) throws(PythonError) {
        guard let bytes = Python.buffer(item) else { throw Self.notBytes(item) }
        if bytes.readableBytes > 0 { try send(bytes) }
    }

    static func notBytes(_ item: PythonObject) -> PythonError {
        let message = "TypeError: the content of a response must be bytes, not \(Python.typeName(item))"
        return PythonError(message: message, traceback: message)
    }

    func requiredHead() throws(PythonError) -> WSGIHead {
        guard let head else {
            let message = "AssertionError: the app sent content before it called start_response()"
            throw PythonError(message: message, traceback: message)
        }
        return head
    }

    /// Sends a piece, and waits while the client is behind.
    func send(_ bytes: ByteBuffer) throws(PythonError) {
        let head = try requiredHead()
        var bytes = bytes
        let before = sent ?? 0
        if let length = head.contentLength, before + bytes.readableBytes > length {
            app.logger.warning(
                "\(request.path): the app sends more than the announced Content-Length of \(length)")
            bytes.moveWriterIndex(to: bytes.readerIndex + max(0, length - before))
        }
        if sent == nil {
            if head.contentLength == bytes.readableBytes { return try answer(whole: bytes) }
            begin(head)
        }
        sent = before + bytes.readableBytes
        guard let inlet, bytes.readableBytes > 0, request.method != .head, !inlet.push(bytes), !hasLeft else { return }
        PythonInterpreter.withoutLock { room.wait() }
    }

    func answer(whole bytes: ByteBuffer) throws(PythonError) {
        let head = try requiredHead()
        sent = bytes.readableBytes
        guard let length = head.contentLength, length != bytes.readableBytes else {
            return deliver(ServerResponse(head.status, headers: head.headers, body: .bytes(bytes)))
        }
        if request.method == .head || head.status == 304 {
            return deliver(ServerResponse(head.status, headers: head.headers, body: .announced(length)))
        }
        guard bytes.readableBytes < length else {
            sent = nil
            try send(bytes)
            return
        }
        let message = "the app has announced a Content-Length of \(length) and sent \(bytes.readableBytes) bytes"
        throw PythonError(message: message, traceback: message)
    }

    /// Sends the head; content follows.
    func begin(_ head: WSGIHead) {
        if request.method == .head {
            let body = head.contentLength.map { HTTPBody.announced($0) } ?? .none
            return deliver(ServerResponse(head.status, headers: head.headers, body: body))
        }
        let stream = BodyStream(source: self)
        inlet = stream.inlet
        let isEvents = head.headers["Content-Type"]?.hasBytePrefix("text/event-stream") ?? false
        let taken = isEvents ? stream : ResponseBuffer.start(stream, app.configuration.buffering, on: request.shard)
        let body = HTTPBody.stream(taken, length: head.contentLength)
        deliver(ServerResponse(head.status, headers: head.headers, body: body))
        app.pool.flush()
    }

    func finish() throws(PythonError) {
        guard let sent else { return try answer(whole: ByteBuffer()) }
        guard let length = head?.contentLength, sent < length, let inlet, !hasLeft else { return }
        let message = "the app has announced a Content-Length of \(length) and sent \(sent) bytes"
        app.logger.error("\(request.path): \(message)")
        inlet.fail(SkeinError(.exception, because: message))
    }

    /// Lets the system send a file; false if it cannot send this one.
    func sendFile(_ wrapper: PythonObject) throws(PythonError) -> Bool {
        let head = try requiredHead()
        guard sent == nil, let fileOf = PythonModule.function(.fileOf) else { return false }
        let found = try Python.call(fileOf, PythonReference(to: wrapper))
        if Python.isNone(found.object) { return false }
        let numbers = (0..<3).map { index in
            PyTuple_GetItem(found.object, index).map { Int(PyLong_AsLongLong($0)) } ?? 0
        }
        let copy = fcntl(CInt(numbers[0]), F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { return false }
        let start = min(numbers[1], numbers[2])
        let end = head.contentLength.map { start + min(numbers[2] - start, $0) } ?? numbers[2]
        guard head.contentLength.map({ $0 == end - start }) ?? true else {
            Glibc.close(copy)
            return false
        }
        var response = ServerResponse(head.status, headers: head.headers)
        guard response.send(owning: copy, start..<end) else { return false }
        sent = end - start
        deliver(response)
        return true
    }

    // MARK: Functions for the app

    static func capsule(of call: WSGICall) -> PythonObject? {
        PyCapsule_New(Unmanaged.passRetained(call).toOpaque(), nil) { capsule in
            if let pointer = PyCapsule_GetPointer(capsule, nil) { Unmanaged<WSGICall>.fromOpaque(pointer).release() }
        }
    }

    private static func call(of capsule: PythonObject?) -> WSGICall? {
        guard let capsule, let pointer = PyCapsule_GetPointer(capsule, nil) else { return nil }
        let call = Unmanaged<WSGICall>.fromOpaque(pointer).takeUnretainedValue()
        guard !call.isOver else {
            return Python.raise(skein_python.PyExc_RuntimeError, "the request is over").flatMap { _ in nil }
        }
        return call
    }

    static let startResponse = PythonDefinition("start_response") { own, arguments, count in
        guard let call = call(of: own) else { return nil }
        guard count == 2 || count == 3, let arguments else {
            return Python.raise(skein_python.PyExc_TypeError, "start_response(status, headers, exc_info=None)")
        }
        if count == 3, !Python.isNone(arguments[2]) {
            // After the head was sent, the only way to tell the client is to close the connection.
            if call.sent != nil { return reraise(arguments[2]) }
        } else if call.head != nil {
            return Python.raise(
                skein_python.PyExc_AssertionError, "start_response() was called a second time, without exc_info")
        }
        guard let head = WSGIHead(arguments[0], arguments[1]) else { return nil }
        call.head = head
        return write.make(self: own)
    }

    private static let write = PythonDefinition("write") { own, arguments, count in
        guard let call = call(of: own) else { return nil }
        guard count == 1, let arguments, let bytes = Python.buffer(arguments[0]) else {
            return Python.raise(skein_python.PyExc_TypeError, "write(bytes)")
        }
        if call.hasLeft { return Python.raise(skein_python.PyExc_BrokenPipeError, "the client has disconnected") }
        do throws(PythonError) {
            if bytes.readableBytes > 0 { try call.send(bytes) }
            return skein_py_none()
        } catch {
            return Python.raise(skein_python.PyExc_RuntimeError, error.message)
        }
    }

    private static func reraise(_ information: PythonObject) -> PythonObject? {
        guard skein_py_type(information) == skein_python.PyTuple_Type, PyTuple_Size(information) == 3 else {
            return Python.raise(skein_python.PyExc_TypeError, "exc_info must be a tuple of three")
        }
        let parts = (0..<3).map { PyTuple_GetItem(information, $0) }
        for part in parts { Py_IncRef(part) }
        PyErr_Restore(parts[0], parts[1], parts[2])
        return nil
    }
}

extension HTTPBody {
    /// No content, with the length that it would have: for HEAD.
    static func announced(_ length: Int) -> HTTPBody {
        HTTPBody(.stream(length: length, .never) { AsyncThrowingChunks { nil } }, contentType: nil)
    }
}
