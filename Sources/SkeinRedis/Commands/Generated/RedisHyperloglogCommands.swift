// Made by scripts/redis-commands of the table of Redis's own commands: those of the group hyperloglog.

extension RedisCommands {
    /// `PFADD key [element [element ...]]`, since Redis 2.8.9.
    @discardableResult
    public func pfadd(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("PFADD", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `PFCOUNT key [key ...]`, since Redis 2.8.9.
    @discardableResult
    public func pfcount(_ key: any RedisEncodable...) -> Answer {
        send(RedisCommand("PFCOUNT", [.readOnly], firstKey: 0, key.map(\.redisArgument)))
    }

    /// `PFMERGE destkey sourcekey [sourcekey ...]`, since Redis 2.8.9.
    @discardableResult
    public func pfmerge(_ destkey: String, _ sourcekey: any RedisEncodable...) -> Answer {
        send(RedisCommand("PFMERGE", [], firstKey: 0, [.text(destkey)] + sourcekey.map(\.redisArgument)))
    }
}
