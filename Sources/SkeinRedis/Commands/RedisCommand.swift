// A command and what has to be known of it before it is sent.

import SkeinCore

/// A command with its arguments.
public struct RedisCommand: Sendable {
    /// What commands do to the connection they are sent on, and to the data.
    public struct Kind: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Changes nothing, so that it may be sent again.
        public static let readOnly = Kind(rawValue: 1)
        /// May keep its connection waiting, and so gets one of its own.
        public static let blocking = Kind(rawValue: 2)
        /// Changes the session it is sent in, which many callers share: it is refused.
        public static let session = Kind(rawValue: 4)
        /// Its keys are where its other arguments say.
        public static let movable = Kind(rawValue: 8)
        /// What it answers can be kept until its key changes.
        public static let cacheable = Kind(rawValue: 16)
    }

    /// Its name: `GET`, `CONFIG GET`.
    public let name: String
    /// Its arguments.
    public internal(set) var arguments: [RedisArgument]
    let kind: Kind
    /// Which argument is its first key, counted from 0; -1 when it has none.
    let firstKey: Int8
    /// How many words the name has.
    let words: Int

    /// A command of the table.
    init(_ name: String, _ kind: Kind, firstKey: Int8, words: Int = 1, _ arguments: [RedisArgument]) {
        self.name = name
        self.kind = kind
        self.firstKey = firstKey
        self.words = words
        self.arguments = arguments
    }

    /// A command by its name, of any server.
    /// - Parameters:
    ///   - name: in letters of either case; of two words, with a space between.
    ///   - arguments: in their order.
    public init(_ name: String, _ arguments: [any RedisEncodable] = []) {
        let upper = name.asciiUppercased
        let known = RedisCommandTable.shared[upper, arguments.first?.redisArgument]
        self.init(
            upper, known?.kind ?? [], firstKey: known?.firstKey ?? 0, words: upper.splitBytes(separator: " ").count,
            arguments.map(\.redisArgument))
    }

    /// Whether it may keep its connection waiting.
    var blocks: Bool {
        guard kind.contains(.blocking) else { return false }
        // These wait only when they are told to.
        guard name == "XREAD" || name == "XREADGROUP" else { return true }
        return arguments.contains { if case .text(let word) = $0 { word.equalsIgnoringCase("BLOCK") } else { false } }
    }

    /// Its first key, which says where in a cluster it belongs.
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

/// Whatever takes commands: a client, one of its connections, a transaction that is being put together.
///
/// Each command of Redis 7 is a method; every other one is a method, too, by its name: `redis.lrange("k", 0, 3)`.
@dynamicMemberLookup
public protocol RedisCommands: Sendable {
    /// What a command gives.
    associatedtype Answer

    /// Starts a command and returns at once.
    @discardableResult
    func send(_ command: RedisCommand) -> Answer
}

extension RedisCommands {
    /// A command by its name; of two words, with an underscore between: `redis.config_get("save")`.
    public subscript(dynamicMember name: String) -> RedisMethod<Self> {
        RedisMethod(target: self, name: RedisCommandTable.shared.name(ofMethod: name))
    }
}

/// A command that waits for its arguments.
public struct RedisMethod<Target: RedisCommands>: Sendable {
    let target: Target
    let name: String

    /// Starts the command and returns at once.
    @discardableResult
    public func callAsFunction(_ arguments: any RedisEncodable...) -> Target.Answer {
        target.send(RedisCommand(name, arguments))
    }
}
