// References to Python objects, owned by Swift values. All of this is called by a thread that holds the interpreter's
// lock.

import CSkeinPython
import NIOCore
import SkeinCore

/// A Python object that has another owner.
typealias PythonObject = OpaquePointer

/// A reference that is released when the value is destroyed.
struct PythonReference: ~Copyable {
    let object: PythonObject

    /// Takes over a new reference, as most functions of Python return it.
    /// - Throws: the exception that Python has raised instead.
    init(_ new: PythonObject?) throws(PythonError) {
        guard let new else { throw PythonError.taken() }
        object = new
    }

    /// A further reference to an object.
    init(to object: PythonObject) {
        Py_IncRef(object)
        self.object = object
    }

    deinit { Py_DecRef(object) }

    /// Transfers the reference to the caller.
    consuming func release() -> PythonObject {
        let object = object
        discard self
        return object
    }
}

/// Constants and conversions.
enum Python {
    static var none: PythonObject { skein_python._Py_NoneStruct }

    static func isNone(_ object: PythonObject) -> Bool { object == skein_python._Py_NoneStruct }

    /// A frequent string, kept for the lifetime of the process.
    static func word(_ text: String) -> PythonObject { PyUnicode_InternFromString(text) ?? none }

    /// A `str` from ISO-8859-1, as WSGI requires.
    static func latin1(_ bytes: UnsafeRawBufferPointer) -> PythonObject? {
        PyUnicode_DecodeLatin1(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, nil)
    }

    static func text(_ text: String) -> PythonObject? {
        var text = text
        return text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { PyUnicode_DecodeUTF8($0.baseAddress, $0.count, "replace") }
        }
    }

    /// A `str` from UTF-8.
    static func text(_ utf8: ByteBuffer) -> PythonObject? {
        utf8.withUnsafeReadableBytes { bytes in
            PyUnicode_DecodeUTF8(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, "replace")
        }
    }

    static func bytes(_ bytes: UnsafeRawBufferPointer) -> PythonObject? {
        PyBytes_FromStringAndSize(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }

    static func bytes(_ buffer: ByteBuffer) -> PythonObject? { buffer.withUnsafeReadableBytes { bytes($0) } }

    static func integer(_ value: Int) -> PythonObject? { PyLong_FromLongLong(Int64(value)) }

    /// A Python string as a Swift string; unpaired surrogates become question marks.
    static func string(_ object: PythonObject) -> String? {
        var size = 0
        if let utf8 = PyUnicode_AsUTF8AndSize(object, &size) {
            return String(decoding: UnsafeRawBufferPointer(start: utf8, count: size), as: UTF8.self)
        }
        PyErr_Clear()
        guard let encoded = try? PythonReference(PyUnicode_AsEncodedString(object, "utf-8", "replace")) else {
            return nil
        }
        return withBytes(encoded.object) { String(decoding: $0, as: UTF8.self) }
    }

    /// The bytes of a `bytes` object; nil for anything else.
    static func withBytes<Result>(_ object: PythonObject, _ work: (UnsafeRawBufferPointer) -> Result) -> Result? {
        guard skein_py_type(object) == skein_python.PyBytes_Type else {
            return withBuffer(object, work)
        }
        var start: UnsafeMutablePointer<CChar>?
        var size = 0
        guard PyBytes_AsStringAndSize(object, &start, &size) == 0 else {
            PyErr_Clear()
            return nil
        }
        return work(UnsafeRawBufferPointer(start: start, count: size))
    }

    /// The bytes of a `bytearray`, a `memoryview` or a subclass of `bytes`.
    private static func withBuffer<Result>(
        _ object: PythonObject, _ work: (UnsafeRawBufferPointer) -> Result
    ) -> Result? {
        var view = Py_buffer()
        guard PyObject_GetBuffer(object, &view, 0) == 0 else {
            PyErr_Clear()
            return nil
        }
        defer { PyBuffer_Release(&view) }
        return work(UnsafeRawBufferPointer(start: view.buf, count: view.len))
    }

    static func buffer(_ object: PythonObject) -> ByteBuffer? { withBytes(object) { ByteBuffer(bytes: $0) } }

    /// Raises an exception; for functions that are called by Python.
    static func raise(_ type: PythonObject, _ message: String) -> PythonObject? {
        PyErr_SetString(type, message)
        return nil
    }

    /// Calls an object.
    static func call(_ callable: PythonObject, _ arguments: [PythonObject] = []) throws(PythonError) -> PythonReference
    {
        try PythonReference(skein_py_call(callable, arguments, arguments.count))
    }

    /// Calls an object with one argument.
    static func call(_ callable: PythonObject, _ argument: borrowing PythonReference) throws(PythonError)
        -> PythonReference
    {
        var argument = argument.object
        return try PythonReference(skein_py_call(callable, &argument, 1))
    }

    /// Calls an object with two arguments.
    static func call(
        _ callable: PythonObject, _ first: borrowing PythonReference, _ second: borrowing PythonReference
    ) throws(PythonError) -> PythonReference {
        let arguments = (first.object, second.object)
        return try PythonReference(
            withUnsafeBytes(of: arguments) {
                skein_py_call(callable, $0.assumingMemoryBound(to: PythonObject.self).baseAddress, 2)
            })
    }

    /// The name of an object's type.
    static func typeName(_ object: PythonObject) -> String {
        guard let name = try? PythonReference(PyObject_GetAttrString(skein_py_type(object), "__name__")) else {
            PyErr_Clear()
            return "object"
        }
        return string(name.object) ?? "object"
    }
}

/// An exception that Python has raised, as text: the traceback as Python would have printed it.
struct PythonError: Error, CustomStringConvertible {
    /// The last line: `ValueError: no such thing`.
    let message: String
    let traceback: String

    var description: String { traceback }

    /// Takes the exception that is set on this thread.
    static func taken() -> PythonError {
        var type: PythonObject?
        var value: PythonObject?
        var trace: PythonObject?
        PyErr_Fetch(&type, &value, &trace)
        guard type != nil else { return PythonError(message: "unknown error", traceback: "unknown error") }
        PyErr_NormalizeException(&type, &value, &trace)
        defer {
            Py_DecRef(type)
            Py_DecRef(value)
            Py_DecRef(trace)
        }
        guard let value else { return PythonError(message: "unknown error", traceback: "unknown error") }
        if let trace { _ = PyException_SetTraceback(value, trace) }
        return PythonError(value)
    }

    /// An exception that was caught.
    init(_ exception: PythonObject) {
        if let text = PythonInterpreter.describe(exception) {
            traceback = text
            message = text.splitBytes(separator: "\n").last.map(String.init) ?? text
        } else {
            PyErr_Clear()
            let text = PyObject_Str(exception)
            defer { Py_DecRef(text) }
            message = "\(Python.typeName(exception)): \(text.flatMap { Python.string($0) } ?? "")"
            traceback = message
        }
    }

    init(message: String, traceback: String) {
        self.message = message
        self.traceback = traceback
    }
}
