// Turns the Swift code of a Markdown page into a source file: each block becomes a function, at whose lines the compiler reports errors
// in the page.

import Foundation

@main struct SnippetExtractor {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            FileHandle.standardError.write(Data("usage: snippet-extractor PAGE.md OUTPUT.swift\n".utf8))
            exit(64)
        }
        let page = try String(contentsOfFile: arguments[1], encoding: .utf8)
        try SnippetPage(page, path: arguments[1]).source.write(toFile: arguments[2], atomically: true, encoding: .utf8)
    }
}

/// A page and what is compiled of it.
///
/// A comment `<!-- given: code -->` is code that the next block takes for granted; `<!-- given for the page: code -->` holds until the end
/// of the page; `<!-- returns: Type -->` is what the next block returns, and `<!-- file scope -->` leaves it outside of a function. An ellipsis stands for code that is left out.
struct SnippetPage {
    /// A page says which module has what it shows; an example need not repeat it.
    private var imports = Set(
        [
            "Foundation", "Logging", "NIOCore", "Skein", "SkeinAWS", "SkeinEngine", "SkeinGRPC", "SkeinHTTP",
            "SkeinMail",
            "SkeinMongo", "SkeinPostgres", "SkeinRPC", "SkeinRedis", "SkeinSQL", "SkeinSQLite", "SkeinTransport",
            "SkeinWire",
            "SkeinWork", "Testing",
        ].map { "import \($0)" })
    private var body = ""
    private let path: String

    private struct Context {
        var given: [String] = []
        var result = "Void"
        var isFileScope = false
    }

    init(_ text: String, path: String) {
        self.path = path
        let lines = text.components(separatedBy: "\n")
        var page: [String] = []
        var context = Context()
        var index = 0
        while index < lines.count {
            let line = lines[index]
            index += 1
            if ["<!-- given", "<!-- returns", "<!-- file scope"].contains(where: line.hasPrefix) {
                var comment = line
                while !comment.hasSuffix("-->"), index < lines.count {
                    comment += "\n" + lines[index]
                    index += 1
                }
                if line.hasPrefix("<!-- file scope") {
                    context.isFileScope = true
                } else if let colon = comment.firstIndex(of: ":") {
                    let code = comment[comment.index(after: colon)...].dropLast(3)
                    if line.hasPrefix("<!-- given for the page") {
                        page.append(String(code))
                    } else if line.hasPrefix("<!-- returns") {
                        context.result = String(code)
                    } else {
                        context.given.append(String(code))
                    }
                }
            } else if line == "```swift" {
                let start = index
                while index < lines.count, lines[index] != "```" { index += 1 }
                context.given = page + context.given
                add(Array(lines[start..<index]), at: start + 1, context)
                context = Context()
            }
        }
    }

    var source: String { imports.sorted().joined(separator: "\n") + "\n" + body }

    private mutating func add(_ lines: [String], at number: Int, _ context: Context) {
        var code: [String] = []
        var names: [String] = []
        for line in lines {
            if hoist(line) {
                code.append("")
                continue
            }
            if let name = line.firstMatch(of: /^(?:async )?(?:let|var) (\w+)/) { names.append(String(name.1)) }
            // A module of tests has no main program.
            code.append(Self.withoutEllipsis(line.hasPrefix("@main ") ? String(line.dropFirst(6)) : line))
        }
        let block =
            "#sourceLocation(file: \"\(path)\", line: \(number))\n" + code.joined(separator: "\n")
            + "\n#sourceLocation()\n"
        let given = context.given.joined(separator: "\n").components(separatedBy: "\n").filter { !hoist($0) }
            .joined(separator: "\n")
        if context.isFileScope {
            body += given + "\n" + block
        } else {
            let uses = Set(names).sorted().map { "    _ = \($0)\n" }.joined()
            // Behind a return nothing is executed.
            let end = context.result == "Void" ? uses : ""
            body +=
                "\nprivate func snippet\(number)() async throws -> \(context.result) {\n\(given)\ndo {\n\(block)\(end)}\n}\n"
        }
    }

    /// Moves an import to the top of the file.
    private mutating func hoist(_ line: String) -> Bool {
        let line = line.prefix { $0 != "/" }.trimmingCharacters(in: .whitespaces)
        guard line.hasPrefix("import ") else { return false }
        imports.insert(line)
        return true
    }

    /// Removes ellipses, except in string literals.
    private static func withoutEllipsis(_ line: String) -> String {
        let line = line.replacingOccurrences(of: "[…]", with: "[:]")
        var result = ""
        var isText = false
        for character in line {
            if character == "\"" { isText.toggle() }
            if character != "…" || isText { result.append(character) }
        }
        return result
    }
}
