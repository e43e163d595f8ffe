// The strings of ASGI's messages, created once.

import CSkeinPython

/// Keys and values that occur in every message; used on the loop's thread.
struct ASGIWords {
    let type = Python.word("type")
    let httpRequest = Python.word("http.request")
    let httpDisconnect = Python.word("http.disconnect")
    let body = Python.word("body")
    let moreBody = Python.word("more_body")
    let status = Python.word("status")
    let headers = Python.word("headers")
    let trailers = Python.word("trailers")
    let moreTrailers = Python.word("more_trailers")
    let path = Python.word("path")
    let rawPath = Python.word("raw_path")
    let rootPath = Python.word("root_path")
    let queryString = Python.word("query_string")
    let method = Python.word("method")
    let scheme = Python.word("scheme")
    let httpVersion = Python.word("http_version")
    let client = Python.word("client")
    let server = Python.word("server")
    let state = Python.word("state")
    let subprotocols = Python.word("subprotocols")
    let get = Python.word("GET")
    let post = Python.word("POST")
    let http2 = Python.word("2")
    let http10 = Python.word("1.0")
    let https = Python.word("https")
    let wss = Python.word("wss")
    let emptyBytes = PyBytes_FromStringAndSize(nil, 0) ?? Python.none
    let links = Python.word("links")
    let text = Python.word("text")
    let bytes = Python.word("bytes")
    let code = Python.word("code")
    let reason = Python.word("reason")
    let subprotocol = Python.word("subprotocol")
    let connect = Python.word("websocket.connect")
    let received = Python.word("websocket.receive")
    let disconnect = Python.word("websocket.disconnect")
    /// The return value of `send()` when the app does not have to wait.
    let done: PythonObject

    init() throws(PythonError) {
        guard let done = skein_py_ready(nil) else { throw PythonError.taken() }
        self.done = done
    }
}

/// A message under construction.
struct ASGIMessage: ~Copyable {
    private let dictionary: PythonReference

    init(_ type: PythonObject, _ words: ASGIWords) throws(PythonError) {
        dictionary = try PythonReference(PyDict_New())
        set(words.type, type)
    }

    /// Sets a value that has another owner.
    func set(_ key: PythonObject, _ value: PythonObject?) {
        guard let value else { return }
        PyDict_SetItem(dictionary.object, key, value)
    }

    /// Sets a new value, whose reference is taken over.
    func set(_ key: PythonObject, new value: PythonObject?) throws(PythonError) {
        let value = try PythonReference(value)
        set(key, value.object)
    }

    consuming func release() -> PythonObject { dictionary.release() }
}

/// A message from an app.
struct ASGIEvent {
    private let dictionary: PythonObject

    /// - Returns: nil if it is not a message, with an exception set.
    init?(_ object: PythonObject) {
        guard
            skein_py_type(object) == skein_python.PyDict_Type
                || PyObject_IsInstance(object, skein_python.PyDict_Type) == 1
        else {
            _ = Python.raise(skein_python.PyExc_TypeError, "a message must be a dict, not \(Python.typeName(object))")
            return nil
        }
        dictionary = object
    }

    /// A value, borrowed; nil if there is none, and for None.
    func value(_ key: PythonObject) -> PythonObject? {
        guard let value = PyDict_GetItemWithError(dictionary, key), !Python.isNone(value) else { return nil }
        return value
    }

    func string(_ key: PythonObject) -> String? { value(key).flatMap { Python.string($0) } }
    func flag(_ key: PythonObject) -> Bool { value(key).map { PyObject_IsTrue($0) == 1 } ?? false }

    func integer(_ key: PythonObject) -> Int? {
        guard let value = value(key) else { return nil }
        let number = Int(PyLong_AsLongLong(value))
        if PyErr_Occurred() != nil {
            PyErr_Clear()
            return nil
        }
        return number
    }

    /// Calls a closure with the bytes of the type.
    func withType<Result>(_ key: PythonObject, _ work: (StaticStringMatch) -> Result) -> Result? {
        guard let value = value(key) else { return nil }
        var size = 0
        guard let start = PyUnicode_AsUTF8AndSize(value, &size) else {
            PyErr_Clear()
            return nil
        }
        return work(StaticStringMatch(bytes: UnsafeRawBufferPointer(start: start, count: size)))
    }
}

/// Bytes that are compared with constant strings.
struct StaticStringMatch {
    let bytes: UnsafeRawBufferPointer

    static func ~= (word: StaticString, match: StaticStringMatch) -> Bool {
        word.utf8CodeUnitCount == match.bytes.count
            && word.withUTF8Buffer { match.bytes.elementsEqual($0) }
    }
}
