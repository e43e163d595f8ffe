// Made by scripts/redis-commands of the table of Redis's own commands: those of the group server.

extension RedisCommands {
    /// `ACL CAT [categoryname]`, since Redis 6.0.0.
    @discardableResult
    public func aclCat(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("ACL CAT", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `ACL DELUSER username [username ...]`, since Redis 6.0.0.
    @discardableResult
    public func aclDeluser(_ username: any RedisEncodable...) -> Answer {
        send(RedisCommand("ACL DELUSER", [], firstKey: -1, words: 2, username.map(\.redisArgument)))
    }

    /// `ACL DRYRUN username command [arg [arg ...]]`, since Redis 7.0.0.
    @discardableResult
    public func aclDryrun(
        _ username: some RedisEncodable, _ command: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "ACL DRYRUN", [], firstKey: -1, words: 2,
                [username.redisArgument, command.redisArgument] + options.map(\.redisArgument)))
    }

    /// `ACL GENPASS [bits]`, since Redis 6.0.0.
    @discardableResult
    public func aclGenpass(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("ACL GENPASS", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `ACL GETUSER username`, since Redis 6.0.0.
    @discardableResult
    public func aclGetuser(_ username: some RedisEncodable) -> Answer {
        send(RedisCommand("ACL GETUSER", [], firstKey: -1, words: 2, [username.redisArgument]))
    }

    /// `ACL LIST`, since Redis 6.0.0.
    @discardableResult
    public func aclList() -> Answer { send(RedisCommand("ACL LIST", [], firstKey: -1, words: 2, [])) }

    /// `ACL LOAD`, since Redis 6.0.0.
    @discardableResult
    public func aclLoad() -> Answer { send(RedisCommand("ACL LOAD", [], firstKey: -1, words: 2, [])) }

    /// `ACL LOG [count | RESET]`, since Redis 6.0.0.
    @discardableResult
    public func aclLog(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("ACL LOG", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `ACL SAVE`, since Redis 6.0.0.
    @discardableResult
    public func aclSave() -> Answer { send(RedisCommand("ACL SAVE", [], firstKey: -1, words: 2, [])) }

    /// `ACL SETUSER username [rule [rule ...]]`, since Redis 6.0.0.
    @discardableResult
    public func aclSetuser(_ username: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ACL SETUSER", [], firstKey: -1, words: 2,
                [username.redisArgument] + options.map(\.redisArgument)))
    }

    /// `ACL USERS`, since Redis 6.0.0.
    @discardableResult
    public func aclUsers() -> Answer { send(RedisCommand("ACL USERS", [], firstKey: -1, words: 2, [])) }

    /// `ACL WHOAMI`, since Redis 6.0.0.
    @discardableResult
    public func aclWhoami() -> Answer { send(RedisCommand("ACL WHOAMI", [], firstKey: -1, words: 2, [])) }

    /// `BGREWRITEAOF`, since Redis 1.0.0.
    @discardableResult
    public func bgrewriteaof() -> Answer { send(RedisCommand("BGREWRITEAOF", [], firstKey: -1, [])) }

    /// `BGSAVE [SCHEDULE]`, since Redis 1.0.0.
    @discardableResult
    public func bgsave(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("BGSAVE", [], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `COMMAND COUNT`, since Redis 2.8.13.
    @discardableResult
    public func commandCount() -> Answer { send(RedisCommand("COMMAND COUNT", [], firstKey: -1, words: 2, [])) }

    /// `COMMAND DOCS [command-name [command-name ...]]`, since Redis 7.0.0.
    @discardableResult
    public func commandDocs(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("COMMAND DOCS", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `COMMAND GETKEYS`, since Redis 2.8.13.
    @discardableResult
    public func commandGetkeys() -> Answer { send(RedisCommand("COMMAND GETKEYS", [], firstKey: -1, words: 2, [])) }

    /// `COMMAND GETKEYSANDFLAGS`, since Redis 7.0.0.
    @discardableResult
    public func commandGetkeysandflags() -> Answer {
        send(RedisCommand("COMMAND GETKEYSANDFLAGS", [], firstKey: -1, words: 2, []))
    }

    /// `COMMAND INFO [command-name [command-name ...]]`, since Redis 2.8.13.
    @discardableResult
    public func commandInfo(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("COMMAND INFO", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]`, since Redis 7.0.0.
    @discardableResult
    public func commandList(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("COMMAND LIST", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CONFIG GET parameter [parameter ...]`, since Redis 2.0.0.
    @discardableResult
    public func configGet(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CONFIG GET", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CONFIG RESETSTAT`, since Redis 2.0.0.
    @discardableResult
    public func configResetstat() -> Answer { send(RedisCommand("CONFIG RESETSTAT", [], firstKey: -1, words: 2, [])) }

    /// `CONFIG REWRITE`, since Redis 2.8.0.
    @discardableResult
    public func configRewrite() -> Answer { send(RedisCommand("CONFIG REWRITE", [], firstKey: -1, words: 2, [])) }

    /// `CONFIG SET parameter value [parameter value ...]`, since Redis 2.0.0.
    @discardableResult
    public func configSet(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CONFIG SET", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `DBSIZE`, since Redis 1.0.0.
    @discardableResult
    public func dbsize() -> Answer { send(RedisCommand("DBSIZE", [.readOnly], firstKey: -1, [])) }

    /// `FLUSHALL [ASYNC | SYNC]`, since Redis 1.0.0.
    @discardableResult
    public func flushall(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("FLUSHALL", [], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `FLUSHDB [ASYNC | SYNC]`, since Redis 1.0.0.
    @discardableResult
    public func flushdb(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("FLUSHDB", [], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `INFO [section [section ...]]`, since Redis 1.0.0.
    @discardableResult
    public func info(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("INFO", [], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `LASTSAVE`, since Redis 1.0.0.
    @discardableResult
    public func lastsave() -> Answer { send(RedisCommand("LASTSAVE", [], firstKey: -1, [])) }

    /// `LATENCY DOCTOR`, since Redis 2.8.13.
    @discardableResult
    public func latencyDoctor() -> Answer { send(RedisCommand("LATENCY DOCTOR", [], firstKey: -1, words: 2, [])) }

    /// `LATENCY GRAPH event`, since Redis 2.8.13.
    @discardableResult
    public func latencyGraph(_ event: some RedisEncodable) -> Answer {
        send(RedisCommand("LATENCY GRAPH", [], firstKey: -1, words: 2, [event.redisArgument]))
    }

    /// `LATENCY HISTOGRAM [command [command ...]]`, since Redis 7.0.0.
    @discardableResult
    public func latencyHistogram(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("LATENCY HISTOGRAM", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `LATENCY HISTORY event`, since Redis 2.8.13.
    @discardableResult
    public func latencyHistory(_ event: some RedisEncodable) -> Answer {
        send(RedisCommand("LATENCY HISTORY", [], firstKey: -1, words: 2, [event.redisArgument]))
    }

    /// `LATENCY LATEST`, since Redis 2.8.13.
    @discardableResult
    public func latencyLatest() -> Answer { send(RedisCommand("LATENCY LATEST", [], firstKey: -1, words: 2, [])) }

    /// `LATENCY RESET [event [event ...]]`, since Redis 2.8.13.
    @discardableResult
    public func latencyReset(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("LATENCY RESET", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `LOLWUT [VERSION version]`, since Redis 5.0.0.
    @discardableResult
    public func lolwut(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("LOLWUT", [.readOnly], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `MEMORY DOCTOR`, since Redis 4.0.0.
    @discardableResult
    public func memoryDoctor() -> Answer { send(RedisCommand("MEMORY DOCTOR", [], firstKey: -1, words: 2, [])) }

    /// `MEMORY MALLOC-STATS`, since Redis 4.0.0.
    @discardableResult
    public func memoryMallocStats() -> Answer {
        send(RedisCommand("MEMORY MALLOC-STATS", [], firstKey: -1, words: 2, []))
    }

    /// `MEMORY PURGE`, since Redis 4.0.0.
    @discardableResult
    public func memoryPurge() -> Answer { send(RedisCommand("MEMORY PURGE", [], firstKey: -1, words: 2, [])) }

    /// `MEMORY STATS`, since Redis 4.0.0.
    @discardableResult
    public func memoryStats() -> Answer { send(RedisCommand("MEMORY STATS", [], firstKey: -1, words: 2, [])) }

    /// `MEMORY USAGE key [SAMPLES count]`, since Redis 4.0.0.
    @discardableResult
    public func memoryUsage(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "MEMORY USAGE", [.readOnly], firstKey: 0, words: 2,
                [.text(key)] + options.map(\.redisArgument)))
    }

    /// `MODULE LIST`, since Redis 4.0.0.
    @discardableResult
    public func moduleList() -> Answer { send(RedisCommand("MODULE LIST", [], firstKey: -1, words: 2, [])) }

    /// `MODULE LOAD path [arg [arg ...]]`, since Redis 4.0.0.
    @discardableResult
    public func moduleLoad(_ path: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "MODULE LOAD", [], firstKey: -1, words: 2,
                [path.redisArgument] + options.map(\.redisArgument)))
    }

    /// `MODULE LOADEX path [CONFIG name value [CONFIG name value ...]] [ARGS arg [ARGS arg ...]]`, since Redis 7.0.0.
    @discardableResult
    public func moduleLoadex(_ path: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "MODULE LOADEX", [], firstKey: -1, words: 2,
                [path.redisArgument] + options.map(\.redisArgument)))
    }

    /// `MODULE UNLOAD name`, since Redis 4.0.0.
    @discardableResult
    public func moduleUnload(_ name: some RedisEncodable) -> Answer {
        send(RedisCommand("MODULE UNLOAD", [], firstKey: -1, words: 2, [name.redisArgument]))
    }

    /// `REPLICAOF <host port | NO ONE>`, since Redis 5.0.0.
    @discardableResult
    public func replicaof(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("REPLICAOF", [], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `ROLE`, since Redis 2.8.12.
    @discardableResult
    public func role() -> Answer { send(RedisCommand("ROLE", [], firstKey: -1, [])) }

    /// `SAVE`, since Redis 1.0.0.
    @discardableResult
    public func save() -> Answer { send(RedisCommand("SAVE", [], firstKey: -1, [])) }

    /// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`, since Redis 1.0.0.
    @discardableResult
    public func shutdown(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SHUTDOWN", [], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `SLOWLOG GET [count]`, since Redis 2.2.12.
    @discardableResult
    public func slowlogGet(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SLOWLOG GET", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `SLOWLOG LEN`, since Redis 2.2.12.
    @discardableResult
    public func slowlogLen() -> Answer { send(RedisCommand("SLOWLOG LEN", [], firstKey: -1, words: 2, [])) }

    /// `SLOWLOG RESET`, since Redis 2.2.12.
    @discardableResult
    public func slowlogReset() -> Answer { send(RedisCommand("SLOWLOG RESET", [], firstKey: -1, words: 2, [])) }

    /// `SWAPDB index1 index2`, since Redis 4.0.0.
    @discardableResult
    public func swapdb(_ index1: Int, _ index2: Int) -> Answer {
        send(RedisCommand("SWAPDB", [], firstKey: -1, [.integer(Int64(index1)), .integer(Int64(index2))]))
    }

    /// `TIME`, since Redis 2.6.0.
    @discardableResult
    public func time() -> Answer { send(RedisCommand("TIME", [], firstKey: -1, [])) }
}
