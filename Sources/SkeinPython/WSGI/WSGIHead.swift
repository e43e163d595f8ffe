// The head of a response as an app passes it to `start_response` (PEP 3333, "The start_response() Callable").

import CSkeinPython
import SkeinCore
import SkeinHTTP
import SkeinWire

/// A status and fields.
struct WSGIHead {
    let status: HTTPStatus
    private(set) var headers = Headers()
    /// The length that the app has declared.
    private(set) var contentLength: Int?

    /// Fields about the connection are set by the server (PEP 3333, "Other HTTP Features"); Connection is kept, for
    /// `close`.
    private static let ignored = ["keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]

    /// Reads a status and a list of fields.
    /// - Returns: nil with an exception set.
    init?(_ status: PythonObject, _ fields: PythonObject) {
        guard skein_py_type(status) == skein_python.PyUnicode_Type || Self.isText(status) else {
            _ = Python.raise(skein_python.PyExc_TypeError, "the status must be str, not \(Python.typeName(status))")
            return nil
        }
        guard let code = Self.code(status) else {
            let text = Python.string(status) ?? ""
            _ = Python.raise(
                skein_python.PyExc_ValueError,
                "\(text.debugDescription) is not a status; write three digits, a space and a reason: 200 OK")
            return nil
        }
        self.status = HTTPStatus(code)
        guard skein_py_type(fields) == skein_python.PyList_Type || PyObject_Size(fields) >= 0 else {
            PyErr_Clear()
            _ = Python.raise(skein_python.PyExc_TypeError, "the header fields must be a list of pairs")
            return nil
        }
        // Subclasses and tuples, which are rare, are converted to a list first.
        let isList = skein_py_type(fields) == skein_python.PyList_Type
        guard let list = isList ? fields : PySequence_List(fields) else { return nil }
        defer { if !isList { Py_DecRef(list) } }
        for index in 0..<PyList_Size(list) {
            guard let pair = PyList_GetItem(list, index), add(pair) else { return nil }
        }
        guard contentLength ?? 0 >= 0 else {
            _ = Python.raise(skein_python.PyExc_ValueError, "the Content-Length is not a number of bytes")
            return nil
        }
        if let problem = headers.problem {
            _ = Python.raise(
                skein_python.PyExc_ValueError,
                "the field \(problem.name.debugDescription) cannot be sent: names are tokens, values have no control characters"
            )
            return nil
        }
    }

    private static func isText(_ object: PythonObject) -> Bool {
        PyObject_IsInstance(object, skein_python.PyUnicode_Type) == 1
    }

    private static func code(_ status: PythonObject) -> Int? {
        var size = 0
        guard let text = PyUnicode_AsUTF8AndSize(status, &size) else {
            PyErr_Clear()
            return nil
        }
        let bytes = UnsafeRawBufferPointer(start: text, count: size)
        guard size == 3 || size > 3 && bytes[3] == UInt8(ascii: " ") else { return nil }
        var code = 0
        for byte in bytes.prefix(3) {
            guard Bytes.isDigit(byte) else { return nil }
            code = code * 10 + Int(byte - 0x30)
        }
        return (200...599).contains(code) ? code : nil
    }

    private mutating func add(_ pair: PythonObject) -> Bool {
        guard skein_py_type(pair) == skein_python.PyTuple_Type, PyTuple_Size(pair) == 2,
            let name = PyTuple_GetItem(pair, 0), let value = PyTuple_GetItem(pair, 1),
            Self.isText(name), Self.isText(value)
        else {
            _ = Python.raise(skein_python.PyExc_TypeError, "a header field must be a tuple of two str")
            return false
        }
        var size = 0
        guard let start = PyUnicode_AsUTF8AndSize(name, &size) else { return false }
        let nameText = String(decoding: UnsafeRawBufferPointer(start: start, count: size), as: UTF8.self)
        guard let bytes = PyUnicode_AsUTF8AndSize(value, &size) else { return false }
        let utf8 = UnsafeRawBufferPointer(start: bytes, count: size)
        if utf8.contains(where: { $0 >= 0x80 }) {
            // WSGI strings are bytes decoded as ISO-8859-1.
            guard let encoded = PyUnicode_AsLatin1String(value) else { return false }
            defer { Py_DecRef(encoded) }
            _ = Python.withBytes(encoded) { add(nameText, $0) }
        } else {
            add(nameText, utf8)
        }
        return true
    }

    private mutating func add(_ name: String, _ value: UnsafeRawBufferPointer) {
        if name.utf8.count == 14, name.equalsIgnoringCase("content-length") {
            contentLength = Int(String(decoding: value, as: UTF8.self)) ?? -1
            return
        }
        if Self.ignored.contains(where: { $0.utf8.count == name.utf8.count && name.equalsIgnoringCase($0) }) { return }
        headers.add(name, bytes: value)
    }
}
