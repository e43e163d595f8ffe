// The scope of a connection (ASGI, "Connection Scope").

import CSkeinPython
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinWire

/// Makes scopes; used on the loop's thread.
struct ASGIScopes {
    private let words: ASGIWords
    /// The common entries of all scopes of one type, as dictionaries.
    private let http: PythonObject
    private let webSocket: PythonObject
    private var names = FieldNames(.lowercaseBytes)

    /// - Parameters:
    ///   - root: the path of the mount, decoded.
    ///   - state: set by the app's lifespan; copied for each scope.
    init(_ words: ASGIWords, root: String) throws(PythonError) {
        self.words = words
        http = try Self.base(
            "http", "2.3", root,
            ["http.response.early_hint", "http.response.pathsend", "http.response.trailers", "http.response.push"])
        webSocket = try Self.base("websocket", "2.4", root, ["websocket.http.response"])
    }

    private static func base(_ type: String, _ version: String, _ root: String, _ extensions: [String])
        throws(PythonError) -> PythonObject
    {
        let base = try PythonReference(PyDict_New())
        let versions = try PythonReference(PyDict_New())
        try versions.set("version", new: Python.text("3.0"))
        try versions.set("spec_version", new: Python.text(version))
        try base.set("type", new: PyUnicode_InternFromString(type))
        try base.set("asgi", versions.object)
        try base.set("http_version", new: PyUnicode_InternFromString("1.1"))
        try base.set("scheme", new: PyUnicode_InternFromString(type == "http" ? "http" : "ws"))
        try base.set("root_path", new: Python.text(root))
        try base.set("query_string", new: PyBytes_FromStringAndSize(nil, 0))
        let known = try PythonReference(PyDict_New())
        for name in extensions { try known.set(name, new: PyDict_New()) }
        try base.set("extensions", known.object)
        return base.release()
    }

    /// The scope of a request; a new reference.
    mutating func make(_ request: ServerRequest, _ facts: RequestFacts, state: PythonObject?) throws(PythonError)
        -> PythonReference
    {
        let isSocket = request.wantsWebSocket
        let scope = try PythonReference(PyDict_Copy(isSocket ? webSocket : http))
        let (head, dictionary) = (request.head, scope.object)
        func set(_ key: PythonObject, _ value: PythonObject?) {
            if let value { PyDict_SetItem(dictionary, key, value) }
        }
        func set(_ key: PythonObject, new value: PythonObject?) throws(PythonError) {
            let value = try PythonReference(value)
            set(key, value.object)
        }
        if head.version == .http2 { set(words.httpVersion, words.http2) }
        if head.version == .http1_0 { set(words.httpVersion, words.http10) }
        if facts.isSecure { set(words.scheme, isSocket ? words.wss : words.https) }
        if !isSocket {
            switch head.method {
            case .get: set(words.method, words.get)
            case .post: set(words.method, words.post)
            default: try set(words.method, new: Python.text(head.method.rawValue))
            }
        }
        let path = request.routedPath.withUnsafeReadableBytes { bytes -> (plain: PythonObject?, raw: PythonObject?) in
            let plain =
                bytes.contains(UInt8(ascii: "%"))
                ? Percent.lenientBytes(bytes).withUnsafeBytes(Self.utf8) : Self.utf8(bytes)
            return (plain, Python.bytes(bytes))
        }
        try set(words.path, new: path.plain)
        try set(words.rawPath, new: path.raw)
        let query = request.queryBytes
        if query.readableBytes > 0 { try set(words.queryString, new: Python.bytes(query)) }
        if let client = facts.client {
            try set(words.client, new: Self.pair(client, facts.clientPort ?? 0))
        } else {
            set(words.client, Python.none)
        }
        try set(words.server, new: Self.pair(facts.server, facts.serverPort))
        try set(words.headers, new: fields(head.headers))
        if let state { try set(words.state, new: PyDict_Copy(state)) }
        if isSocket {
            let offered = head.headers.values("Sec-WebSocket-Protocol").flatMap { $0.splitBytes(separator: ",") }
            let list = try PythonReference(PyList_New(0))
            for name in offered { try list.append(new: Python.text(String(name.trimmingBlanks()))) }
            set(words.subprotocols, list.object)
        }
        return scope
    }

    private static func utf8(_ bytes: UnsafeRawBufferPointer) -> PythonObject? {
        PyUnicode_DecodeUTF8(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, "replace")
    }

    private static func pair(_ host: String, _ port: Int) -> PythonObject? {
        guard let pair = PyTuple_New(2) else { return nil }
        PyTuple_SetItem(pair, 0, Python.text(host))
        PyTuple_SetItem(pair, 1, Python.integer(port))
        return pair
    }

    /// The fields as pairs of bytes, with names in lower case.
    private mutating func fields(_ headers: Headers) -> PythonObject? {
        guard let list = PyList_New(headers.fields.count) else { return nil }
        headers.bytes.withUnsafeReadableBytes { all in
            for (index, field) in headers.fields.enumerated() {
                let start = Int(field.name)
                let name = UnsafeRawBufferPointer(rebasing: all[start..<(start + Int(field.nameLength))])
                let value = UnsafeRawBufferPointer(
                    rebasing: all[Int(field.value)..<(Int(field.value) + Int(field.valueLength))])
                guard let pair = PyTuple_New(2), let (key, isNew) = names.key(name) else { return }
                if !isNew { Py_IncRef(key) }
                PyTuple_SetItem(pair, 0, key)
                PyTuple_SetItem(pair, 1, Python.bytes(value))
                PyList_SetItem(list, index, pair)
            }
        }
        return list
    }
}
