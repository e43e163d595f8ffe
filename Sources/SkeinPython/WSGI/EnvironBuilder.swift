// The environ of a request (PEP 3333, "environ Variables"), from the bytes of its head.

import CSkeinPython
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinWire

/// The environ's facts about a request and its connection; recorded on the connection's loop.
struct RequestFacts: Sendable {
    let isSecure: Bool
    let client: String?
    let clientPort: Int?
    let server: String
    let serverPort: Int
    let user: String?

    init(_ request: ServerRequest) {
        isSecure = request.isSecure
        client = request.clientAddress
        // The port of a proxy is not the client's.
        clientPort = client == request.peerHost ? request.peerPort : nil
        user = request.user
        let local = request.localEnd
        server = local.host ?? request.host ?? "localhost"
        serverPort = local.port ?? (isSecure ? 443 : 80)
    }
}

/// Creates environs. One for each thread; used with the interpreter's lock.
struct EnvironBuilder {
    private var names = FieldNames(.environ)
    private let keys = Keys()

    private struct Keys {
        let method = Python.word("REQUEST_METHOD")
        let scriptName = Python.word("SCRIPT_NAME")
        let pathInfo = Python.word("PATH_INFO")
        let query = Python.word("QUERY_STRING")
        let requestURI = Python.word("REQUEST_URI")
        let rawURI = Python.word("RAW_URI")
        let contentType = Python.word("CONTENT_TYPE")
        let contentLength = Python.word("CONTENT_LENGTH")
        let serverName = Python.word("SERVER_NAME")
        let serverPort = Python.word("SERVER_PORT")
        let serverProtocol = Python.word("SERVER_PROTOCOL")
        let remoteAddress = Python.word("REMOTE_ADDR")
        let remotePort = Python.word("REMOTE_PORT")
        let remoteUser = Python.word("REMOTE_USER")
        let scheme = Python.word("wsgi.url_scheme")
        let input = Python.word("wsgi.input")
        let get = Python.word("GET")
        let post = Python.word("POST")
        let https = Python.word("https")
        let http2 = Python.word("HTTP/2")
        let http10 = Python.word("HTTP/1.0")
        let empty = Python.word("")
    }

    /// The common entries of all requests to an app; a new reference.
    /// - Parameter root: the path of the mount, decoded.
    static func base(root: String, isMultiprocess: Bool) throws(PythonError) -> PythonReference {
        let base = try PythonReference(PyDict_New())
        let version = try PythonReference(PyTuple_New(2))
        PyTuple_SetItem(version.object, 0, Python.integer(1))
        PyTuple_SetItem(version.object, 1, Python.integer(0))
        try base.set("wsgi.version", version.object)
        try base.set("wsgi.multithread", skein_python._Py_TrueStruct)
        try base.set("wsgi.multiprocess", isMultiprocess ? skein_python._Py_TrueStruct : skein_python._Py_FalseStruct)
        try base.set("wsgi.run_once", skein_python._Py_FalseStruct)
        try base.set("wsgi.input_terminated", skein_python._Py_TrueStruct)
        for (key, name) in [
            ("wsgi.errors", PythonModule.Name.errors), ("wsgi.file_wrapper", .fileWrapper), ("wsgi.input", .emptyInput),
        ] {
            if let object = PythonModule.function(name) { try base.set(key, object) }
        }
        for (key, text) in [
            ("wsgi.url_scheme", "http"), ("SERVER_SOFTWARE", "skein"), ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("QUERY_STRING", ""),
        ] { try base.set(key, new: Python.text(text)) }
        try base.set("SCRIPT_NAME", new: Array(root.utf8).withUnsafeBytes { Python.latin1($0) })
        return base
    }

