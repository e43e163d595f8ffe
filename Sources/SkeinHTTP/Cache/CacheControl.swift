// The directives of Cache-Control (RFC 9111, section 5.2).

import SkeinCore
import SkeinWire

/// What a Cache-Control field says, of a request or of a response.
struct CacheControl {
    private var directives: [String: String] = [:]

    init(_ headers: Headers) {
        for field in headers.values("Cache-Control") {
            var scanner = FieldScanner(field)
            while !scanner.isAtEnd {
                scanner.skip(" ,\t")
                let name = scanner.token().lowercased()
                guard !name.isEmpty else {
                    scanner.skipOne()
                    continue
                }
                let value = scanner.take("=") ? scanner.value() : ""
                // Of two that contradict each other, the first; the stricter ones are names without a value.
                if directives[name] == nil { directives[name] = value }
            }
        }
        if directives.isEmpty, headers["Pragma"]?.lowercased().containsBytes("no-cache") == true {
            directives["no-cache"] = ""
        }
    }

    func contains(_ name: String) -> Bool { directives[name] != nil }

    /// Whether a directive stands there for everything, and not for some fields only.
    func isPlain(_ name: String) -> Bool { directives[name]?.isEmpty == true }

    /// Seconds; what is no number counts as none at all, which is the careful reading (section 4.2.1).
    func seconds(_ name: String) -> Double? {
        guard let value = directives[name] else { return nil }
        guard !value.isEmpty, value.utf8.allSatisfy(Bytes.isDigit) else { return 0 }
        return min(Double(value) ?? 0, Double(Int32.max))
    }
}
