// Made by scripts/redis-commands of the table of Redis's own commands: those of the group pubsub.

extension RedisCommands {
    /// `PUBLISH channel message`, since Redis 2.0.0.
    @discardableResult
    public func publish(_ channel: some RedisEncodable, _ message: some RedisEncodable) -> Answer {
        send(RedisCommand("PUBLISH", [], firstKey: -1, [channel.redisArgument, message.redisArgument]))
    }

    /// `PUBSUB CHANNELS [pattern]`, since Redis 2.8.0.
    @discardableResult
    public func pubsubChannels(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("PUBSUB CHANNELS", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `PUBSUB NUMPAT`, since Redis 2.8.0.
    @discardableResult
    public func pubsubNumpat() -> Answer { send(RedisCommand("PUBSUB NUMPAT", [], firstKey: -1, words: 2, [])) }

    /// `PUBSUB NUMSUB [channel [channel ...]]`, since Redis 2.8.0.
    @discardableResult
    public func pubsubNumsub(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("PUBSUB NUMSUB", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `PUBSUB SHARDCHANNELS [pattern]`, since Redis 7.0.0.
    @discardableResult
    public func pubsubShardchannels(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("PUBSUB SHARDCHANNELS", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]`, since Redis 7.0.0.
    @discardableResult
    public func pubsubShardnumsub(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("PUBSUB SHARDNUMSUB", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `SPUBLISH shardchannel message`, since Redis 7.0.0.
    @discardableResult
    public func spublish(_ shardchannel: some RedisEncodable, _ message: some RedisEncodable) -> Answer {
        send(RedisCommand("SPUBLISH", [], firstKey: 0, [shardchannel.redisArgument, message.redisArgument]))
    }
}
