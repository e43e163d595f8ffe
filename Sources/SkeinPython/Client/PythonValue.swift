// Values between the client and Python: created where the response arrives, and converted to objects by the thread that
// waits for them.

import CSkeinPython
import NIOCore
import SkeinCore
import SkeinRedis
import SkeinSQL

/// A value that is not yet, or no longer, a Python object.
indirect enum PythonValue: Sendable {
    case none
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case text(String)
    case bytes(ByteBuffer)
    case list([PythonValue])
    case dictionary([(key: String, value: PythonValue)])
    case pairs([(PythonValue, PythonValue)])
    /// A value that Python creates from a string: a decimal number, a time, JSON.
    case special(String, String)

    // MARK: To Python

    /// The value as an object; a new reference.
    func object() throws(PythonError) -> PythonObject {
        switch self {
        case .none: return skein_py_none()
        case .bool(let value):
            let object = value ? skein_python._Py_TrueStruct : skein_python._Py_FalseStruct
            Py_IncRef(object)
            return object
        case .integer(let value): return try PythonReference(PyLong_FromLongLong(value)).release()
        case .double(let value): return try PythonReference(PyFloat_FromDouble(value)).release()
        case .text(let text): return try PythonReference(Python.text(text)).release()
        case .bytes(let bytes): return try PythonReference(Python.bytes(bytes)).release()
        case .list(let values):
            let list = try PythonReference(PyList_New(values.count))
            for (index, value) in values.enumerated() { PyList_SetItem(list.object, index, try value.object()) }
            return list.release()
        case .dictionary(let entries):
            let dictionary = try PythonReference(PyDict_New())
            for entry in entries { try dictionary.set(entry.key, new: try entry.value.object()) }
            return dictionary.release()
        case .pairs(let entries):
            let dictionary = try PythonReference(PyDict_New())
            for entry in entries {
                let key = try PythonReference(try entry.0.object())
                let value = try PythonReference(try entry.1.object())
                guard PyDict_SetItem(dictionary.object, key.object, value.object) == 0 else {
                    throw PythonError.taken()
                }
            }
            return dictionary.release()
        case .special(let kind, let text):
            guard let special = PythonModule.function(.special) else { return skein_py_none() }
            let kind = try PythonReference(Python.text(kind))
            let text = try PythonReference(Python.text(text))
            return try Python.call(special, kind, text).release()
        }
    }

    // MARK: From Python

    /// Reads an object: None, booleans, numbers, strings, bytes, lists and tuples of them, and pairs of a kind and a
    /// string for special values.
    /// - Returns: nil for any other object.
    init?(_ object: PythonObject) {
        let type = skein_py_type(object)
        if Python.isNone(object) {
            self = .none
        } else if type == skein_python.PyBool_Type {
            self = .bool(object == skein_python._Py_TrueStruct)
        } else if type == skein_python.PyLong_Type {
            let value = PyLong_AsLongLong(object)
            if PyErr_Occurred() != nil {
                PyErr_Clear()
                return nil
            }
            self = .integer(value)
        } else if type == skein_python.PyFloat_Type {
            self = .double(PyFloat_AsDouble(object))
        } else if type == skein_python.PyUnicode_Type {
            guard let text = Python.string(object) else { return nil }
            self = .text(text)
        } else if type == skein_python.PyTuple_Type {
            guard PyTuple_Size(object) == 2, let kind = PyTuple_GetItem(object, 0).flatMap({ Python.string($0) }),
                let text = PyTuple_GetItem(object, 1).flatMap({ Python.string($0) })
            else { return nil }
            self = .special(kind, text)
        } else if type == skein_python.PyList_Type {
            var values: [PythonValue] = []
            for index in 0..<PyList_Size(object) {
                guard let value = PyList_GetItem(object, index).flatMap({ PythonValue($0) }) else { return nil }
                values.append(value)
            }
            self = .list(values)
        } else if let bytes = Python.buffer(object) {
            self = .bytes(bytes)
        } else {
            return nil
        }
    }
}

extension PythonValue {
    /// A database value.
    init(_ value: SQLValue) {
        switch value {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .double(let value): self = .double(value)
        case .numeric(let text): self = .special("numeric", text)
        case .text(let text): self = .text(text)
        case .bytes(let bytes): self = .bytes(ByteBuffer(bytes: bytes))
        case .uuid(let uuid): self = .special("uuid", uuid.uuidString)
        case .timestamp(let time):
            self = .special(time.isZoned ? "timestamptz" : "timestamp", String(time.microseconds))
        case .date(let date): self = .special("date", "\(date)")
        case .time(let time): self = .special("time", "\(time)")
        case .interval(let interval): self = .text("\(interval)")
        case .json(let text): self = .special("json", text)
        case .array(let values): self = .list(values.map { PythonValue($0) })
        case .range(let range): self = .text("\(range)")
        case .ranges(let ranges): self = .list(ranges.map { .text("\($0)") })
        case .record(let values): self = .list(values.map { PythonValue($0) })
        case .literal(let text): self = .text(text)
        }
    }

    /// A parameter of a statement.
    var sqlValue: SQLValue {
        switch self {
        case .none, .pairs, .dictionary: .null
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .double(let value): .double(value)
        case .text(let text): .text(text)
        case .bytes(let bytes): .bytes(Array(bytes.readableBytesView))
        case .list(let values): .array(values.map(\.sqlValue))
        case .special("numeric", let text): .numeric(text)
        case .special("json", let text): .json(text)
        case .special("uuid", let text): SQLValue(uuid: text)
        case .special("timestamptz", let text): .timestamp(SQLTimestamp(microseconds: Int64(text) ?? 0, isZoned: true))
        case .special("timestamp", let text): .timestamp(SQLTimestamp(microseconds: Int64(text) ?? 0, isZoned: false))
        case .special(_, let text): .literal(text)
        }
    }

    /// A Redis value; a string if it is UTF-8, as most values are.
    init(_ value: RedisValue) {
        switch value {
        case .null: self = .none
        case .string(let bytes):
            self = String(validating: bytes.readableBytesView, as: UTF8.self).map { .text($0) } ?? .bytes(bytes)
        case .integer(let value): self = .integer(value)
        case .double(let value): self = .double(value)
        case .bool(let value): self = .bool(value)
        case .bigNumber(let digits): self = .special("integer", digits)
        case .array(let values), .set(let values): self = .list(values.map { PythonValue($0) })
        case .map(let entries): self = .pairs(entries.map { (PythonValue($0.key), PythonValue($0.value)) })
        case .error(let error): self = .text("\(error)")
        }
    }

    /// An argument of a command.
    var redisArgument: any RedisEncodable {
        switch self {
        case .integer(let value): Int(value)
        case .double(let value): value
        case .bool(let value): value ? 1 : 0
        case .bytes(let bytes): Array(bytes.readableBytesView)
        case .text(let text), .special(_, let text): text
        case .none, .list, .dictionary, .pairs: ""
        }
    }
}

extension SQLValue {
    fileprivate init(uuid text: String) {
        self = UUID(uuidString: text).map { .uuid($0) } ?? .text(text)
    }
}

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
