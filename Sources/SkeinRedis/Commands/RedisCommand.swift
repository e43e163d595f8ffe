// A command with the properties that are needed before it is sent.

import SkeinCore

/// A command with its arguments.
public struct RedisCommand: Sendable {
    /// The properties of commands that concern the connection and the data.
    public struct Kind: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Read-only, so that it may be sent again.
        public static let readOnly = Kind(rawValue: 1)
        /// May block its connection, and so needs an exclusive one.
        public static let blocking = Kind(rawValue: 2)
        /// Changes the session of its connection, which is shared: it is refused.
        public static let session = Kind(rawValue: 4)
        /// The positions of its keys depend on its other arguments.
        public static let movable = Kind(rawValue: 8)
        /// Its response can be cached until its key changes.
        public static let cacheable = Kind(rawValue: 16)
    }

    /// Its name: `GET`, `CONFIG GET`.
    public let name: String
    /// Its arguments.
    public internal(set) var arguments: [RedisArgument]
    let kind: Kind
    /// The index of its first key, from 0; -1 when it has none.
    let firstKey: Int8
    /// The number of words of the name.
    let words: Int

    /// A command of the table.
    init(_ name: String, _ kind: Kind, firstKey: Int8, words: Int = 1, _ arguments: [RedisArgument]) {
        self.name = name
        self.kind = kind
        self.firstKey = firstKey
        self.words = words
        self.arguments = arguments
    }

    /// A command by its name.
    /// - Parameters:
    ///   - name: in upper or lower case; two words are separated by a space.
    ///   - arguments: the arguments in order.
    public init(_ name: String, _ arguments: [any RedisEncodable] = []) {
        let upper = name.asciiUppercased
        let known = RedisCommandTable.shared[upper, arguments.first?.redisArgument]
        self.init(
            upper, known?.kind ?? [], firstKey: known?.firstKey ?? 0, words: upper.splitBytes(separator: " ").count,
            arguments.map(\.redisArgument))
    }

    /// Whether it may block its connection.
    var blocks: Bool {
        guard kind.contains(.blocking) else { return false }
        // These block only with an option.
        guard name == "XREAD" || name == "XREADGROUP" else { return true }
        return arguments.contains { if case .text(let word) = $0 { word.equalsIgnoringCase("BLOCK") } else { false } }
    }

    /// Its first key, which determines its server in a cluster.
    var key: RedisArgument? {
        guard firstKey >= 0 || kind.contains(.movable) else { return nil }
        guard kind.contains(.movable) else { return Int(firstKey) < arguments.count ? arguments[Int(firstKey)] : nil }
        switch name {
        case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
            guard arguments.count > 2, case .integer(let count) = arguments[1], count > 0 else { return nil }
            return arguments[2]
        case "XREAD", "XREADGROUP":
            // GROUP is followed by names, which may be any words.
            let named: Bool =
                if case .text(let word)? = arguments.first { word.equalsIgnoringCase("GROUP") } else { false }
            let place = arguments.dropFirst(named ? 3 : 0).firstIndex {
                if case .text(let word) = $0 { word.equalsIgnoringCase("STREAMS") } else { false }
            }
            guard let place, place + 1 < arguments.count else { return nil }
            return arguments[place + 1]
        case "ZUNION", "ZINTER", "ZDIFF", "SINTERCARD", "ZINTERCARD", "LMPOP", "ZMPOP":
            return arguments.count > 1 ? arguments[1] : nil
        case "BLMPOP", "BZMPOP": return arguments.count > 2 ? arguments[2] : nil
        default: return firstKey >= 0 && Int(firstKey) < arguments.count ? arguments[Int(firstKey)] : nil
        }
    }
}

/// A receiver of commands: a client, one of its connections, or a transaction.
///
/// Each command of Redis 7 is a method; any other command can be called as a method by its name:
/// `redis.lrange("k", 0, 3)`.
@dynamicMemberLookup
public protocol RedisCommands: Sendable {
    /// The result type of a command.
    associatedtype Answer

    /// Starts a command and returns at once.
    @discardableResult
    func send(_ command: RedisCommand) -> Answer
}

extension RedisCommands {
    /// A command by its name; two words are joined with an underscore: `redis.config_get("save")`.
    public subscript(dynamicMember name: String) -> RedisMethod<Self> {
        RedisMethod(target: self, name: RedisCommandTable.shared.name(ofMethod: name))
    }
}

/// A command without its arguments.
public struct RedisMethod<Target: RedisCommands>: Sendable {
    let target: Target
    let name: String

    /// Starts the command and returns at once.
    @discardableResult
    public func callAsFunction(_ arguments: any RedisEncodable...) -> Target.Answer {
        target.send(RedisCommand(name, arguments))
    }
}
