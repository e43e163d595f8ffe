// Names of files are bytes to the system, and need not be UTF-8. A path is text here, in which each byte that is no part of UTF-8
// stands as one character of a private range; characters of that range are taken apart in the same way, so that nothing has two names.

import SkeinCore
import SkeinHTTP

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Names of files between bytes and text.
enum FileName {
    /// U+10FF00, to which a byte is added.
    private static let escape: UInt32 = 0x10FF00

    /// The text of a name.
    static func text(_ bytes: some Collection<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: isEscape) {
            return text
        }
        var text = String.UnicodeScalarView()
        var decoder = UTF8()
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            var input = rest.makeIterator()
            if case .scalarValue(let scalar) = decoder.decode(&input), !isEscape(scalar) {
                text.append(scalar)
                rest = rest.dropFirst(UTF8.width(scalar))
            } else {
                text.append(Unicode.Scalar(escape + UInt32(rest.removeFirst())) ?? "?")
            }
            decoder = UTF8()
        }
        return String(text)
    }

    /// The bytes of a text.
    static func bytes(_ text: String) -> [UInt8] {
        guard text.unicodeScalars.contains(where: isEscape) else { return Array(text.utf8) }
        return text.unicodeScalars.flatMap { scalar in
            isEscape(scalar) ? [UInt8(scalar.value & 0xFF)] : Array(String(scalar).utf8)
        }
    }

    /// Calls with the bytes of a path as the system takes it.
    static func withPath<T>(_ path: String, _ body: (UnsafePointer<CChar>) throws -> T) rethrows -> T {
        // Nearly all paths are what they seem; the escapes begin with F4.
        guard path.utf8.contains(0xF4) else { return try path.withCString(body) }
        return try body(bytes(path).map { CChar(bitPattern: $0) } + [0])
    }

    /// The names in a folder, but for itself and the one above; nil when it cannot be read.
    static func all(in folder: String) -> [String]? {
        guard let stream = withPath(folder, opendir) else { return nil }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: UInt8.self, capacity: Int(NAME_MAX) + 1) { start in
                    text(UnsafeBufferPointer(start: start, count: strlen(start)))
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func isEscape(_ scalar: Unicode.Scalar) -> Bool {
        (escape + 0x80...escape + 0xFF).contains(scalar.value)
    }
}
