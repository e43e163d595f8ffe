// The module `skein` inside the interpreter: functions in Swift, and parts that are simpler in Python.

import CSkeinPython
import Synchronization

/// A function as Python calls it (METH_FASTCALL): itself, the arguments, and their number.
typealias PythonFunction = @convention(c) (PythonObject?, UnsafePointer<PythonObject>?, Int) -> PythonObject?

/// The module that apps import, and that the engine calls.
enum PythonModule {
    /// The functions of the module that Swift calls.
    enum Name: String, CaseIterable {
        case describe = "_describe"
        case loadApp = "_load_app"
        case fileOf = "_file_of"
        case rawInput = "_file_input"
        case emptyInput = "_empty_input"
        case memoryInput = "_memory_input"
        case fileWrapper = "FileWrapper"
        case errors = "_errors"
        case runLoop = "_run_loop"
        case serve = "_serve"
        case lifespan = "_lifespan"
        case dump = "_dump"
        case leave = "_leave"
        case awaited = "_awaited"
        case nameThread = "_name_thread"
        case parallelism = "_parallelism"
        case special = "_special"
    }

    /// The functions by their names; set once, before anything else runs.
    private static let functions = Mutex<[Name: Int]>([:])

    /// - Throws: the exception that Python has raised.
    static func load() throws(PythonError) {
        guard let module = PyImport_AddModule("skein"), let scope = PyModule_GetDict(module) else {
            throw PythonError.taken()
        }
        // Since 3.10, a module has them by itself.
        let builtins = try PythonReference(PyImport_ImportModule("builtins"))
        guard PyDict_SetItemString(scope, "__builtins__", builtins.object) == 0 else { throw PythonError.taken() }
        for (name, function) in natives { try add(name, function, to: scope) }
        try run(PythonSource.host, file: "skein/host.py", in: scope)
        try run(PythonSource.loop, file: "skein/loop.py", in: scope)
        try run(PythonSource.client, file: "skein/client.py", in: scope)
        try run(PythonSource.calls, file: "skein/calls.py", in: scope)
        try run(PythonSource.mail, file: "skein/mail.py", in: scope)
        for name in Name.allCases {
            guard let function = PyDict_GetItemString(scope, name.rawValue) else {
                throw PythonError(message: "no \(name.rawValue)", traceback: "no \(name.rawValue)")
            }
            Py_IncRef(function)  // as long as the process is there
            functions.withLock { $0[name] = Int(bitPattern: function) }
        }
    }

    /// A function of the module; a borrowed reference.
    static func function(_ name: Name) -> PythonObject? {
        functions.withLock { $0[name] }.flatMap { PythonObject(bitPattern: $0) }
    }

    private static func run(_ source: String, file: String, in scope: PythonObject) throws(PythonError) {
        let code = try PythonReference(Py_CompileString(source, file, 257))
        _ = try PythonReference(PyEval_EvalCode(code.object, scope, scope))
    }

    private static func add(_ name: String, _ function: @escaping PythonFunction, to scope: PythonObject)
        throws(PythonError)
    {
        let object = try PythonReference(PythonDefinition(name, function).make(self: nil))
        guard PyDict_SetItemString(scope, name, object.object) == 0 else { throw PythonError.taken() }
    }

    private static let natives: [(String, PythonFunction)] = [
        ("_log", PythonLog.write), ("_asgi_end", ASGIExchange.end),
        ("_http", ClientCalls.http), ("_sql", ClientCalls.sql), ("_redis", ClientCalls.redis),
        ("_mail", ClientCalls.mail),
        ("_shared", ClientCalls.shared), ("_transaction", ClientCalls.transaction), ("_wait", ClientTask.wait),
        ("_notify", ClientTask.notify), ("_cancel", ClientTask.cancel),
    ]
}

/// An object's address, to pass between threads.
struct PythonObjectAddress: Sendable {
    let address: Int

    init(_ object: PythonObject) { address = Int(bitPattern: object) }

    /// The object, which lives as long as the process.
    var object: PythonObject { PythonObject(bitPattern: address) ?? skein_python._Py_NoneStruct }
}

/// A Swift function that can be passed to Python, often with a bound object.
///
/// Unchecked: the definition is created once, and Python reads it for the lifetime of the process.
struct PythonDefinition: @unchecked Sendable {
    private let definition: UnsafeMutablePointer<PyMethodDef>

    init(_ name: StaticString, _ function: @escaping PythonFunction) {
        self.init(UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self), function)
    }

    init(_ name: String, _ function: @escaping PythonFunction) {
        self.init(UnsafePointer(strdup(name)), function)
    }

    private init(_ name: UnsafePointer<CChar>, _ function: @escaping PythonFunction) {
        definition = .allocate(capacity: 1)
        definition.initialize(
            to: PyMethodDef(
                ml_name: name, ml_meth: unsafeBitCast(function, to: UnsafeMutableRawPointer.self),
                ml_flags: CInt(SKEIN_METH_FASTCALL), ml_doc: nil))
    }

    /// The function as an object, bound to another one.
    func make(self bound: PythonObject?) -> PythonObject? { PyCFunction_NewEx(definition, bound, nil) }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
