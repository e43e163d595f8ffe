// Made by scripts/redis-commands of the table of Redis's own commands: those of the group generic.

extension RedisCommands {
    /// `COPY source destination [DB destination-db] [REPLACE]`, since Redis 6.2.0.
    @discardableResult
    public func copy(_ source: String, _ destination: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("COPY", [], firstKey: 0, [.text(source), .text(destination)] + options.map(\.redisArgument)))
    }

    /// `DEL key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func del(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("DEL", [], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `DUMP key`, since Redis 2.6.0.
    @discardableResult
    public func dump(_ key: String) -> Answer { send(RedisCommand("DUMP", [.readOnly], firstKey: 0, [.text(key)])) }

    /// `EXISTS key [key ...]`, since Redis 1.0.0.
    @discardableResult
    public func exists(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("EXISTS", [.readOnly], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `EXPIRE key seconds [NX | XX | GT | LT]`, since Redis 1.0.0.
    @discardableResult
    public func expire(_ key: String, _ seconds: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "EXPIRE", [], firstKey: 0,
                [.text(key), .integer(Int64(seconds))] + options.map(\.redisArgument)))
    }

    /// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`, since Redis 1.2.0.
    @discardableResult
    public func expireat(_ key: String, _ unixTimeSeconds: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "EXPIREAT", [], firstKey: 0,
                [.text(key), .integer(Int64(unixTimeSeconds))] + options.map(\.redisArgument)))
    }

    /// `EXPIRETIME key`, since Redis 7.0.0.
    @discardableResult
    public func expiretime(_ key: String) -> Answer {
        send(RedisCommand("EXPIRETIME", [.readOnly], firstKey: 0, [.text(key)]))
    }

    /// `KEYS pattern`, since Redis 1.0.0.
    @discardableResult
    public func keys(_ pattern: some RedisEncodable) -> Answer {
        send(RedisCommand("KEYS", [.readOnly], firstKey: -1, [pattern.redisArgument]))
    }

    /// `MIGRATE host port <key | > destination-db timeout [COPY] [REPLACE] [[AUTH password] | [AUTH2 username password]] [KEYS
    /// key [KEYS key ...]]`, since Redis 2.6.0.
    @discardableResult
    public func migrate(_ host: some RedisEncodable, _ port: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "MIGRATE", [.movable], firstKey: 2,
                [host.redisArgument, .integer(Int64(port))] + options.map(\.redisArgument)))
    }

    /// `MOVE key db`, since Redis 1.0.0.
    @discardableResult
    public func move(_ key: String, _ db: Int) -> Answer {
        send(RedisCommand("MOVE", [], firstKey: 0, [.text(key), .integer(Int64(db))]))
    }

    /// `OBJECT ENCODING key`, since Redis 2.2.3.
    @discardableResult
    public func objectEncoding(_ key: String) -> Answer {
        send(RedisCommand("OBJECT ENCODING", [.readOnly], firstKey: 0, words: 2, [.text(key)]))
    }

    /// `OBJECT FREQ key`, since Redis 4.0.0.
    @discardableResult
    public func objectFreq(_ key: String) -> Answer {
        send(RedisCommand("OBJECT FREQ", [.readOnly], firstKey: 0, words: 2, [.text(key)]))
    }

    /// `OBJECT IDLETIME key`, since Redis 2.2.3.
    @discardableResult
    public func objectIdletime(_ key: String) -> Answer {
        send(RedisCommand("OBJECT IDLETIME", [.readOnly], firstKey: 0, words: 2, [.text(key)]))
    }

    /// `OBJECT REFCOUNT key`, since Redis 2.2.3.
    @discardableResult
    public func objectRefcount(_ key: String) -> Answer {
        send(RedisCommand("OBJECT REFCOUNT", [.readOnly], firstKey: 0, words: 2, [.text(key)]))
    }

    /// `PERSIST key`, since Redis 2.2.0.
    @discardableResult
    public func persist(_ key: String) -> Answer { send(RedisCommand("PERSIST", [], firstKey: 0, [.text(key)])) }

    /// `PEXPIRE key milliseconds [NX | XX | GT | LT]`, since Redis 2.6.0.
    @discardableResult
    public func pexpire(_ key: String, _ milliseconds: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "PEXPIRE", [], firstKey: 0,
                [.text(key), .integer(Int64(milliseconds))] + options.map(\.redisArgument)))
    }

    /// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`, since Redis 2.6.0.
    @discardableResult
    public func pexpireat(_ key: String, _ unixTimeMilliseconds: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "PEXPIREAT", [], firstKey: 0,
                [.text(key), .integer(Int64(unixTimeMilliseconds))] + options.map(\.redisArgument)))
    }

    /// `PEXPIRETIME key`, since Redis 7.0.0.
    @discardableResult
    public func pexpiretime(_ key: String) -> Answer {
        send(RedisCommand("PEXPIRETIME", [.readOnly], firstKey: 0, [.text(key)]))
    }

    /// `PTTL key`, since Redis 2.6.0.
    @discardableResult
    public func pttl(_ key: String) -> Answer { send(RedisCommand("PTTL", [.readOnly], firstKey: 0, [.text(key)])) }

    /// `RANDOMKEY`, since Redis 1.0.0.
    @discardableResult
    public func randomkey() -> Answer { send(RedisCommand("RANDOMKEY", [.readOnly], firstKey: -1, [])) }

    /// `RENAME key newkey`, since Redis 1.0.0.
    @discardableResult
    public func rename(_ key: String, _ newkey: String) -> Answer {
        send(RedisCommand("RENAME", [], firstKey: 0, [.text(key), .text(newkey)]))
    }

    /// `RENAMENX key newkey`, since Redis 1.0.0.
    @discardableResult
    public func renamenx(_ key: String, _ newkey: String) -> Answer {
        send(RedisCommand("RENAMENX", [], firstKey: 0, [.text(key), .text(newkey)]))
    }

    /// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`, since Redis 2.6.0.
    @discardableResult
    public func restore(
        _ key: String, _ ttl: Int, _ serializedValue: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "RESTORE", [], firstKey: 0,
                [.text(key), .integer(Int64(ttl)), serializedValue.redisArgument] + options.map(\.redisArgument)))
    }

    /// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`, since Redis 2.8.0.
    @discardableResult
    public func scan(_ cursor: Int, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SCAN", [.readOnly], firstKey: -1, [.integer(Int64(cursor))] + options.map(\.redisArgument)))
    }

    /// `SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]`,
    /// since Redis 1.0.0.
    @discardableResult
    public func sort(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SORT", [.movable], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]`, since Redis 7.0.0.
    @discardableResult
    public func sortRo(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("SORT_RO", [.readOnly, .movable], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `TOUCH key [key ...]`, since Redis 3.2.1.
    @discardableResult
    public func touch(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("TOUCH", [.readOnly], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `TTL key`, since Redis 1.0.0.
    @discardableResult
    public func ttl(_ key: String) -> Answer { send(RedisCommand("TTL", [.readOnly], firstKey: 0, [.text(key)])) }

    /// `TYPE key`, since Redis 1.0.0.
    @discardableResult
    public func `type`(_ key: String) -> Answer {
        send(RedisCommand("TYPE", [.readOnly, .cacheable], firstKey: 0, [.text(key)]))
    }

    /// `UNLINK key [key ...]`, since Redis 4.0.0.
    @discardableResult
    public func unlink(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("UNLINK", [], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `WAIT numreplicas timeout`, since Redis 3.0.0.
    @discardableResult
    public func wait(_ numreplicas: Int, _ timeout: Int) -> Answer {
        send(RedisCommand("WAIT", [], firstKey: -1, [.integer(Int64(numreplicas)), .integer(Int64(timeout))]))
    }
}
