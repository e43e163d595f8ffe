// Made by scripts/redis-commands of the table of Redis's own commands: those of the group bitmap.

extension RedisCommands {
    /// `BITCOUNT key [start end [BYTE | BIT]]`, since Redis 2.6.0.
    @discardableResult
    public func bitcount(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "BITCOUNT", [.readOnly, .cacheable], firstKey: 0,
                [.text(key)] + options.map(\.redisArgument)))
    }

    /// `BITFIELD key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] <SET encoding offset value | INCRBY encoding offset
    /// increment> [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] <SET encoding offset value | INCRBY encoding offset
    /// increment> ...]]`, since Redis 3.2.0.
    @discardableResult
    public func bitfield(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("BITFIELD", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `BITFIELD_RO key [GET encoding offset [GET encoding offset ...]]`, since Redis 6.0.0.
    @discardableResult
    public func bitfieldRo(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("BITFIELD_RO", [.readOnly], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `BITOP operation destkey key [key ...]`, since Redis 2.6.0.
    @discardableResult
    public func bitop(_ operation: some RedisEncodable, _ destkey: String, _ key: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "BITOP", [], firstKey: 1,
                [operation.redisArgument, .text(destkey)] + key.map(\.redisArgument)))
    }

    /// `BITPOS key bit [start [end [BYTE | BIT]]]`, since Redis 2.8.7.
    @discardableResult
    public func bitpos(_ key: String, _ bit: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "BITPOS", [.readOnly, .cacheable], firstKey: 0,
                [.text(key), .integer(Int64(bit))] + options.map(\.redisArgument)))
    }

    /// `GETBIT key offset`, since Redis 2.2.0.
    @discardableResult
    public func getbit(_ key: String, _ offset: Int) -> Answer {
        send(RedisCommand("GETBIT", [.readOnly, .cacheable], firstKey: 0, [.text(key), .integer(Int64(offset))]))
    }

    /// `SETBIT key offset value`, since Redis 2.2.0.
    @discardableResult
    public func setbit(_ key: String, _ offset: Int, _ value: Int) -> Answer {
        send(RedisCommand("SETBIT", [], firstKey: 0, [.text(key), .integer(Int64(offset)), .integer(Int64(value))]))
    }
}
