// Made by scripts/redis-commands of the table of Redis's own commands: those of the group scripting.

extension RedisCommands {
    /// `EVAL script numkeys [key [key ...]] [arg [arg ...]]`, since Redis 2.6.0.
    @discardableResult
    public func eval(_ script: some RedisEncodable, _ numkeys: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "EVAL", [.movable], firstKey: -1,
                [script.redisArgument, .integer(Int64(numkeys))] + options.map(\.redisArgument)))
    }

    /// `EVAL_RO script numkeys [key [key ...]] [arg [arg ...]]`, since Redis 7.0.0.
    @discardableResult
    public func evalRo(_ script: some RedisEncodable, _ numkeys: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "EVAL_RO", [.readOnly, .movable], firstKey: -1,
                [script.redisArgument, .integer(Int64(numkeys))] + options.map(\.redisArgument)))
    }

    /// `EVALSHA sha1 numkeys [key [key ...]] [arg [arg ...]]`, since Redis 2.6.0.
    @discardableResult
    public func evalsha(_ sha1: some RedisEncodable, _ numkeys: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "EVALSHA", [.movable], firstKey: -1,
                [sha1.redisArgument, .integer(Int64(numkeys))] + options.map(\.redisArgument)))
    }

    /// `EVALSHA_RO sha1 numkeys [key [key ...]] [arg [arg ...]]`, since Redis 7.0.0.
    @discardableResult
    public func evalshaRo(_ sha1: some RedisEncodable, _ numkeys: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "EVALSHA_RO", [.readOnly, .movable], firstKey: -1,
                [sha1.redisArgument, .integer(Int64(numkeys))] + options.map(\.redisArgument)))
    }

    /// `FCALL function numkeys [key [key ...]] [arg [arg ...]]`, since Redis 7.0.0.
    @discardableResult
    public func fcall(_ function: some RedisEncodable, _ numkeys: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "FCALL", [.movable], firstKey: -1,
                [function.redisArgument, .integer(Int64(numkeys))] + options.map(\.redisArgument)))
    }

    /// `FCALL_RO function numkeys [key [key ...]] [arg [arg ...]]`, since Redis 7.0.0.
    @discardableResult
    public func fcallRo(_ function: some RedisEncodable, _ numkeys: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "FCALL_RO", [.readOnly, .movable], firstKey: -1,
                [function.redisArgument, .integer(Int64(numkeys))] + options.map(\.redisArgument)))
    }

    /// `FUNCTION DELETE library-name`, since Redis 7.0.0.
    @discardableResult
    public func functionDelete(_ libraryName: some RedisEncodable) -> Answer {
        send(RedisCommand("FUNCTION DELETE", [], firstKey: -1, words: 2, [libraryName.redisArgument]))
    }

    /// `FUNCTION DUMP`, since Redis 7.0.0.
    @discardableResult
    public func functionDump() -> Answer { send(RedisCommand("FUNCTION DUMP", [], firstKey: -1, words: 2, [])) }

    /// `FUNCTION FLUSH [ASYNC | SYNC]`, since Redis 7.0.0.
    @discardableResult
    public func functionFlush(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("FUNCTION FLUSH", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `FUNCTION KILL`, since Redis 7.0.0.
    @discardableResult
    public func functionKill() -> Answer { send(RedisCommand("FUNCTION KILL", [], firstKey: -1, words: 2, [])) }

    /// `FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]`, since Redis 7.0.0.
    @discardableResult
    public func functionList(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("FUNCTION LIST", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `FUNCTION LOAD [REPLACE] function-code`, since Redis 7.0.0.
    @discardableResult
    public func functionLoad(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("FUNCTION LOAD", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]`, since Redis 7.0.0.
    @discardableResult
    public func functionRestore(_ serializedValue: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "FUNCTION RESTORE", [], firstKey: -1, words: 2,
                [serializedValue.redisArgument] + options.map(\.redisArgument)))
    }

    /// `FUNCTION STATS`, since Redis 7.0.0.
    @discardableResult
    public func functionStats() -> Answer { send(RedisCommand("FUNCTION STATS", [], firstKey: -1, words: 2, [])) }

    /// `SCRIPT DEBUG <YES | SYNC | NO>`, since Redis 3.2.0.
    @discardableResult
    public func scriptDebug(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SCRIPT DEBUG", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `SCRIPT EXISTS sha1 [sha1 ...]`, since Redis 2.6.0.
    @discardableResult
    public func scriptExists(_ sha1: any RedisEncodable...) -> Answer {
        send(RedisCommand("SCRIPT EXISTS", [], firstKey: -1, words: 2, sha1.map(\.redisArgument)))
    }

    /// `SCRIPT FLUSH [ASYNC | SYNC]`, since Redis 2.6.0.
    @discardableResult
    public func scriptFlush(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SCRIPT FLUSH", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `SCRIPT KILL`, since Redis 2.6.0.
    @discardableResult
    public func scriptKill() -> Answer { send(RedisCommand("SCRIPT KILL", [], firstKey: -1, words: 2, [])) }

    /// `SCRIPT LOAD script`, since Redis 2.6.0.
    @discardableResult
    public func scriptLoad(_ script: some RedisEncodable) -> Answer {
        send(RedisCommand("SCRIPT LOAD", [], firstKey: -1, words: 2, [script.redisArgument]))
    }
}
