// One connection of an app, whatever type its scope has: a coroutine, the messages that it receives, and those that it
// sends.

import CSkeinPython
import Logging
import SkeinCore
import SkeinEngine
import Synchronization

/// The common parts of ``HTTPCall`` and ``SocketCall``.
///
/// Unchecked: `loop`, `task` and the futures are used on Python's loop only; state that both sides use is behind locks.
class ASGIExchange: @unchecked Sendable {
    let request: ServerRequest
    let facts: RequestFacts
    let app: ASGIHost
    /// Set before the request is passed to it.
    var loop: ASGILoop?
    private var task: PythonObject?
    /// Futures of `receive()` that are pending.
    private var receivers: [PythonObject] = []
    /// Futures of `send()` that are pending until the client has caught up.
    private var senders: [PythonObject] = []

    init(_ request: ServerRequest, _ facts: RequestFacts, _ app: ASGIHost) {
        self.request = request
        self.facts = facts
        self.app = app
    }

    var words: ASGIWords { app.words }

    // MARK: For subclasses

    /// The next message for the app; nil if there is none yet.
    func nextMessage() throws(PythonError) -> PythonObject? { nil }
    /// The app waits for a message.
    func isWanted() {}
    /// The app has sent a message.
    /// - Returns: whether the app has to wait.
    func receive(_ event: ASGIEvent) throws(ASGIFault) -> Bool { false }
    /// Whether enough has been sent that the app may continue.
    var hasRoom: Bool { true }
    /// The coroutine has ended.
    func ended(_ error: PythonError?) {}

    // MARK: The loop

    /// Starts the app's coroutine.
    func begin(on loop: ASGILoop) {
        do throws(PythonError) {
            let scope = try app.makeScope(request, facts)
            let own = try PythonReference(Self.capsule(of: self))
            let receive = try PythonReference(Self.receiveFunction.make(self: own.object))
            let send = try PythonReference(Self.sendFunction.make(self: own.object))
            guard let serve = PythonModule.function(.serve) else { throw PythonError.taken() }
            let coroutine = try Python.call(
                serve, [app.callable, scope.object, receive.object, send.object, own.object])
            task = try loop.start(coroutine).release()
            app.began(self)
        } catch {
            ended(error)
        }
    }

    /// Resolves the futures that the app awaits, if it can continue.
    func wake() {
        guard let loop else { return }
        while let receiver = receivers.first {
            var isEmpty = false
            let isSet = loop.resolve(receiver) {
                let message = (try? nextMessage()) ?? nil
                isEmpty = message == nil
                return message
            }
            // A future that was cancelled receives nothing, and the message stays for the next one.
            if isEmpty, !isSet { break }
            receivers.removeFirst()
            Py_DecRef(receiver)
        }
        if hasRoom, !senders.isEmpty {
            let waiting = senders
            senders = []
            for sender in waiting {
                _ = loop.resolve(sender) { skein_py_none() }
                Py_DecRef(sender)
            }
        }
    }

    /// Ends the coroutine with a `CancelledError`.
    func cancel() {
        guard let task, let cancel = PyObject_GetAttrString(task, "cancel") else { return PyErr_Clear() }
        defer { Py_DecRef(cancel) }
        if let answer = skein_py_call(cancel, nil, 0) { Py_DecRef(answer) } else { PyErr_Clear() }
    }

    fileprivate func end(_ error: PythonObject?) {
        for future in receivers + senders { Py_DecRef(future) }
        receivers = []
        senders = []
        Py_DecRef(task)
        task = nil
        app.ended(self)
        ended(error.map { PythonError($0) })
    }

    /// Removes futures that nothing awaits any more: an app may poll whether its client is still connected.
    private func dropGivenUp() {
        guard let loop, !receivers.isEmpty else { return }
        var kept: [PythonObject] = []
        for future in receivers { if loop.isDone(future) { Py_DecRef(future) } else { kept.append(future) } }
        receivers = kept
    }

    /// A coroutine that awaits a new future, as apps expect; the future is added to a list.
    private func makeFuture(_ futures: inout [PythonObject]) -> PythonObject? {
        guard let future = loop?.makeFuture(), let awaited = PythonModule.function(.awaited) else { return nil }
        var argument = future
        guard let coroutine = skein_py_call(awaited, &argument, 1) else {
            Py_DecRef(future)
            return nil
        }
        futures.append(future)
        return coroutine
    }

    // MARK: Functions for the app

    private static func capsule(of exchange: ASGIExchange) -> PythonObject? {
        PyCapsule_New(Unmanaged.passRetained(exchange).toOpaque(), nil) { capsule in
            if let pointer = PyCapsule_GetPointer(capsule, nil) {
                Unmanaged<ASGIExchange>.fromOpaque(pointer).release()
            }
        }
    }

    static func exchange(of capsule: PythonObject?) -> ASGIExchange? {
        guard let capsule, let pointer = PyCapsule_GetPointer(capsule, nil) else { return nil }
        return Unmanaged<ASGIExchange>.fromOpaque(pointer).takeUnretainedValue()
    }

    private static let receiveFunction = PythonDefinition("receive") { own, _, _ in
        guard let exchange = exchange(of: own) else { return nil }
        do throws(PythonError) {
            if exchange.receivers.isEmpty, let message = try exchange.nextMessage() { return skein_py_ready(message) }
            exchange.dropGivenUp()
            guard let waiting = exchange.makeFuture(&exchange.receivers) else { return nil }
            exchange.isWanted()
            return waiting
        } catch {
            return Python.raise(skein_python.PyExc_RuntimeError, error.message)
        }
    }

    private static let sendFunction = PythonDefinition("send") { own, arguments, count in
        guard let exchange = exchange(of: own) else { return nil }
        guard count == 1, let arguments, let event = ASGIEvent(arguments[0]) else {
            return PyErr_Occurred() == nil ? Python.raise(skein_python.PyExc_TypeError, "send(message)") : nil
        }
        do throws(ASGIFault) {
            guard try exchange.receive(event) else {
                Py_IncRef(exchange.words.done)
                return exchange.words.done
            }
            return exchange.makeFuture(&exchange.senders)
        } catch {
            return Python.raise(
                error.isGone ? skein_python.PyExc_OSError : skein_python.PyExc_RuntimeError, error.message)
        }
    }

    /// `_asgi_end(call, error)`: the coroutine has ended.
    static let end: PythonFunction = { _, arguments, count in
        guard count == 2, let arguments, let exchange = exchange(of: arguments[0]) else { return nil }
        exchange.end(Python.isNone(arguments[1]) ? nil : arguments[1])
        return skein_py_none()
    }
}

/// A violation of the protocol by an app.
struct ASGIFault: Error {
    let message: String
    /// Whether it is not the app's fault: the client has disconnected.
    var isGone = false
}
