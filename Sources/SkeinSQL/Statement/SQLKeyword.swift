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
    package static func mentions(_ words: [StaticString], in text: String) -> Bool {
        let bytes = text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        return bytes.withUnsafeBytes { bytes in
            words.contains { word in
                let word = UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
                guard word.count <= bytes.count else { return false }
                return (0...(bytes.count - word.count)).contains { start in
                    bytes[start] == word[0] && bytes[start..<(start + word.count)].elementsEqual(word)
                }
            }
        }
    }
}
