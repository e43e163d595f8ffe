// One request to a WSGI app: from the connection's loop to a thread of Python and back (PEP 3333).

import CSkeinPython
import Dispatch
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

/// A call of an app.
///
/// Unchecked: mutable state that is not behind the lock is used by the thread that runs the call only.
final class WSGICall: @unchecked Sendable {
    private struct Waiting {
        var continuation: UnsafeContinuation<ServerResponse, any Error>?
        var hasLeft = false
    }

    let request: ServerRequest
    private let facts: RequestFacts
    private let content: RequestContent
    let app: WSGIHost
    private let waiting = Mutex(Waiting())
    let room = DispatchSemaphore(value: 0)

    // MARK: Used by the thread only

    var head: WSGIHead?
    var isOver = false
    /// How much content was sent; nil before the head was sent.
    var sent: Int?
    var inlet: ByteStreamInlet<Headers?>?

    init(_ request: ServerRequest, _ facts: RequestFacts, _ content: RequestContent, _ app: WSGIHost) {
        self.request = request
        self.facts = facts
        self.content = content
        self.app = app
    }

    // MARK: The loop's side

    /// Lets a thread call the app, and waits for the head of its response.
    func answer(by pool: PythonThreadPool) async throws -> ServerResponse {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                let hasLeft = waiting.withLock { waiting in
                    if !waiting.hasLeft { waiting.continuation = continuation }
                    return waiting.hasLeft
                }
                if hasLeft { return continuation.resume(throwing: CancellationError()) }
                do {
                    try pool.submit(self)
                } catch {
                    answer(.failure(error))
                }
            }
        } onCancel: {
            leave()
            pool.withdraw(self)
            answer(.failure(CancellationError()))
        }
    }

    /// Passes the response to the connection, if it waits for one.
    func answer(_ result: Result<ServerResponse, any Error>) { takeContinuation()?.resume(with: result) }

    /// The same from the thread that runs the call, together with the responses to other calls.
    func deliver(_ response: ServerResponse) {
        guard let continuation = takeContinuation() else { return }
        app.pool.deliver(Delivery(shard: request.shard, continuation: continuation, result: .success(response)))
    }

    private func takeContinuation() -> UnsafeContinuation<ServerResponse, any Error>? {
        waiting.withLock { waiting in
            defer { waiting.continuation = nil }
            return waiting.continuation
        }
    }

    func leave() {
        waiting.withLock { $0.hasLeft = true }
        room.signal()
    }

    /// Whether the connection waits for the head of the response.
    var isAwaited: Bool { waiting.withLock { $0.continuation != nil } }

    var hasLeft: Bool { waiting.withLock { $0.hasLeft } }

    // MARK: The thread's side

    /// Calls the app, with the interpreter's lock.
    func run(_ builder: inout EnvironBuilder) {
        if hasLeft { return }
        let own = Unmanaged.passUnretained(self)
        skein_python_set_current(own.toOpaque())
        defer { skein_python_set_current(nil) }
        do throws(PythonError) {
            try callApp(&builder)
        } catch {
            fail(error)
        }
        isOver = true
        inlet?.finish(nil)
    }

    private func callApp(_ builder: inout EnvironBuilder) throws(PythonError) {
        let input = try content.makeInput()
        defer { Py_DecRef(input) }
        let environ = try builder.build(
            request, facts, base: app.environ, input: input, contentLength: content.count)
        let own = try PythonReference(Self.capsule(of: self))
        let start = try PythonReference(Self.startResponse.make(self: own.object))
        let answer = try Python.call(app.callable, environ, start)
        var failure: PythonError?
        do throws(PythonError) {
            try send(answer.object)
        } catch {
            failure = error
        }
        close(answer.object)
        if let failure { throw failure }
    }

    /// Calls `close()` in every case (PEP 3333, "Specification Details").
    private func close(_ answer: PythonObject) {
        let type = skein_py_type(answer)
        if type == skein_python.PyList_Type || type == skein_python.PyTuple_Type { return }
        guard let close = PyObject_GetAttrString(answer, "close") else { return PyErr_Clear() }
        defer { Py_DecRef(close) }
        do {
            _ = try Python.call(close)
        } catch {
            app.logger.error("close() of a response failed: \(error)")
        }
    }

    private func fail(_ error: PythonError) {
        if hasLeft { return }
        PythonLog.error("\(request.method) \(request.path): \(error.traceback)", to: app.logger)
        if let inlet {
            inlet.fail(SkeinError(.exception, because: error.message))
        } else {
            deliver(app.errorPage(error))
        }
    }
}

extension WSGICall: ByteStreamSource {
    func streamWantsMore() { room.signal() }
    func streamWasCancelled() { leave() }
}
