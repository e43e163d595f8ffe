// Made by scripts/redis-commands of the table of Redis's own commands: those of the group list.

extension RedisCommands {
    /// `BLMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout`, since Redis 6.2.0.
    @discardableResult
    public func blmove(_ source: String, _ destination: String, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "BLMOVE", [.blocking], firstKey: 0,
                [.text(source), .text(destination)] + options.map(\.redisArgument)))
    }

    /// `BLMPOP timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]`, since Redis 7.0.0.
    @discardableResult
    public func blmpop(_ timeout: Double, _ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "BLMPOP", [.blocking, .movable], firstKey: -1,
                [.number(timeout), .integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `BLPOP key [key ...] timeout`, since Redis 2.0.0.
    @discardableResult
    public func blpop(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("BLPOP", [.blocking], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `BRPOP key [key ...] timeout`, since Redis 2.0.0.
    @discardableResult
    public func brpop(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("BRPOP", [.blocking], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `LINDEX key index`, since Redis 1.0.0.
    @discardableResult
    public func lindex(_ key: String, _ index: Int) -> Answer {
        send(RedisCommand("LINDEX", [.readOnly, .cacheable], firstKey: 0, [.text(key), .integer(Int64(index))]))
    }

    /// `LINSERT key <BEFORE | AFTER> pivot element`, since Redis 2.2.0.
    @discardableResult
    public func linsert(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("LINSERT", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `LLEN key`, since Redis 1.0.0.
    @discardableResult
    public func llen(_ key: String) -> Answer {
        send(RedisCommand("LLEN", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>`, since Redis 6.2.0.
    @discardableResult
    public func lmove(_ source: String, _ destination: String, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand("LMOVE", [], firstKey: 0, [.text(source), .text(destination)] + options.map(\.redisArgument)))
    }

    /// `LMPOP numkeys key [key ...] <LEFT | RIGHT> [COUNT count]`, since Redis 7.0.0.
    @discardableResult
    public func lmpop(_ numkeys: Int, _ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("LMPOP", [.movable], firstKey: -1, [.integer(Int64(numkeys))] + key.map(\.redisArgument)))
    }

    /// `LPOP key [count]`, since Redis 1.0.0.
    @discardableResult
    public func lpop(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("LPOP", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`, since Redis 6.0.6.
    @discardableResult
    public func lpos(_ key: String, _ element: some RedisEncodable, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "LPOS", [.readOnly, .cacheable], firstKey: 0,
                [.text(key), element.redisArgument] + options.map(\.redisArgument)))
    }

    /// `LPUSH key element [element ...]`, since Redis 1.0.0.
    @discardableResult
    public func lpush(_ key: String, _ element: any RedisEncodable...) -> Answer {
        send(RedisCommand("LPUSH", [], firstKey: 0, [.text(key)] + element.map(\.redisArgument)))
    }

    /// `LPUSHX key element [element ...]`, since Redis 2.2.0.
    @discardableResult
    public func lpushx(_ key: String, _ element: any RedisEncodable...) -> Answer {
        send(RedisCommand("LPUSHX", [], firstKey: 0, [.text(key)] + element.map(\.redisArgument)))
    }

    /// `LRANGE key start stop`, since Redis 1.0.0.
    @discardableResult
    public func lrange(_ key: String, _ start: Int, _ stop: Int) -> Answer {
        send(
            RedisCommand(
                "LRANGE", [.readOnly, .cacheable], firstKey: 0,
                [.text(key), .integer(Int64(start)), .integer(Int64(stop))]))
    }

    /// `LREM key count element`, since Redis 1.0.0.
    @discardableResult
    public func lrem(_ key: String, _ count: Int, _ element: some RedisEncodable) -> Answer {
        send(RedisCommand("LREM", [], firstKey: 0, [.text(key), .integer(Int64(count)), element.redisArgument]))
    }

    /// `LSET key index element`, since Redis 1.0.0.
    @discardableResult
    public func lset(_ key: String, _ index: Int, _ element: some RedisEncodable) -> Answer {
        send(RedisCommand("LSET", [], firstKey: 0, [.text(key), .integer(Int64(index)), element.redisArgument]))
    }

    /// `LTRIM key start stop`, since Redis 1.0.0.
    @discardableResult
    public func ltrim(_ key: String, _ start: Int, _ stop: Int) -> Answer {
        send(RedisCommand("LTRIM", [], firstKey: 0, [.text(key), .integer(Int64(start)), .integer(Int64(stop))]))
    }

    /// `RPOP key [count]`, since Redis 1.0.0.
    @discardableResult
    public func rpop(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("RPOP", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `RPUSH key element [element ...]`, since Redis 1.0.0.
    @discardableResult
    public func rpush(_ key: String, _ element: any RedisEncodable...) -> Answer {
        send(RedisCommand("RPUSH", [], firstKey: 0, [.text(key)] + element.map(\.redisArgument)))
    }

    /// `RPUSHX key element [element ...]`, since Redis 2.2.0.
    @discardableResult
    public func rpushx(_ key: String, _ element: any RedisEncodable...) -> Answer {
        send(RedisCommand("RPUSHX", [], firstKey: 0, [.text(key)] + element.map(\.redisArgument)))
    }
}
