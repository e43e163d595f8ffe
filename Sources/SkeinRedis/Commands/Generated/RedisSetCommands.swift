// Made by scripts/redis-commands of the table of Redis's own commands: those of the group set.

extension RedisCommands {
    /// `SADD key member [member ...]`, since Redis 1.0.0.
    @discardableResult
    public func sadd(_ key: String, _ member: any RedisEncodable...) -> Answer {
        send(RedisCommand("SADD", [], firstKey: 0, [.text(key)] + member.map(\.redisArgument)))
    }

    /// `SCARD key`, since Redis 1.0.0.
    @discardableResult
    public func scard(_ key: String) -> Answer {
        send(RedisCommand("SCARD", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `SDIFF key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func sdiff(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("SDIFF", [.readOnly], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `SDIFFSTORE destination key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func sdiffstore(_ destination: String, _ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("SDIFFSTORE", [], firstKey: 0, [.text(destination)] + key.map(\.redisArgument)))
    }

    /// `SINTER key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func sinter(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("SINTER", [.readOnly], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `SINTERCARD numkeys key [key ...] [LIMIT limit]`, since Redis 7.0.0.
    @discardableResult
    public func sintercard(_ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "SINTERCARD", [.readOnly, .movable], firstKey: -1,
                [.integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `SINTERSTORE destination key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func sinterstore(_ destination: String, _ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("SINTERSTORE", [], firstKey: 0, [.text(destination)] + key.map(\.redisArgument)))
    }

    /// `SISMEMBER key member`, since Redis 1.0.0.
    @discardableResult
    public func sismember(_ key: String, _ member: some RedisEncodable) -> Answer {
        send(RedisCommand("SISMEMBER", [.readOnly, .cacheable], firstKey: 0, [.text(key), member.redisArgument]))
    }

    /// `SMEMBERS key`, since Redis 1.0.0.
    @discardableResult
    public func smembers(_ key: String) -> Answer {
        send(RedisCommand("SMEMBERS", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `SMISMEMBER key member [member ...]`, since Redis 6.2.0.
    @discardableResult
    public func smismember(_ key: String, _ member: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "SMISMEMBER", [.readOnly, .cacheable], firstKey: 0,
                [.text(key)] + member.map(\.redisArgument)))
    }

    /// `SMOVE source destination member`, since Redis 1.0.0.
    @discardableResult
    public func smove(_ source: String, _ destination: String, _ member: some RedisEncodable) -> Answer {
        send(RedisCommand("SMOVE", [], firstKey: 0, [.text(source), .text(destination), member.redisArgument]))
    }

    /// `SPOP key [count]`, since Redis 1.0.0.
    @discardableResult
    public func spop(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SPOP", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `SRANDMEMBER key [count]`, since Redis 1.0.0.
    @discardableResult
    public func srandmember(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SRANDMEMBER", [.readOnly], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `SREM key member [member ...]`, since Redis 1.0.0.
    @discardableResult
    public func srem(_ key: String, _ member: any RedisEncodable...) -> Answer {
        send(RedisCommand("SREM", [], firstKey: 0, [.text(key)] + member.map(\.redisArgument)))
    }

    /// `SSCAN key cursor [MATCH pattern] [COUNT count]`, since Redis 2.8.0.
    @discardableResult
    public func sscan(_ key: String, _ cursor: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "SSCAN", [.readOnly], firstKey: 0,
                [.text(key), .integer(Int64(cursor))] + options.map(\.redisArgument)))
    }

    /// `SUNION key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func sunion(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("SUNION", [.readOnly], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `SUNIONSTORE destination key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func sunionstore(_ destination: String, _ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("SUNIONSTORE", [], firstKey: 0, [.text(destination)] + key.map(\.redisArgument)))
    }
}
