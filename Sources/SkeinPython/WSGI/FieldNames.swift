// The names of header fields as Python objects, created once for each name.

import CSkeinPython
import SkeinCore

/// Names of fields as objects. One for each thread; used with the interpreter's lock.
struct FieldNames {
    enum Form {
        /// `HTTP_ACCEPT_LANGUAGE`, for a WSGI environ.
        case environ
        /// `b"accept-language"`, for an ASGI scope.
        case lowercaseBytes
    }

    /// The maximum length of cached names, and their maximum number.
    private static let longest = 64
    private static let places = 512

    private struct Place {
        var name: [UInt8] = []
        var key: PythonObject
    }

    private var known: [Place?] = Array(repeating: nil, count: places)
    private var count = 0
    private let form: Form

    init(_ form: Form) { self.form = form }

    /// The key of a field: a borrowed reference, or a new one if it is not cached.
    mutating func key(_ name: UnsafeRawBufferPointer) -> (key: PythonObject, isNew: Bool)? {
        var hash: UInt32 = 2_166_136_261
        for byte in name { hash = (hash ^ UInt32(byte | 0x20)) &* 16_777_619 }
        var place = Int(hash) & (Self.places - 1)
        while let found = known[place] {
            if found.name.count == name.count, Self.isEqual(found.name, name) { return (found.key, false) }
            place = (place + 1) & (Self.places - 1)
        }
        guard let key = make(name) else { return nil }
        // A client may send any names; the first ones are those that matter.
        guard name.count <= Self.longest, count < Self.places / 2 else { return (key, true) }
        count += 1
        known[place] = Place(name: name.map { Bytes.lowercased($0) }, key: key)
        return (key, false)
    }

    private static func isEqual(_ lowercase: [UInt8], _ name: UnsafeRawBufferPointer) -> Bool {
        for (index, byte) in lowercase.enumerated() where Bytes.lowercased(name[index]) != byte { return false }
        return true
    }

    private func make(_ name: UnsafeRawBufferPointer) -> PythonObject? {
        if form == .lowercaseBytes { return name.map { Bytes.lowercased($0) }.withUnsafeBytes { Python.bytes($0) } }
        var text = Array("HTTP_".utf8)
        for byte in name {
            text.append(
                byte == UInt8(ascii: "-") ? UInt8(ascii: "_") : (0x61...0x7A).contains(byte) ? byte & 0xDF : byte)
        }
        return text.withUnsafeBytes { Python.latin1($0) }
    }

    func drop() { for place in known { if let place { Py_DecRef(place.key) } } }
}
