// The schema as text: the meaning of a file with its defaults, and the list of all settings.

import SkeinCore

enum Explanation {
    /// A file with its defaults.
    static func text(_ document: TOMLTable) -> String {
        var lines: [String] = []
        write(document, ConfigurationSchema.root, path: "", isItem: false, into: &lines)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func write(
        _ table: TOMLTable, _ section: Section, path: String, isItem: Bool, into lines: inout [String]
    ) {
        if !path.isEmpty { lines += ["", isItem ? "[[\(path)]]" : "[\(path)]"] }
        for setting in section.settings {
            switch setting.kind {
            case .section, .sections, .named: continue
            default: break
            }
            let name = setting.name
            if let node = table[name] {
                lines.append("\(name) = \(shown(node, setting.kind))")
            } else {
                lines.append("# \(name): \(setting.standard ?? "required")")
            }
        }
        for setting in section.settings {
            let inner = path.isEmpty ? setting.name : "\(path).\(setting.name)"
            switch (setting.kind, table[setting.name]?.value) {
            case (.section(let section), .table(let table)):
                write(table, section, path: inner, isItem: false, into: &lines)
            case (.sections(let section), .array(let items)):
                for case .table(let table) in items.map(\.value) {
                    write(table, section, path: inner, isItem: true, into: &lines)
                }
            case (.named(let section), .table(let table)):
                for entry in table.entries {
                    guard case .table(let own) = entry.node.value else { continue }
                    write(own, section, path: "\(inner).\(key(entry.key))", isItem: false, into: &lines)
                }
            case (.section, nil), (.sections, nil), (.named, nil):
                lines.append("# \(inner): \(setting.standard ?? "required")")
            default: break
            }
        }
    }

    private static func key(_ name: String) -> String {
        let isBare =
            !name.isEmpty
            && name.utf8.allSatisfy {
                Bytes.isDigit($0) || ($0 | 0x20) &- UInt8(ascii: "a") < 26 || $0 == UInt8(ascii: "_")
                    || $0 == UInt8(ascii: "-")
            }
        return isBare ? name : JSONValue.string(name).json
    }

    private static func shown(_ node: TOMLNode, _ kind: Setting.Kind) -> String {
        switch node.value {
        case .string(let text): JSONValue.string(text).json
        case .integer(let number): String(number)
        case .float(let number): String(number)
        case .boolean(let value): String(value)
        case .array(let items): "[\(items.map { shown($0, kind) }.joined(separator: ", "))]"
        case .table(let table):
            "{ \(table.entries.map { "\(key($0.key)) = \(shown($0.node, kind))" }.joined(separator: ", ")) }"
        }
    }

    /// Every setting, a table for each section.
    static var reference: String {
        var lines: [String] = []
        describe(ConfigurationSchema.root, title: "", into: &lines)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func describe(_ section: Section, title: String, into lines: inout [String]) {
        if !title.isEmpty { lines += ["## `\(title)`", "", section.help, ""] }
        lines += ["| setting | value | default | meaning |", "|---|---|---|---|"]
        for setting in section.settings {
            let value = setting.kind.expectation.replacingBytes("|", with: "\\|")
            lines.append("| `\(setting.name)` | \(value) | \(setting.standard ?? "required") | \(setting.help) |")
        }
        lines.append("")
        let path = title.isEmpty ? "" : title.replacingBytes("[", with: "").replacingBytes("]", with: "") + "."
        for setting in section.settings {
            switch setting.kind {
            case .section(let inner): describe(inner, title: "[\(path)\(setting.name)]", into: &lines)
            case .sections(let inner): describe(inner, title: "[[\(path)\(setting.name)]]", into: &lines)
            case .named(let inner): describe(inner, title: "[\(path)\(setting.name).NAME]", into: &lines)
            default: break
            }
        }
    }
}
