// A section of a file that conforms to the schema: its values have the right types.

import SkeinCore

/// All problems of one file.
final class ProblemList {
    private(set) var all: [DocumentProblem] = []

    func add(_ position: TextPosition, _ key: String, _ message: String) {
        all.append(DocumentProblem(position, key: key, message))
    }
}

/// Checked settings. A setting that is missing or invalid reads as nil: its problem is already recorded.
struct CheckedSection {
    /// Where the section begins.
    let position: TextPosition
    /// Its dotted path.
    let path: String
    private let table: TOMLTable
    private let section: Section
    private let problems: ProblemList

    /// Checks a table and everything in it.
    init(_ table: TOMLTable, _ section: Section, path: String, position: TextPosition, _ problems: ProblemList) {
        self.table = table
        self.section = section
        self.path = path
        self.position = position
        self.problems = problems
    }

    func check() {
        for entry in table.entries {
            guard let setting = section[entry.key] else {
                let hint =
                    section.nearest(to: entry.key).map { "; did you mean \($0)?" }
                    ?? "; known are \(section.settings.map(\.name).joined(separator: ", "))"
                problems.add(entry.position, key(entry.key), "unknown setting\(hint)")
                continue
            }
            check(entry.node, setting.kind, key(entry.key))
        }
        for setting in section.settings where setting.standard == nil && table[setting.name] == nil {
            problems.add(position, key(setting.name), "this setting is required: \(setting.kind.expectation)")
        }
    }

