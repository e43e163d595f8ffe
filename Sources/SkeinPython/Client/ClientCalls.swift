// Operations that the module `skein` starts for apps: requests, statements, commands, and shared state.

import CSkeinPython
import NIOCore
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinPostgres
import SkeinRedis
import SkeinSQL
import SkeinSQLite

enum ClientCalls {
    /// The request on whose behalf Python calls: that of the coroutine, or of the thread.
    private static func request(_ own: PythonObject) -> ServerRequest? {
        if !Python.isNone(own) { return ASGIExchange.exchange(of: own)?.request }
        guard let current = skein_python_current() else { return nil }
        return Unmanaged<WSGICall>.fromOpaque(current).takeUnretainedValue().request
    }

    /// The client for a call: that of the request, which passes its transaction to back ends; or the server's.
    /// - Returns: nil with an exception set.
    static func client(_ own: PythonObject) -> (SkeinClient, Shard)? {
        if let request = request(own) { return (request.skein, request.shard) }
        guard let client = PythonHosts.client else {
            _ = Python.raise(
                skein_python.PyExc_RuntimeError,
                "the client is available after the server has started, not while the app is imported")
            return nil
        }
        return (client, client.shards[0])
    }

    static func started(_ task: ClientTask) -> PythonObject? { task.object() }

    private static func timeout(_ object: PythonObject) -> Duration? {
        guard !Python.isNone(object) else { return nil }
        let seconds = PyFloat_AsDouble(object)
        return seconds.isFinite && seconds < 1e6 ? .seconds(max(0, seconds)) : nil
    }

    /// `_http(current, method, url, headers, body, timeout, is_for_all)`
    static let http: PythonFunction = { _, arguments, count in
        guard count == 7, let arguments, let (client, shard) = client(arguments[0]),
            let method = Python.string(arguments[1]), let url = Python.string(arguments[2])
        else {
            return PyErr_Occurred() == nil
                ? Python.raise(skein_python.PyExc_TypeError, "the method and the URL must be str") : nil
        }
        var headers = Headers()
        for index in 0..<max(0, PyList_Size(arguments[3])) {
            guard let pair = PyList_GetItem(arguments[3], index), PyTuple_Size(pair) == 2,
                let name = PyTuple_GetItem(pair, 0).flatMap({ Python.string($0) }),
                let value = PyTuple_GetItem(pair, 1).flatMap({ Python.string($0) })
            else { return Python.raise(skein_python.PyExc_TypeError, "header fields must be pairs of str") }
            headers.add(name, value)
        }
        let body: HTTPBody =
            Python.isNone(arguments[4]) ? .none : Python.buffer(arguments[4]).map { .bytes($0) } ?? .none
        let timeout = timeout(arguments[5])
        if PyErr_Occurred() != nil { return nil }
        let isForAll = PyObject_IsTrue(arguments[6]) == 1
        let verb = HTTPMethod(rawValue: method)
        let all = headers
        return started(
            ClientTask.start(on: shard) {
                guard isForAll else {
                    return ClientResult(
                        await client.request(verb, url, body: body, headers: all, timeout: timeout).dispatch())
                }
                let slash = url.firstByte("/") ?? url.endIndex
                let members = try client.all(String(url[..<slash]))
                let path = slash == url.endIndex ? "/" : String(url[slash...])
                let responses = await members.request(verb, path, body: body, headers: all, timeout: timeout).dispatch()
                let results = responses.map { ClientResult($0) }
                return ClientResult(
                    code: results.map(\.code).max() ?? 200, reason: "",
                    content: .list(
                        results.map { result in
                            .list([
                                .integer(Int64(result.code)), .text(result.reason),
                                .list(result.headers.map { .list([.text($0.0), .text($0.1)]) }), result.content,
                                .bool(result.isFailure),
                            ])
                        }))
            })
    }

