// Made by scripts/redis-commands of the table of Redis's own commands: those of the group stream.

extension RedisCommands {
    /// `XACK key group id [id ...]`, since Redis 5.0.0.
    @discardableResult
    public func xack(_ key: String, _ group: some RedisEncodable, _ id: any RedisEncodable...) -> Answer {
        send(RedisCommand("XACK", [], firstKey: 0, [.text(key), group.redisArgument] + id.map(\.redisArgument)))
    }

    /// `XADD key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]`,
    /// since Redis 5.0.0.
    @discardableResult
    public func xadd(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("XADD", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`, since Redis 6.2.0.
    @discardableResult
    public func xautoclaim(
        _ key: String, _ group: some RedisEncodable, _ consumer: some RedisEncodable,
        _ minIdleTime: some RedisEncodable, _ start: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "XAUTOCLAIM", [], firstKey: 0,
                [
                    .text(key), group.redisArgument, consumer.redisArgument, minIdleTime.redisArgument,
                    start.redisArgument,
                ] + options.map(\.redisArgument)))
    }

    /// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE]
    /// [JUSTID] [LASTID id]`, since Redis 5.0.0.
    @discardableResult
    public func xclaim(
        _ key: String, _ group: some RedisEncodable, _ consumer: some RedisEncodable,
        _ minIdleTime: some RedisEncodable, _ id: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "XCLAIM", [], firstKey: 0,
                [.text(key), group.redisArgument, consumer.redisArgument, minIdleTime.redisArgument]
                    + id.map(\.redisArgument)))
    }

    /// `XDEL key id [id ...]`, since Redis 5.0.0.
    @discardableResult
    public func xdel(_ key: String, _ id: any RedisEncodable...) -> Answer {
        send(RedisCommand("XDEL", [], firstKey: 0, [.text(key)] + id.map(\.redisArgument)))
    }

    /// `XGROUP CREATE key groupname <id | $> [MKSTREAM] [ENTRIESREAD entries_read]`, since Redis 5.0.0.
    @discardableResult
    public func xgroupCreate(
        _ key: String, _ groupname: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "XGROUP CREATE", [], firstKey: 0, words: 2,
                [.text(key), groupname.redisArgument] + options.map(\.redisArgument)))
    }

    /// `XGROUP CREATECONSUMER key groupname consumername`, since Redis 6.2.0.
    @discardableResult
    public func xgroupCreateconsumer(
        _ key: String, _ groupname: some RedisEncodable, _ consumername: some RedisEncodable
    ) -> Answer {
        send(
            RedisCommand(
                "XGROUP CREATECONSUMER", [], firstKey: 0, words: 2,
                [.text(key), groupname.redisArgument, consumername.redisArgument]))
    }

    /// `XGROUP DELCONSUMER key groupname consumername`, since Redis 5.0.0.
    @discardableResult
    public func xgroupDelconsumer(
        _ key: String, _ groupname: some RedisEncodable, _ consumername: some RedisEncodable
    ) -> Answer {
        send(
            RedisCommand(
                "XGROUP DELCONSUMER", [], firstKey: 0, words: 2,
                [.text(key), groupname.redisArgument, consumername.redisArgument]))
    }

    /// `XGROUP DESTROY key groupname`, since Redis 5.0.0.
    @discardableResult
    public func xgroupDestroy(_ key: String, _ groupname: some RedisEncodable) -> Answer {
        send(RedisCommand("XGROUP DESTROY", [], firstKey: 0, words: 2, [.text(key), groupname.redisArgument]))
    }

    /// `XGROUP SETID key groupname <id | $> [ENTRIESREAD entries_read]`, since Redis 5.0.0.
    @discardableResult
    public func xgroupSetid(
        _ key: String, _ groupname: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "XGROUP SETID", [], firstKey: 0, words: 2,
                [.text(key), groupname.redisArgument] + options.map(\.redisArgument)))
    }

    /// `XINFO CONSUMERS key groupname`, since Redis 5.0.0.
    @discardableResult
    public func xinfoConsumers(_ key: String, _ groupname: some RedisEncodable) -> Answer {
        send(
            RedisCommand("XINFO CONSUMERS", [.readOnly], firstKey: 0, words: 2, [.text(key), groupname.redisArgument]))
    }

    /// `XINFO GROUPS key`, since Redis 5.0.0.
    @discardableResult
    public func xinfoGroups(_ key: String) -> Answer {
        send(RedisCommand("XINFO GROUPS", [.readOnly], firstKey: 0, words: 2, [.text(key)]))
    }

    /// `XINFO STREAM key [FULL [COUNT count]]`, since Redis 5.0.0.
    @discardableResult
    public func xinfoStream(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "XINFO STREAM", [.readOnly], firstKey: 0, words: 2,
                [.text(key)] + options.map(\.redisArgument)))
    }

    /// `XLEN key`, since Redis 5.0.0.
    @discardableResult
    public func xlen(_ key: String) -> Answer {
        send(RedisCommand("XLEN", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`, since Redis 5.0.0.
    @discardableResult
    public func xpending(_ key: String, _ group: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "XPENDING", [.readOnly], firstKey: 0,
                [.text(key), group.redisArgument] + options.map(\.redisArgument)))
    }

    /// `XRANGE key start end [COUNT count]`, since Redis 5.0.0.
    @discardableResult
    public func xrange(
        _ key: String, _ start: some RedisEncodable, _ end: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "XRANGE", [.readOnly, .cacheable], firstKey: 0,
                [.text(key), start.redisArgument, end.redisArgument] + options.map(\.redisArgument)))
    }

    /// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`, since Redis 5.0.0.
    @discardableResult
    public func xread(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("XREAD", [.readOnly, .blocking, .movable], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]`, since
    /// Redis 5.0.0.
    @discardableResult
    public func xreadgroup(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("XREADGROUP", [.blocking, .movable], firstKey: -1, options.map(\.redisArgument)))
    }

    /// `XREVRANGE key end start [COUNT count]`, since Redis 5.0.0.
    @discardableResult
    public func xrevrange(
        _ key: String, _ end: some RedisEncodable, _ start: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "XREVRANGE", [.readOnly, .cacheable], firstKey: 0,
                [.text(key), end.redisArgument, start.redisArgument] + options.map(\.redisArgument)))
    }

    /// `XSETID key last-id [ENTRIESADDED entries_added] [MAXDELETEDID max_deleted_entry_id]`, since Redis 5.0.0.
    @discardableResult
    public func xsetid(_ key: String, _ lastId: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand("XSETID", [], firstKey: 0, [.text(key), lastId.redisArgument] + options.map(\.redisArgument)))
    }

    /// `XTRIM key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]`, since Redis 5.0.0.
    @discardableResult
    public func xtrim(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("XTRIM", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }
}
