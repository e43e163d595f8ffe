// The contents of a configuration file: the types of settings, and sections of them.

import SkeinCore

/// One setting.
struct Setting: Sendable {
    /// The type of the value.
    indirect enum Kind: Sendable {
        case text
        /// A string that is not allowed in the file: `env:NAME` and `file:PATH` say where it is.
        case secret
        case integer(ClosedRange<Int>)
        case boolean
        /// `"30s"`, `"500ms"`, `"10m"`, `"1h"`, `"1d"`, or a number of seconds.
        case duration
        /// The same, or 0.
        case durationOrZero
        /// `"64K"`, `"16M"`, `"1G"`, or a number of bytes.
        case bytes
        /// `"100/minute"`.
        case rate
        case choice([String])
        case list(Kind)
        /// Names with strings, such as header fields.
        case fields
        case section(Section)
        /// `[[name]]`, any number of times.
        case sections(Section)
        /// `[name.NAME]`, with a name that the user chooses.
        case named(Section)
    }

    let name: String
    let kind: Kind
    /// The default, in words; nil for a required setting.
    let standard: String?
    let help: String

    init(_ name: String, _ kind: Kind, _ standard: String?, _ help: String) {
        self.name = name
        self.kind = kind
        self.standard = standard
        self.help = help
    }
}

/// Settings that belong together.
struct Section: Sendable {
    let help: String
    let settings: [Setting]

    init(_ help: String, _ settings: [Setting]) {
        self.help = help
        self.settings = settings
    }

    subscript(name: String) -> Setting? { settings.first { $0.name.equalsBytes(name) } }

    /// The most similar setting name.
    func nearest(to name: String) -> String? {
        let near = settings.map { ($0.name, Spelling.distance($0.name, name)) }.min { $0.1 < $1.1 }
        return near.flatMap { $0.1 <= max(2, name.utf8.count / 3) ? $0.0 : nil }
    }
}

extension Setting.Kind {
    /// The expected value, for messages.
    var expectation: String {
        switch self {
        case .text: "a string"
        case .secret:
            "a string: \"env:NAME\" for a variable of the environment, \"file:PATH\" for the content of a file"
        case .integer(let range):
            range.upperBound == .max
                ? "an integer from \(range.lowerBound)" : "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .boolean: "true or false"
        case .duration: "a duration above 0 such as \"30s\", \"500ms\", \"10m\" or \"1h\""
        case .durationOrZero: "a duration such as \"30s\", \"500ms\", \"10m\" or \"1h\""
        case .bytes: "a size such as \"64K\", \"16M\" or \"1G\""
        case .rate: "a rate such as \"100/minute\" or \"5/10s\""
        case .choice(let words): "one of " + words.map { "\"\($0)\"" }.joined(separator: ", ")
        case .list(let kind): "an array, each value \(kind.expectation)"
        case .fields: "a table of strings, such as { X-Frame-Options = \"DENY\" }"
        case .section: "a table"
        case .sections: "an array of tables, each begun by its name in [[ ]]"
        case .named: "tables with names of your own"
        }
    }
}

/// Similarity of words.
package enum Spelling {
    /// Letters that have to be changed, added or removed (Levenshtein distance), ignoring case and the difference
    /// between `-` and `_`.
    package static func distance(_ left: String, _ right: String) -> Int {
        func bytes(_ text: String) -> [UInt8] {
            text.lowercased().utf8.prefix(64).map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 }
        }
        let (left, right) = (bytes(left), bytes(right))
        var row = Array(0...right.count)
        for (place, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = place + 1
            for (column, other) in right.enumerated() {
                let change = diagonal + (byte == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(change, row[column] + 1, row[column + 1] + 1)
            }
        }
        return row[right.count]
    }
}
