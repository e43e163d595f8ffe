// The properties of commands by name.

/// The table of commands.
struct RedisCommandTable: Sendable {
    struct Line: Sendable {
        let kind: RedisCommand.Kind
        let firstKey: Int8
    }

    static let shared = RedisCommandTable()

    private let commands: [String: Line]

    private init() {
        let marks: [Character: RedisCommand.Kind] = [
            "r": .readOnly, "b": .blocking, "s": .session, "m": .movable, "c": .cacheable,
        ]
        var commands: [String: Line] = [:]
        for line in Self.lines.splitBytes(separator: "\n") {
            let parts = line.splitBytes(separator: " ")
            guard parts.count == 3 else { continue }
            let kind = parts[1].reduce(into: RedisCommand.Kind()) { $0.formUnion(marks[$1] ?? []) }
            commands[String(parts[0].map { $0 == "|" ? " " : $0 })] = Line(kind: kind, firstKey: Int8(parts[2]) ?? -1)
        }
        self.commands = commands
    }

    /// The name of the command for a method name: `config_get` is `CONFIG GET`, and `eval_ro` is unchanged.
    func name(ofMethod method: String) -> String {
        let upper = method.uppercased()
        return commands[upper] == nil ? upper.replacingBytes("_", with: " ") : upper
    }

    /// The properties of a command; for one with two words, also when the second word is its first argument.
    subscript(name: String, first: RedisArgument?) -> Line? {
        if let line = commands[name] { return line }
        guard case .text(let word)? = first, let line = commands["\(name) \(word.uppercased())"] else { return nil }
        return Line(kind: line.kind, firstKey: line.firstKey < 0 ? -1 : line.firstKey + 1)
    }
}
