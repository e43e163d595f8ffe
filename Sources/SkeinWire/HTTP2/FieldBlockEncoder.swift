// From the head of a message to a header block: HPACK, lower-case names, and no field about the connection.

import NIOCore
import NIOHPACK

/// Packs the header blocks of one connection, in order, since each depends on those before.
struct FieldBlockEncoder {
    private var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
    // Of the fields that mostly change, only what repeats itself is worth a place in the table.
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

    /// Takes over the limit of the peer's decoder; more than the RFC's default is not used.
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

    /// Adds the fields of a section, but for those about the connection and those left out.
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

    /// What an attacker must not be able to guess from the size of a block (RFC 7541, section 7.1.3).
    private static func isSecret(_ name: String) -> Bool {
        switch name {
        case "authorization", "cookie", "set-cookie", "proxy-authorization": true
        default: false
        }
    }
}
