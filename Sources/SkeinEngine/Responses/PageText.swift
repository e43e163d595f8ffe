// Sanitises text for fields.

/// Text in quoted strings of fields.
enum HTTPText {
    /// The text without quotation marks, backslashes and control characters, so that it needs no escapes.
    static func unquotable(_ text: String) -> String {
        String(text.unicodeScalars.filter { $0 != "\"" && $0 != "\\" && $0.value >= 0x20 && $0.value != 0x7F })
    }
}
