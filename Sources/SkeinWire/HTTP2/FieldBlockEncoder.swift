// Encodes heads as header blocks: HPACK, lower-case names, no connection fields.

import NIOCore
import NIOHPACK

/// Encodes the header blocks of one connection, in order, since each depends on the previous ones.
struct FieldBlockEncoder {
    private var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
    // Fields that usually change are indexed in the table only if their values repeat.
    private var path = Repetition()
    private var date = Repetition()
    private var length = Repetition()

    private struct Repetition {
        var last = ""

        mutating func isRepeated(_ value: String) -> Bool {
            if last == value { return true }
            last = value
            return false
        }
    }

    /// Applies the table size of the peer's decoder; at most the RFC's default is used.
    mutating func limitTable(to size: Int) { try? encoder.setDynamicTableSize(min(size, 4096)) }

    mutating func begin() { try? encoder.beginEncoding(allocator: ByteBufferAllocator()) }

    mutating func end() -> ByteBuffer { (try? encoder.endEncoding()) ?? ByteBuffer() }

    /// Adds a field whose name is in lower case.
    mutating func add(_ name: String, _ value: String) { try? encoder.append(header: name, value: value) }

    mutating func add(path value: String) { add(":path", value, isIndexed: path.isRepeated(value)) }
    mutating func add(date value: String) { add("date", value, isIndexed: date.isRepeated(value)) }
    mutating func add(length value: Int) {
        let text = String(value)
        add("content-length", text, isIndexed: length.isRepeated(text))
    }

    private mutating func add(_ name: String, _ value: String, isIndexed: Bool) {
        if isIndexed { add(name, value) } else { try? encoder.appendNonIndexed(header: name, value: value) }
    }

    /// Adds the fields of a section, except connection fields and the omitted ones.
    mutating func add(_ headers: Headers, omitting omitted: KnownFields) {
        for index in headers.fields.indices {
            let known = headers.fields[index].known
            guard known.isDisjoint(with: omitted), known.isDisjoint(with: .aboutTheConnection) else { continue }
            let name = known.lowercaseName ?? headers.lowercaseName(at: index)
            let value = headers.value(at: index)
            if known == .te, value.lowercased() != "trailers" { continue }
            if Self.isSecret(name) {
                try? encoder.appendNeverIndexed(header: name, value: value)
            } else {
                add(name, value)
            }
        }
    }

    /// Secrets that must not be guessed from the size of a block (RFC 7541, section 7.1.3).
    private static func isSecret(_ name: String) -> Bool {
        switch name {
        case "authorization", "cookie", "set-cookie", "proxy-authorization": true
        default: false
        }
    }
}
