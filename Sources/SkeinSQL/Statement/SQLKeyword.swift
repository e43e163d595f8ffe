// The first word of a statement: what it does, as far as that can be told without a parser.

/// Reads statements far enough to tell what kind they are. Databases decide; this is for choosing a connection and for early errors.
package enum SQLKeyword {
    /// The first word, in upper case, behind blanks, comments, semicolons and parentheses; empty when there is none.
    /// - Parameter nestsComments: whether comments may stand inside of comments, as PostgreSQL's may and SQLite's may not.
    package static func first(of text: String, nestsComments: Bool = true) -> String {
        var text = text
        return text.withUTF8 { bytes in
            var place = 0
            func next(_ offset: Int) -> UInt8? { place + offset < bytes.count ? bytes[place + offset] : nil }
            while let byte = next(0) {
                switch (byte, next(1)) {
                case (0x09...0x0D, _), (0x20, _), (UInt8(ascii: "("), _), (UInt8(ascii: ";"), _): place += 1
                case (0xEF, 0xBB) where next(2) == 0xBF: place += 3  // a byte order mark
                case (UInt8(ascii: "-"), UInt8(ascii: "-")):
                    while let byte = next(0), byte != 0x0A, byte != 0x0D { place += 1 }
                case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                    var depth = 0
                    repeat {
                        if next(0) == UInt8(ascii: "/"), next(1) == UInt8(ascii: "*"), nestsComments || depth == 0 {
                            depth += 1
                            place += 2
                        } else if next(0) == UInt8(ascii: "*"), next(1) == UInt8(ascii: "/") {
                            depth -= 1
                            place += 2
                        } else {
                            place += 1
                        }
                    } while depth > 0 && place < bytes.count
                default:
                    let word = bytes[place...].prefix { ($0 | 0x20) &- 0x61 < 26 || $0 == UInt8(ascii: "_") }
                    return String(decoding: word.map { $0 &- 0x61 < 26 ? $0 & 0xDF : $0 }, as: UTF8.self)
                }
            }
            return ""
        }
    }

    /// Whether some words stand anywhere in a text, in either case; they are given in lower case.
    /// - Parameter asWords: whether they count only where no letter, digit or underscore is beside them.
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
            // One pass over what may be megabytes: most places do not begin any of the words.
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