    /// The environ of a request; a new reference.
    mutating func build(
        _ request: ServerRequest, _ facts: RequestFacts, base: PythonObject, input: PythonObject?, contentLength: Int?
    ) throws(PythonError) -> PythonReference {
        let environ = try PythonReference(PyDict_Copy(base))
        let dictionary = environ.object
        let head = request.head
        switch head.method {
        case .get: PyDict_SetItem(dictionary, keys.method, keys.get)
        case .post: PyDict_SetItem(dictionary, keys.method, keys.post)
        default: try set(dictionary, keys.method, Python.text(head.method.rawValue))
        }
        if head.version == .http2 { PyDict_SetItem(dictionary, keys.serverProtocol, keys.http2) }
        if head.version == .http1_0 { PyDict_SetItem(dictionary, keys.serverProtocol, keys.http10) }
        if facts.isSecure { PyDict_SetItem(dictionary, keys.scheme, keys.https) }
        let path = request.routedPath.withUnsafeReadableBytes { bytes in
            Self.decoded(UnsafeRawBufferPointer(rebasing: bytes[request.localPathStart...]))
        }
        try set(dictionary, keys.pathInfo, path)
        let query = request.queryBytes
        if query.readableBytes > 0 {
            try set(dictionary, keys.query, query.withUnsafeReadableBytes { Python.latin1($0) })
        }
        let target = try PythonReference(head.targetBytes.withUnsafeReadableBytes { Python.latin1($0) })
        PyDict_SetItem(dictionary, keys.requestURI, target.object)
        PyDict_SetItem(dictionary, keys.rawURI, target.object)
        try set(dictionary, keys.serverName, Python.text(facts.server))
        try set(dictionary, keys.serverPort, Python.text(String(facts.serverPort)))
        if let client = facts.client {
            try set(dictionary, keys.remoteAddress, Python.text(client))
        } else {
            PyDict_SetItem(dictionary, keys.remoteAddress, keys.empty)
        }
        if let port = facts.clientPort { try set(dictionary, keys.remotePort, Python.text(String(port))) }
        if let user = facts.user { try set(dictionary, keys.remoteUser, Python.text(user)) }
        if let input { PyDict_SetItem(dictionary, keys.input, input) }
        try addFields(head.headers, to: dictionary, keys)
        // Chunked content has a length now.
        if let contentLength, !head.headers.known.contains(.contentLength) {
            try set(dictionary, keys.contentLength, Python.text(String(contentLength)))
        }
        return environ
    }

    private mutating func addFields(_ headers: Headers, to dictionary: PythonObject, _ keys: Keys) throws(PythonError) {
        var failure: PythonError?
        headers.bytes.withUnsafeReadableBytes { all in
            for field in headers.fields {
                let start = Int(field.name)
                let name = UnsafeRawBufferPointer(rebasing: all[start..<(start + Int(field.nameLength))])
                let value = UnsafeRawBufferPointer(
                    rebasing: all[Int(field.value)..<(Int(field.value) + Int(field.valueLength))])
                do throws(PythonError) {
                    switch field.known {
                    case .contentType: try set(dictionary, keys.contentType, Python.latin1(value))
                    case .contentLength: try set(dictionary, keys.contentLength, Python.latin1(value))
                    case .transferEncoding: break  // the content is all here
                    default: try add(name, value, to: dictionary)
                    }
                } catch {
                    failure = failure ?? error
                }
            }
        }
        if let failure { throw failure }
    }

    private mutating func add(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, to dictionary: PythonObject
    )
        throws(PythonError)
    {
        // `X_User` and `X-User` would be one variable, and a client could write what only a proxy may; `Proxy` would be HTTP_PROXY.
        if name.contains(UInt8(ascii: "_")) || Bytes.equal(name, 0, name.count, lowercase: "proxy") { return }
        guard let (key, isNew) = names.key(name) else { throw PythonError.taken() }
        defer { if isNew { Py_DecRef(key) } }
        let text = try PythonReference(Python.latin1(value))
        guard let known = PyDict_GetItemWithError(dictionary, key) else {
            PyDict_SetItem(dictionary, key, text.object)
            return
        }
        // Field lines of one name are one list (RFC 9110, section 5.3), and pairs of cookies (RFC 9113, section 8.2.3).
        let isCookie = Bytes.equal(name, 0, name.count, lowercase: "cookie")
        let joined = [Python.string(known) ?? "", isCookie ? "; " : ",", Python.string(text.object) ?? ""].joined()
        try set(dictionary, key, Python.text(joined))
    }

    private func set(_ dictionary: PythonObject, _ key: PythonObject, _ value: PythonObject?) throws(PythonError) {
        let value = try PythonReference(value)
        PyDict_SetItem(dictionary, key, value.object)
    }

    /// The bytes of a path without percent-encoding, as the latin-1 string that WSGI requires.
    private static func decoded(_ path: UnsafeRawBufferPointer) -> PythonObject? {
        guard path.contains(UInt8(ascii: "%")) else { return Python.latin1(path) }
        return Percent.lenientBytes(path).withUnsafeBytes { Python.latin1($0) }
    }

    func drop() { names.drop() }
}

extension PythonReference {
    /// Sets a value of a dictionary.
    func set(_ key: String, _ value: PythonObject) throws(PythonError) {
        guard PyDict_SetItemString(object, key, value) == 0 else { throw PythonError.taken() }
    }

    /// Sets a new value of a dictionary, whose reference is taken over.
    func set(_ key: String, new value: PythonObject?) throws(PythonError) {
        let value = try PythonReference(value)
        try set(key, value.object)
    }

    /// Appends a new item to a list, whose reference is taken over.
    func append(new item: PythonObject?) throws(PythonError) {
        let item = try PythonReference(item)
        guard PyList_Append(object, item.object) == 0 else { throw PythonError.taken() }
    }
}
