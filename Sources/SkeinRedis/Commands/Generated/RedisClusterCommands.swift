// Made by scripts/redis-commands of the table of Redis's own commands: those of the group cluster.

extension RedisCommands {
    /// `CLUSTER ADDSLOTS slot [slot ...]`, since Redis 3.0.0.
    @discardableResult
    public func clusterAddslots(_ slot: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLUSTER ADDSLOTS", [], firstKey: -1, words: 2, slot.map(\.redisArgument)))
    }

    /// `CLUSTER ADDSLOTSRANGE start-slot end-slot [start-slot end-slot ...]`, since Redis 7.0.0.
    @discardableResult
    public func clusterAddslotsrange(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLUSTER ADDSLOTSRANGE", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CLUSTER BUMPEPOCH`, since Redis 3.0.0.
    @discardableResult
    public func clusterBumpepoch() -> Answer {
        send(RedisCommand("CLUSTER BUMPEPOCH", [], firstKey: -1, words: 2, []))
    }

    /// `CLUSTER COUNT-FAILURE-REPORTS node-id`, since Redis 3.0.0.
    @discardableResult
    public func clusterCountFailureReports(_ nodeId: some RedisEncodable) -> Answer {
        send(RedisCommand("CLUSTER COUNT-FAILURE-REPORTS", [], firstKey: -1, words: 2, [nodeId.redisArgument]))
    }

    /// `CLUSTER COUNTKEYSINSLOT slot`, since Redis 3.0.0.
    @discardableResult
    public func clusterCountkeysinslot(_ slot: Int) -> Answer {
        send(RedisCommand("CLUSTER COUNTKEYSINSLOT", [], firstKey: -1, words: 2, [.integer(Int64(slot))]))
    }

    /// `CLUSTER DELSLOTS slot [slot ...]`, since Redis 3.0.0.
    @discardableResult
    public func clusterDelslots(_ slot: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLUSTER DELSLOTS", [], firstKey: -1, words: 2, slot.map(\.redisArgument)))
    }

    /// `CLUSTER DELSLOTSRANGE start-slot end-slot [start-slot end-slot ...]`, since Redis 7.0.0.
    @discardableResult
    public func clusterDelslotsrange(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLUSTER DELSLOTSRANGE", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CLUSTER FAILOVER [FORCE | TAKEOVER]`, since Redis 3.0.0.
    @discardableResult
    public func clusterFailover(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLUSTER FAILOVER", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CLUSTER FLUSHSLOTS`, since Redis 3.0.0.
    @discardableResult
    public func clusterFlushslots() -> Answer {
        send(RedisCommand("CLUSTER FLUSHSLOTS", [], firstKey: -1, words: 2, []))
    }

    /// `CLUSTER FORGET node-id`, since Redis 3.0.0.
    @discardableResult
    public func clusterForget(_ nodeId: some RedisEncodable) -> Answer {
        send(RedisCommand("CLUSTER FORGET", [], firstKey: -1, words: 2, [nodeId.redisArgument]))
    }

    /// `CLUSTER GETKEYSINSLOT slot count`, since Redis 3.0.0.
    @discardableResult
    public func clusterGetkeysinslot(_ slot: Int, _ count: Int) -> Answer {
        send(
            RedisCommand(
                "CLUSTER GETKEYSINSLOT", [], firstKey: -1, words: 2,
                [.integer(Int64(slot)), .integer(Int64(count))]))
    }

    /// `CLUSTER INFO`, since Redis 3.0.0.
    @discardableResult
    public func clusterInfo() -> Answer { send(RedisCommand("CLUSTER INFO", [], firstKey: -1, words: 2, [])) }

    /// `CLUSTER KEYSLOT key`, since Redis 3.0.0.
    @discardableResult
    public func clusterKeyslot(_ key: some RedisEncodable) -> Answer {
        send(RedisCommand("CLUSTER KEYSLOT", [], firstKey: -1, words: 2, [key.redisArgument]))
    }

    /// `CLUSTER LINKS`, since Redis 7.0.0.
    @discardableResult
    public func clusterLinks() -> Answer { send(RedisCommand("CLUSTER LINKS", [], firstKey: -1, words: 2, [])) }

    /// `CLUSTER MEET ip port [cluster_bus_port]`, since Redis 3.0.0.
    @discardableResult
    public func clusterMeet(_ ip: some RedisEncodable, _ port: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "CLUSTER MEET", [], firstKey: -1, words: 2,
                [ip.redisArgument, .integer(Int64(port))] + options.map(\.redisArgument)))
    }

    /// `CLUSTER MYID`, since Redis 3.0.0.
    @discardableResult
    public func clusterMyid() -> Answer { send(RedisCommand("CLUSTER MYID", [], firstKey: -1, words: 2, [])) }

    /// `CLUSTER NODES`, since Redis 3.0.0.
    @discardableResult
    public func clusterNodes() -> Answer { send(RedisCommand("CLUSTER NODES", [], firstKey: -1, words: 2, [])) }

    /// `CLUSTER REPLICAS node-id`, since Redis 5.0.0.
    @discardableResult
    public func clusterReplicas(_ nodeId: some RedisEncodable) -> Answer {
        send(RedisCommand("CLUSTER REPLICAS", [], firstKey: -1, words: 2, [nodeId.redisArgument]))
    }

    /// `CLUSTER REPLICATE node-id`, since Redis 3.0.0.
    @discardableResult
    public func clusterReplicate(_ nodeId: some RedisEncodable) -> Answer {
        send(RedisCommand("CLUSTER REPLICATE", [], firstKey: -1, words: 2, [nodeId.redisArgument]))
    }

    /// `CLUSTER RESET [HARD | SOFT]`, since Redis 3.0.0.
    @discardableResult
    public func clusterReset(_ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("CLUSTER RESET", [], firstKey: -1, words: 2, options.map(\.redisArgument)))
    }

    /// `CLUSTER SAVECONFIG`, since Redis 3.0.0.
    @discardableResult
    public func clusterSaveconfig() -> Answer {
        send(RedisCommand("CLUSTER SAVECONFIG", [], firstKey: -1, words: 2, []))
    }

    /// `CLUSTER SET-CONFIG-EPOCH config-epoch`, since Redis 3.0.0.
    @discardableResult
    public func clusterSetConfigEpoch(_ configEpoch: Int) -> Answer {
        send(RedisCommand("CLUSTER SET-CONFIG-EPOCH", [], firstKey: -1, words: 2, [.integer(Int64(configEpoch))]))
    }

    /// `CLUSTER SETSLOT slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>`, since Redis 3.0.0.
    @discardableResult
    public func clusterSetslot(_ slot: Int, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "CLUSTER SETSLOT", [], firstKey: -1, words: 2,
                [.integer(Int64(slot))] + options.map(\.redisArgument)))
    }

    /// `CLUSTER SHARDS`, since Redis 7.0.0.
    @discardableResult
    public func clusterShards() -> Answer { send(RedisCommand("CLUSTER SHARDS", [], firstKey: -1, words: 2, [])) }

    /// `CLUSTER SLAVES node-id`, since Redis 3.0.0.
    @discardableResult
    public func clusterSlaves(_ nodeId: some RedisEncodable) -> Answer {
        send(RedisCommand("CLUSTER SLAVES", [], firstKey: -1, words: 2, [nodeId.redisArgument]))
    }

    /// `CLUSTER SLOTS`, since Redis 3.0.0.
    @discardableResult
    public func clusterSlots() -> Answer { send(RedisCommand("CLUSTER SLOTS", [], firstKey: -1, words: 2, [])) }
}
