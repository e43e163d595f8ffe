// Made by scripts/redis-commands of the table of Redis's own commands: those of the group geo.

extension RedisCommands {
    /// `GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]`, since Redis 3.2.0.
    @discardableResult
    public func geoadd(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("GEOADD", [], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `GEODIST key member1 member2 [M | KM | FT | MI]`, since Redis 3.2.0.
    @discardableResult
    public func geodist(
        _ key: String, _ member1: some RedisEncodable, _ member2: some RedisEncodable, _ options: any RedisEncodable...
    ) -> Answer {
        send(
            RedisCommand(
                "GEODIST", [.readOnly], firstKey: 0,
                [.text(key), member1.redisArgument, member2.redisArgument] + options.map(\.redisArgument)))
    }

    /// `GEOHASH key member [member ...]`, since Redis 3.2.0.
    @discardableResult
    public func geohash(_ key: String, _ member: any RedisEncodable...) -> Answer {
        send(RedisCommand("GEOHASH", [.readOnly], firstKey: 0, [.text(key)] + member.map(\.redisArgument)))
    }

    /// `GEOPOS key member [member ...]`, since Redis 3.2.0.
    @discardableResult
    public func geopos(_ key: String, _ member: any RedisEncodable...) -> Answer {
        send(RedisCommand("GEOPOS", [.readOnly], firstKey: 0, [.text(key)] + member.map(\.redisArgument)))
    }

    /// `GEOSEARCH key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width
    /// height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`, since Redis 6.2.0.
    @discardableResult
    public func geosearch(_ key: String, _ options: any RedisEncodable...) -> Answer {
        send(RedisCommand("GEOSEARCH", [.readOnly], firstKey: 0, [.text(key)] + options.map(\.redisArgument)))
    }

    /// `GEOSEARCHSTORE destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT |
    /// MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]`, since Redis 6.2.0.
    @discardableResult
    public func geosearchstore(_ destination: String, _ source: String, _ options: any RedisEncodable...) -> Answer {
        send(
            RedisCommand(
                "GEOSEARCHSTORE", [], firstKey: 0,
                [.text(destination), .text(source)] + options.map(\.redisArgument)))
    }
}
