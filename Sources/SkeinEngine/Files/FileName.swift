// File names are bytes, and may be invalid UTF-8. A path is text here, with escapes for invalid bytes.

import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Converts file names between bytes and text.
enum FileName {
    /// Calls with the bytes of a path for a system call.
    static func withPath<T>(_ path: String, _ body: (UnsafePointer<CChar>) throws -> T) rethrows -> T {
        // Nearly all paths have no escapes, which begin with F4.
        guard path.utf8.contains(0xF4) else { return try path.withCString(body) }
        return try body(EscapedBytes.bytes(path).map { CChar(bitPattern: $0) } + [0])
    }

    /// The names in a folder, without `.` and `..`; nil when it cannot be read.
    static func all(in folder: String) -> [String]? {
        guard let stream = withPath(folder, opendir) else { return nil }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: UInt8.self, capacity: Int(NAME_MAX) + 1) { start in
                    EscapedBytes.text(UnsafeBufferPointer(start: start, count: strlen(start)))
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