    /// `_sql(current, address, statement, parameters, timeout)`
    static let sql: PythonFunction = { _, arguments, count in
        guard count == 5, let arguments, let (client, shard) = client(arguments[0]),
            let address = Python.string(arguments[1]), let text = Python.string(arguments[2])
        else {
            return PyErr_Occurred() == nil ? Python.raise(skein_python.PyExc_TypeError, "a statement must be str") : nil
        }
        var values: [SQLValue] = []
        for index in 0..<max(0, PyList_Size(arguments[3])) {
            guard let value = PyList_GetItem(arguments[3], index).flatMap({ PythonValue($0) }) else {
                return Python.raise(
                    skein_python.PyExc_TypeError, "parameter \(index + 1) of the statement has an unsupported type")
            }
            values.append(value.sqlValue)
        }
        let timeout = timeout(arguments[4])
        if PyErr_Occurred() != nil { return nil }
        let parameters = values
        return started(
            ClientTask.start(on: shard) {
                let statement = parameters.isEmpty ? SQL(unsafe: text) : SQL(unsafe: text, parameters: parameters)
                let isSQLite =
                    client.alias(address).map { $0.scheme == .sqlite }
                    ?? (address.hasBytePrefix("sqlite:") || !address.containsBytes("://"))
                let response =
                    isSQLite
                    ? await (try client.sqlite(address)).execute(statement, timeout: timeout).dispatch()
                    : await (try client.postgres(address)).execute(statement, timeout: timeout).dispatch()
                return ClientResult(response)
            })
    }

    /// `_redis(current, address, arguments)`
    static let redis: PythonFunction = { _, arguments, count in
        guard count == 3, let arguments, let (client, shard) = client(arguments[0]),
            let address = Python.string(arguments[1]), case .list(let words)? = PythonValue(arguments[2])
        else {
            return PyErr_Occurred() == nil
                ? Python.raise(skein_python.PyExc_TypeError, "arguments of a command must be str, bytes or numbers")
                : nil
        }
        guard case .text(let name)? = words.first else {
            return Python.raise(skein_python.PyExc_TypeError, "a command needs a name")
        }
        return started(
            ClientTask.start(on: shard) {
                let command = RedisCommand(name, words.dropFirst().map(\.redisArgument))
                let response = await (try client.redis(address)).send(command).dispatch()
                var result = ClientResult(code: response.statusCode, reason: response.reason)
                result.isFailure = response.failure != nil
                result.content = PythonValue(response.content)
                return result
            })
    }

    /// `_shared(current, operation, name, number)`
    static let shared: PythonFunction = { _, arguments, count in
        guard count == 4, let arguments, let operation = Python.string(arguments[1]),
            let name = Python.string(arguments[2])
        else { return Python.raise(skein_python.PyExc_TypeError, "a state needs a name") }
        guard let request = request(arguments[0]) else {
            return Python.raise(skein_python.PyExc_RuntimeError, "states are available only while a request is handled")
        }
        let number = Python.isNone(arguments[3]) ? 0 : Int(PyLong_AsLongLong(arguments[3]))
        if PyErr_Occurred() != nil { return nil }
        let shared = request.shared.unchecked
        return started(
            ClientTask.start(on: request.shard) {
                var value = PythonValue.none
                switch operation {
                case "get": value = .integer(Int64(try await shared.value(name)))
                case "set": try await shared.set(name, to: number)
                case "add": value = .integer(Int64(try await shared.add(number, to: name)))
                case "touch": try await shared.touch(name)
                default: value = try await shared.lastChange(name).map { .double($0) } ?? .none
                }
                return ClientResult(code: 200, reason: "OK", content: value)
            })
    }

    /// `_transaction(current)`: the identities of the request's transaction; None without a request.
    static let transaction: PythonFunction = { _, arguments, count in
        guard count == 1, let arguments, let request = request(arguments[0]) else { return skein_py_none() }
        let transaction = request.transaction
        do throws(PythonError) {
            return try PythonValue.list([.text(transaction.globalID), .integer(Int64(transaction.localID))]).object()
        } catch {
            return Python.raise(skein_python.PyExc_RuntimeError, error.message)
        }
    }
}

extension ClientResult {
    init(_ response: HTTPResponse) {
        code = response.statusCode
        reason = response.failure?.message ?? response.reason
        headers = response.headers.map { ($0.name, $0.value) }
        content = .bytes(response.content)
        isFailure = response.failure != nil
    }

    init(_ response: SQLResponse) {
        code = response.statusCode
        reason = response.failure?.message ?? response.reason
        isFailure = response.failure != nil
        let columns = response.content.columns
        content = .list(
            response.content.map { row in
                .dictionary(zip(columns, row.values).map { (key: $0, value: PythonValue($1)) })
            })
        headers = [("affected", String(response.affected))]
    }
}
