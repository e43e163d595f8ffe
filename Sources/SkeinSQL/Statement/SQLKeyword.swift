// The first word of a statement: its kind, as far as it can be found without a parser.

/// Finds the kind of a statement. The database decides; this is for choosing a connection and for early errors.
package enum SQLKeyword {
    /// The first word, in upper case, after whitespace, comments, semicolons and parentheses; empty when there is none.
    /// - Parameter nestsComments: whether comments may be nested, as in PostgreSQL but not in SQLite.
    package static func first(of text: String, nestsComments: Bool = true) -> String {
        var text = text
        return text.withUTF8 { bytes in
            var place = 0
            func next(_ offset: Int) -> UInt8? { place + offset < bytes.count ? bytes[place + offset] : nil }
            while let byte = next(0) {
                switch (byte, next(1)) {
                case (0x09...0x0D, _), (0x20, _), (UInt8(ascii: "("), _), (UInt8(ascii: ";"), _): place += 1
                case (0xEF, 0xBB) where next(2) == 0xBF: place += 3  // a byte order mark
                case (UInt8(ascii: "-"), UInt8(ascii: "-")): place = endOfLine(bytes, from: place)
                case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                    place = endOfComment(bytes, from: place, nests: nestsComments)
                default:
                    let word = bytes[place...].prefix { ($0 | 0x20) &- 0x61 < 26 || $0 == UInt8(ascii: "_") }
                    return String(decoding: word.map { $0 &- 0x61 < 26 ? $0 & 0xDF : $0 }, as: UTF8.self)
                }
            }
            return ""
        }
    }

    /// Whether a text consists of several statements: whether one follows a semicolon outside of quotes and comments.
    package static func isScript(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var place = 0
            var hasEnded = false
            while place < bytes.count {
                let next = place + 1 < bytes.count ? bytes[place + 1] : 0
                switch (bytes[place], next) {
                case (UInt8(ascii: "-"), UInt8(ascii: "-")): place = endOfLine(bytes, from: place)
                case (UInt8(ascii: "/"), UInt8(ascii: "*")): place = endOfComment(bytes, from: place, nests: true)
                case (UInt8(ascii: ";"), _):
                    hasEnded = true
                    place += 1
                case (0x09...0x0D, _), (0x20, _): place += 1
                case _ where hasEnded: return true
                case (UInt8(ascii: "'"), _), (UInt8(ascii: "\""), _): place = endOfQuote(bytes, from: place)
                case (UInt8(ascii: "$"), _): place = endOfDollarQuote(bytes, from: place)
                default: place += 1
                }
            }
            return false
        }
    }

    private static func endOfLine(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        bytes[start...].firstIndex { $0 == 0x0A || $0 == 0x0D } ?? bytes.count
    }

    private static func endOfComment(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int, nests: Bool) -> Int {
        var place = start
        var depth = 0
        repeat {
            let pair = (bytes[place], place + 1 < bytes.count ? bytes[place + 1] : 0)
            if pair == (UInt8(ascii: "/"), UInt8(ascii: "*")), nests || depth == 0 {
                depth += 1
                place += 2
            } else if pair == (UInt8(ascii: "*"), UInt8(ascii: "/")) {
                depth -= 1
                place += 2
            } else {
                place += 1
            }
        } while depth > 0 && place < bytes.count
        return place
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    /// The end of a quoted text. A doubled quote is part of it; a backslash escapes only after an E prefix.
    private static func endOfQuote(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        let quote = bytes[start]
        let escapes =
            quote == UInt8(ascii: "'") && start > 0 && bytes[start - 1] | 0x20 == UInt8(ascii: "e")
            && (start < 2 || !isOfName(bytes[start - 2]))
        var place = start + 1
        while place < bytes.count {
            let isDoubled = bytes[place] == quote && place + 1 < bytes.count && bytes[place + 1] == quote
            if bytes[place] == quote, !isDoubled { break }
            place += isDoubled || escapes && bytes[place] == UInt8(ascii: "\\") ? 2 : 1
        }
        return place + 1
    }

    /// The end of a text between `$tag$` and `$tag$`; the next position if the sign does not start one, as in `$1`.
    private static func endOfDollarQuote(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        guard start == 0 || !isOfName(bytes[start - 1]),
            let end = bytes[(start + 1)...].firstIndex(where: { !isOfName($0) }), bytes[end] == UInt8(ascii: "$"),
            !(bytes[start + 1] &- 0x30 < 10)
        else { return start + 1 }
        let tag = bytes[start...end]
        var place = end + 1
        while place + tag.count <= bytes.count {
            if bytes[place..<(place + tag.count)].elementsEqual(tag) { return place + tag.count }
            place += 1
        }
        return bytes.count
    }

    /// The words that begin and end transactions.
    private static let transactionWords: Set = [
        "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE",
    ]
    /// The advice for transactions in error messages.
    package static let transactionAdvice = "use transaction { … } or begin() for transactions"

    /// Whether a first word begins or ends a transaction.
    package static func isOfTransaction(_ word: String) -> Bool { transactionWords.contains(word) }

    /// Whether a text contains one of some words, ignoring case; they are given in lower case.
    /// - Parameter asWords: whether a match must not be adjacent to a letter, digit or underscore.
    package static func mentions(_ words: [StaticString], asWords: Bool = false, in text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            func lower(_ place: Int) -> UInt8 {
                (0x41...0x5A).contains(bytes[place]) ? bytes[place] | 0x20 : bytes[place]
            }
            func isOfWord(_ place: Int) -> Bool {
                guard bytes.indices.contains(place) else { return false }
                let byte = lower(place)
                return byte &- 0x61 < 26 || byte &- 0x30 < 10 || byte == UInt8(ascii: "_") || byte >= 0x80
            }
            // One pass over a text that may have megabytes: most positions do not start any of the words.
            return bytes.indices.contains { start in
                let first = lower(start)
                return words.contains { word in
                    let count = word.utf8CodeUnitCount
                    guard first == word.utf8Start[0], start + count <= bytes.count,
                        (1..<count).allSatisfy({ lower(start + $0) == word.utf8Start[$0] })
                    else { return false }
                    return !asWords || !isOfWord(start - 1) && !isOfWord(start + count)
                }
            }
        }
    }
}
