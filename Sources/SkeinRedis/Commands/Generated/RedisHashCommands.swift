// Made by scripts/redis-commands of the table of Redis's own commands: those of the group hash.

extension RedisCommands {
    /// `HDEL key field [field ...]`, since Redis 2.0.0.
    @discardableResult
    public func hdel(_ key: String, _ field: any RedisEncodable...) -> Answer {
        send(RedisCommand("HDEL", [], firstKey: 0, [.text(key)] + field.map(\.redisArgument)))
    }

    /// `HEXISTS key field`, since Redis 2.0.0.
    @discardableResult
    public func hexists(_ key: String, _ field: some RedisEncodable) -> Answer {
        send(RedisCommand("HEXISTS", [.readOnly, .cacheable], firstKey: 0, [.text(key), field.redisArgument]))
    }

    /// `HGET key field`, since Redis 2.0.0.
    @discardableResult
    public func hget(_ key: String, _ field: some RedisEncodable) -> Answer {
        send(RedisCommand("HGET", [.readOnly, .cacheable], firstKey: 0, [.text(key), field.redisArgument]))
    }

    /// `HGETALL key`, since Redis 2.0.0.
    @discardableResult
    public func hgetall(_ key: String) -> Answer {
        send(RedisCommand("HGETALL", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `HINCRBY key field increment`, since Redis 2.0.0.
    @discardableResult
    public func hincrby(_ key: String, _ field: some RedisEncodable, _ increment: Int) -> Answer {
        send(RedisCommand("HINCRBY", [], firstKey: 0, [.text(key), field.redisArgument, .integer(Int64(increment))]))
    }

    /// `HINCRBYFLOAT key field increment`, since Redis 2.6.0.
    @discardableResult
    public func hincrbyfloat(_ key: String, _ field: some RedisEncodable, _ increment: Double) -> Answer {
        send(RedisCommand("HINCRBYFLOAT", [], firstKey: 0, [.text(key), field.redisArgument, .number(increment)]))
    }

    /// `HKEYS key`, since Redis 2.0.0.
    @discardableResult
    public func hkeys(_ key: String) -> Answer {
        send(RedisCommand("HKEYS", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `HLEN key`, since Redis 2.0.0.
    @discardableResult
    public func hlen(_ key: String) -> Answer {
        send(RedisCommand("HLEN", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `HMGET key field [field ...]`, since Redis 2.0.0.
    @discardableResult
    public func hmget(_ key: String, _ field: any RedisEncodable...) -> Answer {
        send(RedisCommand("HMGET", [.readOnly, .cacheable], firstKey: 0, [.text(key)] + field.map(\.redisArgument)))
    }

    /// `HRANDFIELD key [count [WITHVALUES]]`, since Redis 6.2.0.
    @discardableResult
    public func hrandfield(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("HRANDFIELD", [.readOnly], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `HSCAN key cursor [MATCH pattern] [COUNT count]`, since Redis 2.8.0.
    @discardableResult
    public func hscan(_ key: String, _ cursor: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "HSCAN", [.readOnly], firstKey: 0,
                [.text(key), .integer(Int64(cursor))] + options.map(\.redisArgument)))
    }

    /// `HSET key field value [field value ...]`, since Redis 2.0.0.
    @discardableResult
    public func hset(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("HSET", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `HSETNX key field value`, since Redis 2.0.0.
    @discardableResult
    public func hsetnx(_ key: String, _ field: some RedisEncodable, _ value: some RedisEncodable) -> Answer {
        send(RedisCommand("HSETNX", [], firstKey: 0, [.text(key), field.redisArgument, value.redisArgument]))
    }

    /// `HSTRLEN key field`, since Redis 3.2.0.
    @discardableResult
    public func hstrlen(_ key: String, _ field: some RedisEncodable) -> Answer {
        send(RedisCommand("HSTRLEN", [.readOnly, .cacheable], firstKey: 0, [.text(key), field.redisArgument]))
    }

    /// `HVALS key`, since Redis 2.0.0.
    @discardableResult
    public func hvals(_ key: String) -> Answer {
        send(RedisCommand("HVALS", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }
}
