// Range requests (RFC 9110, section 14).

import SkeinCore
import SkeinWire

/// The ranges of a request.
package enum ByteRanges: Hashable {
    /// No valid range: the whole is sent.
    case whole
    /// The ranges, in the order of the request.
    case parts([Range<Int>])
    /// 416: none of them overlaps the resource.
    case unsatisfiable

    /// More ranges than a legitimate client needs are ignored (section 17.15).
    private static let maximum = 32

    /// Parses `bytes=0-99,200-,-50`. A malformed field is ignored (section 14.2).
    package init(_ field: String, length: Int) {
        let parts = field.splitBytes(separator: "=", maxSplits: 1)
        guard parts.count == 2, parts[0].trimmingBlanks().lowercased() == "bytes" else {
            self = .whole
            return
        }
        let specs = parts[1].splitBytes(separator: ",")
        guard (1...Self.maximum).contains(specs.count) else {
            self = .whole
            return
        }
        var ranges: [Range<Int>] = []
        for spec in specs {
            switch Self.range(spec.trimmingBlanks(), length) {
            case .none:
                self = .whole
                return
            case .some(let range): if let range { ranges.append(range) }
            }
        }
        // Overlapping ranges are refused: they let a client make the server do unbounded work for few bytes (RFC 9110, section 14.2).
        let isGreedy = ranges.reduce(0) { $0 + $1.count } > length + (length >> 1) && ranges.count > 1
        self = ranges.isEmpty ? .unsatisfiable : isGreedy ? .whole : .parts(ranges)
    }

    /// One range; the inner nil is one outside of the resource, the outer nil a malformed one.
    private static func range(_ text: Substring, _ length: Int) -> Range<Int>?? {
        let ends = text.splitBytes(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        func number(_ text: Substring) -> Int? {
            text.utf8.allSatisfy(Bytes.isDigit) && !text.isEmpty ? Int(text) ?? .max : nil
        }
        guard ends.count == 2 else { return .none }
        if ends[0].isEmpty {
            guard let count = number(ends[1]) else { return .none }
            return count == 0 || length == 0 ? .some(nil) : max(0, length - count)..<length
        }
        guard let start = number(ends[0]) else { return .none }
        guard !ends[1].isEmpty else { return start < length ? start..<length : .some(nil) }
        guard let last = number(ends[1]), last >= start else { return .none }
        return start < length ? start..<(min(last, length - 1) + 1) : .some(nil)
    }
}
