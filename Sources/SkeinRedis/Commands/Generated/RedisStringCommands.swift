// Made by scripts/redis-commands of the table of Redis's own commands: those of the group string.

extension RedisCommands {
    /// `APPEND key value`, since Redis 2.0.0.
    @discardableResult
    public func append(_ key: String, _ value: some RedisEncodable) -> Answer {
        send(RedisCommand("APPEND", [], firstKey: 0, [.text(key), value.redisArgument]))
    }

    /// `DECR key`, since Redis 1.0.0.
    @discardableResult
    public func decr(_ key: String) -> Answer { send(RedisCommand("DECR", [], firstKey: 0, [.text(key)])) }

    /// `DECRBY key decrement`, since Redis 1.0.0.
    @discardableResult
    public func decrby(_ key: String, _ decrement: Int) -> Answer {
        send(RedisCommand("DECRBY", [], firstKey: 0, [.text(key), .integer(Int64(decrement))]))
    }

    /// `GET key`, since Redis 1.0.0.
    @discardableResult
    public func get(_ key: String) -> Answer {
        send(RedisCommand("GET", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `GETDEL key`, since Redis 6.2.0.
    @discardableResult
    public func getdel(_ key: String) -> Answer { send(RedisCommand("GETDEL", [], firstKey: 0, [.text(key)])) }

    /// `GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]`, since
    /// Redis 6.2.0.
    @discardableResult
    public func getex(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("GETEX", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `GETRANGE key start end`, since Redis 2.4.0.
    @discardableResult
    public func getrange(_ key: String, _ start: Int, _ end: Int) -> Answer {
        send(
            RedisCommand(
                "GETRANGE", [.readOnly, .cacheable], firstKey: 0,
                [.text(key), .integer(Int64(start)), .integer(Int64(end))]))
    }

    /// `INCR key`, since Redis 1.0.0.
    @discardableResult
    public func incr(_ key: String) -> Answer { send(RedisCommand("INCR", [], firstKey: 0, [.text(key)])) }

    /// `INCRBY key increment`, since Redis 1.0.0.
    @discardableResult
    public func incrby(_ key: String, _ increment: Int) -> Answer {
        send(RedisCommand("INCRBY", [], firstKey: 0, [.text(key), .integer(Int64(increment))]))
    }

    /// `INCRBYFLOAT key increment`, since Redis 2.6.0.
    @discardableResult
    public func incrbyfloat(_ key: String, _ increment: Double) -> Answer {
        send(RedisCommand("INCRBYFLOAT", [], firstKey: 0, [.text(key), .number(increment)]))
    }

    /// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`, since Redis 7.0.0.
    @discardableResult
    public func lcs(_ key1: String, _ key2: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("LCS", [.readOnly], firstKey: 0, [.text(key1), .text(key2)] + options.map(\.redisArgument)))
    }

    /// `MGET key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func mget(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("MGET", [.readOnly], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `MSET key value [key value ...]`, since Redis 1.0.1.
    @discardableResult
    public func mset(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("MSET", [], firstKey: 0, options.map(\.redisArgument)))
    }

    /// `MSETNX key value [key value ...]`, since Redis 1.0.1.
    @discardableResult
    public func msetnx(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("MSETNX", [], firstKey: 0, options.map(\.redisArgument)))
    }

    /// `PSETEX key milliseconds value`, since Redis 2.6.0.
    @discardableResult
    public func psetex(_ key: String, _ milliseconds: Int, _ value: some RedisEncodable) -> Answer {
        send(RedisCommand("PSETEX", [], firstKey: 0, [.text(key), .integer(Int64(milliseconds)), value.redisArgument]))
    }

    /// `SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds |
    /// KEEPTTL]`, since Redis 1.0.0.
    @discardableResult
    public func set(_ key: String, _ value: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SET", [], firstKey: 0, [.text(key), value.redisArgument] + options.map(\.redisArgument)))
    }

    /// `SETEX key seconds value`, since Redis 2.0.0.
    @discardableResult
    public func setex(_ key: String, _ seconds: Int, _ value: some RedisEncodable) -> Answer {
        send(RedisCommand("SETEX", [], firstKey: 0, [.text(key), .integer(Int64(seconds)), value.redisArgument]))
    }

    /// `SETNX key value`, since Redis 1.0.0.
    @discardableResult
    public func setnx(_ key: String, _ value: some RedisEncodable) -> Answer {
        send(RedisCommand("SETNX", [], firstKey: 0, [.text(key), value.redisArgument]))
    }

    /// `SETRANGE key offset value`, since Redis 2.2.0.
    @discardableResult
    public func setrange(_ key: String, _ offset: Int, _ value: some RedisEncodable) -> Answer {
        send(RedisCommand("SETRANGE", [], firstKey: 0, [.text(key), .integer(Int64(offset)), value.redisArgument]))
    }

    /// `STRLEN key`, since Redis 2.2.0.
    @discardableResult
    public func strlen(_ key: String) -> Answer {
        send(RedisCommand("STRLEN", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }
}
