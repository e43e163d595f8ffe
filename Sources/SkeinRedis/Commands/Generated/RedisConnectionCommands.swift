// Made by scripts/redis-commands of the table of Redis's own commands: those of the group connection.

extension RedisCommands {
    /// `CLIENT GETNAME`, since Redis 2.6.9.
    @discardableResult
    public func clientGetname() -> Answer { send(RedisCommand("CLIENT GETNAME", [], firstKey: -1, words: 2, [])) }

    /// `CLIENT GETREDIR`, since Redis 6.0.0.
    @discardableResult
    public func clientGetredir() -> Answer { send(RedisCommand("CLIENT GETREDIR", [], firstKey: -1, words: 2, [])) }

    /// `CLIENT ID`, since Redis 5.0.0.
    @discardableResult
    public func clientId() -> Answer { send(RedisCommand("CLIENT ID", [], firstKey: -1, words: 2, [])) }

    /// `CLIENT INFO`, since Redis 6.2.0.
    @discardableResult
    public func clientInfo() -> Answer { send(RedisCommand("CLIENT INFO", [], firstKey: -1, words: 2, [])) }

    /// `CLIENT KILL <ip:port | <[ID client-id] | [TYPE NORMAL | MASTER | SLAVE | REPLICA | PUBSUB] | [USER username] | [ADDR
    /// ip:port] | [LADDR ip:port] | [SKIPME yes/no]> [<[ID client-id] | [TYPE NORMAL | MASTER | SLAVE | REPLICA | PUBSUB] |
    /// [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME yes/no]> ...]>`, since Redis 2.4.0.
    @discardableResult
    public func clientKill(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLIENT KILL", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CLIENT LIST [TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id [client-id ...]]`, since Redis 2.4.0.
    @discardableResult
    public func clientList(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLIENT LIST", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CLIENT PAUSE timeout [WRITE | ALL]`, since Redis 2.9.50.
    @discardableResult
    public func clientPause(_ timeout: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "CLIENT PAUSE", [], firstKey: -1, words: 2,
                [.integer(Int64(timeout))] + options.map(\.redisArgument)))
    }

    /// `CLIENT TRACKINGINFO`, since Redis 6.2.0.
    @discardableResult
    public func clientTrackinginfo() -> Answer {
        send(RedisCommand("CLIENT TRACKINGINFO", [], firstKey: -1, words: 2, []))
    }

    /// `CLIENT UNBLOCK client-id [TIMEOUT | ERROR]`, since Redis 5.0.0.
    @discardableResult
    public func clientUnblock(_ clientId: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "CLIENT UNBLOCK", [], firstKey: -1, words: 2,
                [.integer(Int64(clientId))] + options.map(\.redisArgument)))
    }

    /// `CLIENT UNPAUSE`, since Redis 6.2.0.
    @discardableResult
    public func clientUnpause() -> Answer { send(RedisCommand("CLIENT UNPAUSE", [], firstKey: -1, words: 2, [])) }

    /// `ECHO message`, since Redis 1.0.0.
    @discardableResult
    public func echo(_ message: some RedisEncodable) -> Answer {
        send(RedisCommand("ECHO", [], firstKey: -1, [message.redisArgument]))
    }

    /// `PING [message]`, since Redis 1.0.0.
    @discardableResult
    public func ping(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("PING", [], firstKey: -1, options.map(\.redisArgument)))
    }
}