    func key(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private func check(_ node: TOMLNode, _ kind: Setting.Kind, _ key: String) {
        func refuse() {
            problems.add(node.position, key, "expected \(kind.expectation), got \(Self.shown(node))")
        }
        switch (kind, node.value) {
        case (.text, .string), (.boolean, .boolean): break
        case (.secret, .string(let text)):
            do throws(SecretProblem) { _ = try Self.secret(text) } catch {
                problems.add(node.position, key, error.message)
            }
        case (.integer(let range), .integer(let number)): if !range.contains(number) { refuse() }
        case (.duration, _): if Self.duration(node).map({ $0 < .milliseconds(1) }) ?? true { refuse() }
        case (.durationOrZero, _): if Self.duration(node) == nil { refuse() }
        case (.bytes, .string(let text)): if Quantity.bytes(text) == nil { refuse() }
        case (.bytes, .integer(let count)): if count < 0 { refuse() }
        case (.rate, .string(let text)): if Quantity.rate(text) == nil { refuse() }
        case (.choice(let words), .string(let text)):
            guard !words.contains(where: { $0.equalsBytes(text) }) else { break }
            let near = words.map { ($0, Spelling.distance($0, text)) }.min { $0.1 < $1.1 }
            let hint = near.flatMap { $0.1 <= 2 ? "; did you mean \"\($0.0)\"?" : nil } ?? ""
            problems.add(node.position, key, "expected \(kind.expectation), got \(text.debugDescription)\(hint)")
        case (.list(let kind), .array(let items)): for item in items { check(item, kind, key) }
        case (.fields, .table(let table)):
            for entry in table.entries { check(entry.node, .text, "\(key).\(entry.key)") }
        case (.section(let section), .table(let table)):
            CheckedSection(table, section, path: key, position: node.position, problems).check()
        case (.sections(let section), .array(let items)):
            for item in items {
                guard case .table(let table) = item.value else {
                    problems.add(item.position, key, "expected a table, got \(Self.shown(item))")
                    continue
                }
                CheckedSection(table, section, path: key, position: item.position, problems).check()
            }
        case (.named(let section), .table(let table)):
            for entry in table.entries {
                guard case .table(let inner) = entry.node.value else {
                    problems.add(
                        entry.position, "\(key).\(entry.key)",
                        "expected a named table such as [\(key).\(entry.key)], got \(Self.shown(entry.node))"
                    )
                    continue
                }
                CheckedSection(inner, section, path: "\(key).\(entry.key)", position: entry.position, problems).check()
            }
        case (.sections, .table):
            problems.add(node.position, key, "expected an array of tables; begin each with [[\(key)]]")
        default: refuse()
        }
    }

    private static func shown(_ node: TOMLNode) -> String {
        switch node.value {
        case .string(let text):
            "the string \(text.utf8.count > 40 ? "\(text.prefix(40))…".debugDescription : text.debugDescription)"
        case .integer(let number): "\(number)"
        case .float(let number): "\(number)"
        case .boolean(let isTrue): "\(isTrue)"
        default: node.typeName
        }
    }

    // MARK: Reading

    /// Whether the setting is in the file.
    func has(_ name: String) -> Bool { table[name] != nil }

    /// The position of a setting's value, or of the section if the setting is omitted.
    func position(_ name: String) -> TextPosition { table[name]?.position ?? position }

    /// Records a problem of a setting.
    func complain(_ name: String, _ message: String) {
        problems.add(position(name), name.isEmpty ? path : key(name), message)
    }

    /// Runs an operation that may fail, and records the reason if it does.
    func attempt<Value>(_ name: String, _ work: () throws -> Value) -> Value? {
        do {
            return try work()
        } catch let error as SkeinError {
            complain(name, error.message)
        } catch {
            complain(name, "\(error)")
        }
        return nil
    }

    func text(_ name: String) -> String? { if case .string(let text)? = table[name]?.value { text } else { nil } }

    func integer(_ name: String) -> Int? {
        guard case .integer(let number)? = table[name]?.value, case .integer(let range)? = section[name]?.kind,
            range.contains(number)
        else { return nil }
        return number
    }

    func boolean(_ name: String) -> Bool? { if case .boolean(let value)? = table[name]?.value { value } else { nil } }

    func duration(_ name: String) -> Duration? { table[name].flatMap(Self.duration) }

    private static func duration(_ node: TOMLNode) -> Duration? {
        switch node.value {
        case .string(let text): Quantity.duration(text)
        case .integer(let seconds): Quantity.duration(Double(seconds))
        case .float(let seconds): Quantity.duration(seconds)
        default: nil
        }
    }

    func bytes(_ name: String) -> Int? {
        switch table[name]?.value {
        case .string(let text): Quantity.bytes(text)
        case .integer(let count): count >= 0 ? count : nil
        default: nil
        }
    }

    func rate(_ name: String) -> (Int, Duration)? { text(name).flatMap(Quantity.rate) }

    /// A secret, read from the place that the file names.
    func secret(_ name: String) -> String? { text(name).flatMap { try? Self.secret($0) } }

    func texts(_ name: String) -> [String] { items(name).map(\.text) }

    /// The strings of an array with their positions.
    func items(_ name: String) -> [(text: String, position: TextPosition)] {
        guard case .array(let items)? = table[name]?.value else { return [] }
        return items.compactMap { item in if case .string(let text) = item.value { (text, item.position) } else { nil }
        }
    }

    /// Records a problem at a position.
    func complain(at position: TextPosition, _ name: String, _ message: String) {
        problems.add(position, key(name), message)
    }

    func integers(_ name: String) -> [Int] {
        guard case .array(let items)? = table[name]?.value else { return [] }
        return items.compactMap { item in if case .integer(let number) = item.value { number } else { nil } }
    }

    func fields(_ name: String) -> [(name: String, value: String)] {
        guard case .table(let table)? = table[name]?.value else { return [] }
        return table.entries.compactMap { entry in
            if case .string(let text) = entry.node.value { (entry.key, text) } else { nil }
        }
    }

    func section(_ name: String) -> CheckedSection? {
        guard case .section(let inner)? = section[name]?.kind, case .table(let table)? = table[name]?.value else {
            return nil
        }
        return CheckedSection(table, inner, path: key(name), position: position(name), problems)
    }

    func sections(_ name: String) -> [CheckedSection] {
        guard case .sections(let inner)? = section[name]?.kind, case .array(let items)? = table[name]?.value else {
            return []
        }
        return items.compactMap { item in
            guard case .table(let table) = item.value else { return nil }
            return CheckedSection(table, inner, path: key(name), position: item.position, problems)
        }
    }

    func named(_ name: String) -> [(name: String, section: CheckedSection)] {
        guard case .named(let inner)? = section[name]?.kind, case .table(let table)? = table[name]?.value else {
            return []
        }
        return table.entries.compactMap { entry in
            guard case .table(let table) = entry.node.value else { return nil }
            return (
                entry.key,
                CheckedSection(table, inner, path: "\(key(name)).\(entry.key)", position: entry.position, problems)
            )
        }
    }

    // MARK: Omitted settings

    /// Each setting with its value in the file, or nil.
    var values: [(setting: Setting, node: TOMLNode?)] { section.settings.map { ($0, table[$0.name]) } }
}
