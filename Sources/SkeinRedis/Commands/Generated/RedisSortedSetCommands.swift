// Made by scripts/redis-commands of the table of Redis's own commands: those of the group sorted set.

extension RedisCommands {
    /// `BZMPOP timeout numkeys key [key ...] <MIN | MAX> [COUNT count]`, since Redis 7.0.0.
    @discardableResult
    public func bzmpop(_ timeout: Double, _ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "BZMPOP", [.blocking, .movable], firstKey: -1,
                [.number(timeout), .integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `BZPOPMAX key [key ...] timeout`, since Redis 5.0.0.
    @discardableResult
    public func bzpopmax(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("BZPOPMAX", [.blocking], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `BZPOPMIN key [key ...] timeout`, since Redis 5.0.0.
    @discardableResult
    public func bzpopmin(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("BZPOPMIN", [.blocking], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`, since Redis 1.2.0.
    @discardableResult
    public func zadd(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("ZADD", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `ZCARD key`, since Redis 1.2.0.
    @discardableResult
    public func zcard(_ key: String) -> Answer {
        send(RedisCommand("ZCARD", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `ZCOUNT key min max`, since Redis 2.0.0.
    @discardableResult
    public func zcount(_ key: String, _ min: Double, _ max: Double) -> Answer {
        send(RedisCommand("ZCOUNT", [.readOnly, .cacheable], firstKey: 0, [.text(key), .number(min), .number(max)]))
    }

    /// `ZDIFF numkeys key [key ...] [WITHSCORES]`, since Redis 6.2.0.
    @discardableResult
    public func zdiff(_ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZDIFF", [.readOnly, .movable], firstKey: -1,
                [.integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `ZDIFFSTORE destination numkeys key [key ...]`, since Redis 6.2.0.
    @discardableResult
    public func zdiffstore(_ destination: String, _ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZDIFFSTORE", [.movable], firstKey: 0,
                [.text(destination), .integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `ZINCRBY key increment member`, since Redis 1.2.0.
    @discardableResult
    public func zincrby(_ key: String, _ increment: Int, _ member: some RedisEncodable) -> Answer {
        send(RedisCommand("ZINCRBY", [], firstKey: 0, [.text(key), .integer(Int64(increment)), member.redisArgument]))
    }

    /// `ZINTER numkeys key [key ...] [WEIGHTS weight [WEIGHTS weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`, since
    /// Redis 6.2.0.
    @discardableResult
    public func zinter(_ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZINTER", [.readOnly, .movable], firstKey: -1,
                [.integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`, since Redis 7.0.0.
    @discardableResult
    public func zintercard(_ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZINTERCARD", [.readOnly, .movable], firstKey: -1,
                [.integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [WEIGHTS weight ...]] [AGGREGATE SUM | MIN | MAX]`,
    /// since Redis 2.0.0.
    @discardableResult
    public func zinterstore(_ destination: String, _ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZINTERSTORE", [.movable], firstKey: 0,
                [.text(destination), .integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `ZLEXCOUNT key min max`, since Redis 2.8.9.
    @discardableResult
    public func zlexcount(_ key: String, _ min: some RedisEncodable, _ max: some RedisEncodable) -> Answer {
        send(RedisCommand("ZLEXCOUNT", [.readOnly], firstKey: 0, [.text(key), min.redisArgument, max.redisArgument]))
    }

    /// `ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]`, since Redis 7.0.0.
    @discardableResult
    public func zmpop(_ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("ZMPOP", [.movable], firstKey: -1, [.integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `ZMSCORE key member [member ...]`, since Redis 6.2.0.
    @discardableResult
    public func zmscore(_ key: String, _ member: any RedisEncodable...) -> Answer {
        send(RedisCommand("ZMSCORE", [.readOnly, .cacheable], firstKey: 0, [.text(key)] + member.map(\.redisArgument)))
    }

    /// `ZPOPMAX key [count]`, since Redis 5.0.0.
    @discardableResult
    public func zpopmax(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("ZPOPMAX", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `ZPOPMIN key [count]`, since Redis 5.0.0.
    @discardableResult
    public func zpopmin(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("ZPOPMIN", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `ZRANDMEMBER key [count [WITHSCORES]]`, since Redis 6.2.0.
    @discardableResult
    public func zrandmember(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("ZRANDMEMBER", [.readOnly], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`, since Redis 1.2.0.
    @discardableResult
    public func zrange(
        _ key: String, _ start: some RedisEncodable, _ stop: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "ZRANGE", [.readOnly, .cacheable], firstKey: 0,
                [.text(key), start.redisArgument, stop.redisArgument] + options.map(\.redisArgument)))
    }

    /// `ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`, since Redis 6.2.0.
    @discardableResult
    public func zrangestore(
        _ dst: String, _ src: String, _ min: some RedisEncodable, _ max: some RedisEncodable,
        _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "ZRANGESTORE", [], firstKey: 0,
                [.text(dst), .text(src), min.redisArgument, max.redisArgument] + options.map(\.redisArgument)))
    }

    /// `ZRANK key member`, since Redis 2.0.0.
    @discardableResult
    public func zrank(_ key: String, _ member: some RedisEncodable) -> Answer {
        send(RedisCommand("ZRANK", [.readOnly, .cacheable], firstKey: 0, [.text(key), member.redisArgument]))
    }

    /// `ZREM key member [member ...]`, since Redis 1.2.0.
    @discardableResult
    public func zrem(_ key: String, _ member: any RedisEncodable...) -> Answer {
        send(RedisCommand("ZREM", [], firstKey: 0, [.text(key)] + member.map(\.redisArgument)))
    }

    /// `ZREMRANGEBYLEX key min max`, since Redis 2.8.9.
    @discardableResult
    public func zremrangebylex(_ key: String, _ min: some RedisEncodable, _ max: some RedisEncodable) -> Answer {
        send(RedisCommand("ZREMRANGEBYLEX", [], firstKey: 0, [.text(key), min.redisArgument, max.redisArgument]))
    }

    /// `ZREMRANGEBYRANK key start stop`, since Redis 2.0.0.
    @discardableResult
    public func zremrangebyrank(_ key: String, _ start: Int, _ stop: Int) -> Answer {
        send(
            RedisCommand(
                "ZREMRANGEBYRANK", [], firstKey: 0,
                [.text(key), .integer(Int64(start)), .integer(Int64(stop))]))
    }

    /// `ZREMRANGEBYSCORE key min max`, since Redis 1.2.0.
    @discardableResult
    public func zremrangebyscore(_ key: String, _ min: Double, _ max: Double) -> Answer {
        send(RedisCommand("ZREMRANGEBYSCORE", [], firstKey: 0, [.text(key), .number(min), .number(max)]))
    }

    /// `ZREVRANK key member`, since Redis 2.0.0.
    @discardableResult
    public func zrevrank(_ key: String, _ member: some RedisEncodable) -> Answer {
        send(RedisCommand("ZREVRANK", [.readOnly, .cacheable], firstKey: 0, [.text(key), member.redisArgument]))
    }

    /// `ZSCAN key cursor [MATCH pattern] [COUNT count]`, since Redis 2.8.0.
    @discardableResult
    public func zscan(_ key: String, _ cursor: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZSCAN", [.readOnly], firstKey: 0,
                [.text(key), .integer(Int64(cursor))] + options.map(\.redisArgument)))
    }

    /// `ZSCORE key member`, since Redis 1.2.0.
    @discardableResult
    public func zscore(_ key: String, _ member: some RedisEncodable) -> Answer {
        send(RedisCommand("ZSCORE", [.readOnly, .cacheable], firstKey: 0, [.text(key), member.redisArgument]))
    }

    /// `ZUNION numkeys key [key ...] [WEIGHTS weight [WEIGHTS weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`, since
    /// Redis 6.2.0.
    @discardableResult
    public func zunion(_ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZUNION", [.readOnly, .movable], firstKey: -1,
                [.integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [WEIGHTS weight ...]] [AGGREGATE SUM | MIN | MAX]`,
    /// since Redis 2.0.0.
    @discardableResult
    public func zunionstore(_ destination: String, _ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "ZUNIONSTORE", [.movable], firstKey: 0,
                [.text(destination), .integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }
}
