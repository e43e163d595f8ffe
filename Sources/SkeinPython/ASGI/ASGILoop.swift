// The event loop of Python: one for all ASGI apps of a process, on the interpreter's main thread. Event loops of
// connections never take the interpreter's lock: they queue work, and wake Python's loop through a descriptor that it
// watches.

import CSkeinPython
import SkeinCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The asyncio loop, or uvloop's.
///
/// Unchecked: Python objects are used by its own thread.
final class ASGILoop: @unchecked Sendable {
    /// Work for the loop's thread.
    enum Item {
        /// A request begins.
        case begin(ASGIExchange)
        /// A waiting exchange can continue.
        case wake(ASGIExchange)
    }

    private struct Objects {
        let callSoon: PythonObject
        let flush: PythonObject
        let createFuture: PythonObject
        let task: PythonObject
        let named: PythonObject
    }

    private static let current = Mutex<ASGILoop?>(nil)

    let interpreter: PythonInterpreter
    /// A pipe; its bytes only say that there is work.
    private let reading: CInt
    private let writing: CInt
    private let items = Mutex<[Item]>([])
    private let deliveries = Deliveries()
    private var objects: Objects?
    let words: ASGIWords

    private init(_ interpreter: PythonInterpreter, _ reading: CInt, _ writing: CInt, _ words: ASGIWords) {
        self.interpreter = interpreter
        self.reading = reading
        self.writing = writing
        self.words = words
    }

    /// The loop, started if necessary.
    static func started(_ interpreter: PythonInterpreter) async throws -> ASGILoop {
        if let current = current.withLock({ $0 }) { return current }
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SkeinError(.exception, because: "too many files are open") }
        let (reading, writing) = (ends[0], ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        let loop = try await interpreter.onMain {
            ASGILoop(interpreter, reading, writing, try ASGIWords())
        }
        let isFirst = current.withLock { current in
            if current != nil { return false }
            current = loop
            return true
        }
        guard isFirst else {
            close(reading)
            close(writing)
            return try await started(interpreter)
        }
        interpreter.enqueue { loop.run() }
        interpreter.wake { loop.wake() }
        // After this, the loop runs.
        guard try await interpreter.onMain({ loop.objects != nil }) else {
            throw SkeinError(.exception, because: "Python's event loop does not run; the log says why")
        }
        return loop
    }

    /// Runs the loop on the main thread for the lifetime of the process.
    private func run() {
        do {
            guard let run = PythonModule.function(.runLoop) else { throw PythonError.taken() }
            let own = try PythonReference(PyCapsule_New(Unmanaged.passRetained(self).toOpaque(), nil, nil))
            let number = try PythonReference(Python.integer(Int(reading)))
            let drain = try PythonReference(Self.drain.make(self: own.object))
            let begun = try PythonReference(Self.begun.make(self: own.object))
            _ = try Python.call(run, [number.object, drain.object, begun.object, words.done])
        } catch {
            PythonLog.error("Python's event loop does not run: \(error)", to: PythonLog.logger.withLock { $0 })
            interpreter.wakeAsBefore()
        }
    }

    // MARK: Any thread

    /// Queues an item.
    func add(_ item: Item) { if append(item) { wake() } }

    /// Queues a request; called on the loop of its connection.
    func begin(_ exchange: ASGIExchange) {
        exchange.loop = self
        // After the current tasks of that loop, so that several requests start together.
        if append(.begin(exchange)) { exchange.request.shard.eventLoop.execute { self.wake() } }
    }

    private func append(_ item: Item) -> Bool {
        items.withLock { items in
            items.append(item)
            return items.count == 1
        }
    }

    private func wake() {
        var one: UInt8 = 1
        _ = write(writing, &one, 1)
    }

    // MARK: The loop's thread

    private static func loop(of capsule: PythonObject?) -> ASGILoop? {
        guard let capsule, let pointer = PyCapsule_GetPointer(capsule, nil) else { return nil }
        return Unmanaged<ASGILoop>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// `begun(loop, create_future, Task, call_soon)`
    private static let begun = PythonDefinition("begun") { own, arguments, count in
        guard let loop = loop(of: own), count == 4, let arguments,
            let named = PyDict_New(), PyDict_SetItemString(named, "loop", arguments[0]) == 0,
            let flush = flush.make(self: own)
        else { return nil }
        for index in 1..<4 { Py_IncRef(arguments[index]) }
        loop.objects = Objects(
            callSoon: arguments[3], flush: flush, createFuture: arguments[1], task: arguments[2], named: named)
        return skein_py_none()
    }

    private static let flush = PythonDefinition("flush") { own, _, _ in
        loop(of: own)?.deliveries.flush()
        return skein_py_none()
    }

    /// Sends a response, together with those of the coroutines that run before the loop polls its descriptors again.
    func deliver(_ delivery: Delivery) {
        guard deliveries.add(delivery) == 1, let objects else { return }
        var argument = objects.flush
        if let handle = skein_py_call(objects.callSoon, &argument, 1) {
            Py_DecRef(handle)
        } else {
            PyErr_Clear()
            deliveries.flush()
        }
    }

    private static let drain = PythonDefinition("drain") { own, _, _ in
        guard let loop = loop(of: own) else { return nil }
        loop.drain()
        return skein_py_none()
    }

    private func drain() {
        var signs: UInt64 = 0
        while read(reading, &signs, 8) == 8 {}
        var batch: [Item] = []
        items.withLock { swap(&$0, &batch) }
        for item in batch {
            switch item {
            case .begin(let exchange): exchange.begin(on: self)
            case .wake(let exchange): exchange.wake()
            }
        }
        interpreter.runWork()
        PythonInterpreter.leaveIfForked()
    }

    /// A future of the loop; a new reference.
    func makeFuture() -> PythonObject? { objects.flatMap { skein_py_call($0.createFuture, nil, 0) } }

    /// Starts a coroutine on the loop; a new reference to the task.
    func start(_ coroutine: borrowing PythonReference) throws(PythonError) -> PythonReference {
        guard let objects else { throw PythonError(message: "no loop", traceback: "the event loop does not run") }
        var argument = coroutine.object
        return try PythonReference(PyObject_VectorcallDict(objects.task, &argument, 1, objects.named))
    }

    /// Sets the result of a future, unless it was cancelled. Returns whether it was set. The value's reference is taken
    /// over.
    func resolve(_ future: PythonObject, _ value: () -> PythonObject?) -> Bool {
        guard !isDone(future) else { return false }
        guard let value = value() else {
            PyErr_Clear()
            return false
        }
        defer { Py_DecRef(value) }
        guard let set = PyObject_GetAttrString(future, "set_result") else {
            PyErr_Clear()
            return false
        }
        defer { Py_DecRef(set) }
        var argument = value
        guard let none = skein_py_call(set, &argument, 1) else {
            PyErr_Clear()
            return false
        }
        Py_DecRef(none)
        return true
    }

    func isDone(_ future: PythonObject) -> Bool {
        guard let done = PyObject_GetAttrString(future, "done"), let answer = skein_py_call(done, nil, 0) else {
            PyErr_Clear()
            return true
        }
        defer {
            Py_DecRef(done)
            Py_DecRef(answer)
        }
        return answer == skein_python._Py_TrueStruct
    }
}
