// Strings that differ between code that compares characters and code that compares bytes.

/// Strings that break out of quotation marks, lines and keys if they are processed as characters.
public enum HostileStrings {
    /// The characters that end something in one protocol or another.
    private static let delimiters = [
        "\"", "'", "\\", ",", ";", ":", "=", "%", "_", "&", "<", ">", "{", "}", "\n", "\r",
    ]

    /// Each delimiter after a character that combines with the following one (U+0600), and before one that combines
    /// with the preceding one (U+0301).
    public static let joined: [String] = delimiters.flatMap { ["a\($0)\u{301}b", "a\u{600}\($0)b"] }

    /// Other strings that have been misread.
    public static let others = [
        "a\r\nb", "a\n\rb", "a\r\r\nb", "\r\n", "a\u{85}b", "a\u{2028}b", "a\u{2029}b", "a\u{B}b", "a\u{C}b", "a\tb",
        "\u{FEFF}a", "a\u{200D}b", "a\u{202E}b", "\u{1F468}\u{200D}\u{1F469}", "e\u{301}", "\u{E9}", "\u{212A}", "K",
        "\u{37E}", "\u{1FEF}", "\u{1100}\u{1161}", "\u{AC00}", "a\u{9B}b", "a\u{1B}[2Jb", "\"\u{301}; DROP TABLE t; --",
        "\\\u{301}", "\u{600}\\", "\u{600}\"", "'\u{301} OR 1=1 --", "%\u{301}", "_\u{301}", "a\u{FFFF}b", "\u{10FFFF}",
        "", " ", "\u{301}", "NULL", "null\u{301}", "\u{600}", "\\u0000", "${7*7}", "../\u{301}etc",
    ]

    /// All of them.
    public static let all = joined + others

    /// Pairs that are equal as characters and different as bytes.
    public static let twins = [
        ("\u{E9}", "e\u{301}"), ("\u{AC00}", "\u{1100}\u{1161}"), ("K", "\u{212A}"), (";", "\u{37E}"),
        ("`", "\u{1FEF}"),
        ("\u{C5}", "\u{212B}"),
    ]
}
