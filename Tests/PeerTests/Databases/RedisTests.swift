import Foundation
import PeerSupport
import Skein
import SkeinPostgres
import SkeinRedis
import Testing

/// Redis 7 and its own client.
@Suite("Redis", .timeLimit(.minutes(3)))
struct RedisTests {
    private func client(_ path: String = "/0", user: String = "") async throws -> (SkeinClient, RedisClient) {
        let skein = SkeinClient(concurrency: 10_000)
        return (skein, try skein.redis(try await RedisPeer.shared.get().url(path, user: user)))
    }

    @Test("commands by method, by name, with every kind of value", arguments: ["3", "2"])
    func commands(version: String) async throws {
        let (skein, redis) = try await client("/1?protocol=\(version)")
        let k = "commands\(version)"
        try await redis.set(k, "hello ü").commit()
        #expect(try await redis.get(k).fetch(String.self) == "hello ü")
        #expect(try await redis.get("\(k) nothing").fetch().isNull)
        #expect(try await redis.get("\(k) nothing").fetch(String?.self) == nil)
        try await redis.set("\(k) bytes", [0, 255, 13, 10] as [UInt8], "EX", 100).commit()
        #expect(try await redis.get("\(k) bytes").fetch(Data.self) == Data([0, 255, 13, 10]))
        #expect(try await redis.incrby("\(k) n", 41).fetch(Int.self) == 41)
        #expect(try await redis.rpush("\(k) list", 32534, "3453", 6786.5).fetch(Int.self) == 3)
        #expect(try await redis.lrange("\(k) list", 0, 3).fetch([String].self) == ["32534", "3453", "6786.5"])
        try await redis.hset("\(k) hash", "name", "weaver", "age", 7).commit()
        struct User: Decodable, Equatable {
            let name: String
            let age: Int
            let note: String?
        }
        #expect(try await redis.hgetall("\(k) hash").fetch(User.self) == User(name: "weaver", age: 7, note: nil))
        try await redis.zadd("\(k) zset", 1.5, "a", 2, "b").commit()
        #expect(try await redis.zscore("\(k) zset", "a").fetch(Double.self) == 1.5)
        let port = try await RedisPeer.shared.get().port
        #expect(try await redis.config_get("port").fetch()["port"]?.int == port)
        #expect(try await redis.object("ENCODING", "\(k) n").fetch(String.self) == "int")
        #expect(try await redis.eval_ro("return {1, 'two', {3}}", 0).fetch()[2]?[0]?.int == 3)
        let wrong = await redis.lpush(k, 1).dispatch()
        #expect(wrong.statusCode == 500 && wrong.redisError?.kind == "WRONGTYPE" && wrong.outcome == .requestFailed)
        #expect(await redis.nonsense(1).dispatch().redisError?.kind == "ERR")
        #expect(skein.connectCount == 1)
        await skein.shutdown()
    }

    @Test("users, passwords, databases, unix sockets")
    func sessions() async throws {
        let peer = try await RedisPeer.shared.get()
        let (skein, redis) = try await client("/2", user: "weaver:s3cret@")
        #expect(try await redis.aclWhoami().fetch(String.self) == "weaver")
        try await redis.set("where", 2).commit()
        #expect(try await peer.command("-n", "2", "get", "where") == "2")
        let (_, refused) = try await client("/0", user: "weaver:wrong@")
        #expect(await refused.ping().dispatch().failure?.code == .unknownAuthentication)
        let local = try skein.redis("redis+unix://\(peer.folder)/s?db=2")
        #expect(try await local.get("where").fetch(Int.self) == 2)
        #expect(await redis.send(RedisCommand("SELECT", [3])).dispatch().failure?.code == .exception)
        await skein.shutdown()
    }

    @Test("thousands of callers on one connection, each with its own response")
    func pipelining() async throws {
        let (skein, redis) = try await client("/3?pool_size=1")
        let answers = try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for number in 0..<5000 {
                group.addTask { (number, try await redis.echo("tag \(number)").fetch(String.self)) }
            }
            return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
        }
        for number in 0..<5000 { #expect(answers[number] == "tag \(number)") }
        #expect(skein.connectCount == 1)
        await skein.shutdown()
    }

    @Test("transactions: atomic, without commands in between; watched keys are retried")
    func transactions() async throws {
        let skein = SkeinClient()
        var options = try RedisConfiguration(try await RedisPeer.shared.get().url("/4?pool_size=4"))
        // Transactions that conflict are tried again, and others wait for their connections.
        options.pool.leaseTimeout = .seconds(60)
        let redis = skein.redis(options)
        try await redis.flushdb().commit()
        let answers = try await redis.multi {
            $0.set("a", 1)
            $0.incr("a")
            $0.lpush("a", 1)
            $0.get("a")
        }.fetch()
        #expect(answers[1]?.int == 2 && answers[3]?.string == "2")
        guard case .error(let error)? = answers[2] else { throw PeerError("no error among the answers") }
        #expect(error.kind == "WRONGTYPE")
        let refused = await redis.multi {
            $0.set("b", 1)
            $0.send(RedisCommand("NONSENSE"))
        }.dispatch()
        #expect(refused.redisError?.message.contains("unknown command") == true)
        #expect(try await redis.exists("b").fetch(Int.self) == 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    try await redis.watch("sum", attempts: 100) { reader, change in
                        let sum = try await reader.get("sum").fetch(Int?.self) ?? 0
                        change.set("sum", sum + 1)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await redis.get("sum").fetch(Int.self) == 20)
        await skein.shutdown()
    }

    @Test("blocking commands have an exclusive connection, and return it")
    func blocking() async throws {
        let (skein, redis) = try await client("/5?pool_size=3")
        let waiting = redis.blpop("jobs", 0)
        #expect(try await redis.ping().fetch(String.self) == "PONG")
        try await redis.rpush("jobs", "weave").commit()
        #expect(try await waiting.fetch([String].self) == ["jobs", "weave"])
        let given = redis.blpop("nothing", 0)
        #expect(try await redis.ping().fetch(String.self) == "PONG")
        given.cancel()
        #expect(await given.dispatch().failure?.code == .cancelled)
        for _ in 0..<5 { #expect(try await redis.blpop("nothing", 0.01).fetch().isNull) }
        #expect(await redis.connectionCount <= 3)
        await skein.shutdown()
    }

    @Test("messages to channels and patterns; key events", arguments: ["3", "2"])
    func subscriptions(version: String) async throws {
        let (skein, redis) = try await client("/6?protocol=\(version)")
        let name = "news\(version)"
        let news = try await redis.subscribe("\(name).a", "\(name).b")
        let all = try await redis.psubscribe("\(name).*")
        for number in 0..<100 { try await redis.publish("\(name).a", "\(number)").commit() }
        var walk = news.makeAsyncIterator()
        var everything = all.makeAsyncIterator()
        for number in 0..<100 {
            #expect(try await walk.next()?.payload.string == "\(number)")
            let message = try await everything.next()
            #expect(message?.pattern == "\(name).*" && message?.channel == "\(name).a")
        }
        news.stop()
        #expect(try await walk.next() == nil)
        #expect(try await redis.publish("\(name).a", "x").fetch(Int.self) == 1)
        try await redis.configSet("notify-keyspace-events", "KA").commit()
        let events = try await redis.keyspaceEvents("watched\(version)*")
        try await redis.set("watched\(version)", 1).commit()
        var happened = events.makeAsyncIterator()
        let event = try await happened.next()
        #expect(event?.payload.string == "set" && event?.channel.hasSuffix("watched\(version)") == true)
        await skein.shutdown()
        await #expect(throws: SkeinError.self) { () async throws in
            while try await everything.next() != nil {}
        }
    }

    @Test("a stream, two consumers of a group: each entry once, pending ones again")
    func streams() async throws {
        let (skein, redis) = try await client("/7")
        try await redis.flushdb().commit()
        let reader = redis.consume("orders", group: "weavers", consumer: "one", count: 10)
        var walk = reader.makeAsyncIterator()
        for number in 0..<25 { redis.xadd("orders", "*", "number", number) }
        for number in 0..<25 {
            let entry = try #require(try await walk.next())
            #expect(entry["number"]?.int == number)
            if number != 7 { reader.ack(entry) }
        }
        var again = redis.consume("orders", group: "weavers", consumer: "one").makeAsyncIterator()
        #expect(try await again.next()?["number"]?.int == 7)
        await skein.shutdown()
    }

    @Test("scripts by hash, and functions")
    func scripts() async throws {
        let (skein, redis) = try await client("/8")
        let script = RedisScript("redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])")
        for word in ["a", "b"] { #expect(try await redis.run(script, keys: ["scripted"], word).string == word) }
        try await redis.functionLoad(
            "REPLACE", "#!lua name=skein\nredis.register_function('twice', function(k, a) return a[1] * 2 end)"
        )
        .commit()
        #expect(try await redis.fcall("twice", 0, 21).fetch(Int.self) == 42)
        await skein.shutdown()
    }

    @Test("responses are cached until their key changes")
    func kept() async throws {
        let peer = try await RedisPeer()
        let skein = SkeinClient()
        let redis = try skein.redis(peer.url("/9?cached=100"))
        try await redis.set("kept", 1).commit()
        #expect(try await redis.get("kept").fetch(Int.self) == 1)
        try await peer.command("config", "resetstat")
        for _ in 0..<100 { #expect(try await redis.get("kept").fetch(Int.self) == 1) }
        let statistics = try await peer.command("info", "commandstats")
        #expect(!statistics.contains("cmdstat_get:"))
        try await peer.command("-n", "9", "set", "kept", "2")
        // The server sends notifications with a delay.
        for attempt in 0..<1000 {
            if try await redis.get("kept").fetch(Int.self) == 2 { break }
            #expect(attempt < 999)
        }
        // A key given as a number is the same key.
        let seven = RedisCommand("GET", [7])
        try await redis.set("7", "old").commit()
        #expect(try await redis.send(seven).fetch(String.self) == "old")
        try await peer.command("-n", "9", "set", "7", "new")
        for attempt in 0..<1000 {
            if try await redis.send(seven).fetch(String.self) == "new" { break }
            #expect(attempt < 999)
        }
        await skein.shutdown()
        await peer.crash()
    }

    // MARK: Failures

    @Test(
        "a server that dies under load: an answer or an error for each, no answer for another; then all is well again")
    func crash() async throws {
        let peer = try await RedisPeer()
        let skein = SkeinClient(concurrency: 1000)
        let redis = try skein.redis(peer.url("/0?timeout=5"))
        let load = Task {
            await withTaskGroup(of: (Int, Int).self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        var good = 0
                        var bad = 0
                        for turn in 0..<400 {
                            let tag = "\(caller) \(turn)"
                            let response = await redis.echo(tag).dispatch()
                            if response.failure != nil {
                                bad += 1
                            } else {
                                #expect(response.content.string == tag)
                                good += 1
                            }
                            if bad > 0 { try? await Task.sleep(for: .milliseconds(2)) }
                        }
                        return (good, bad)
                    }
                }
                return await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
            }
        }
        try await Task.sleep(for: .milliseconds(50))
        await peer.crash()
        try await peer.restart()
        let (good, bad) = await load.value
        #expect(good + bad == 64 * 400)
        #expect(try await redis.echo("well").fetch(String.self) == "well")
        await peer.crash()
        let gone = await redis.ping().dispatch()
        #expect(gone.outcome == .networkError)
        await skein.shutdown()
    }

    @Test("a server that stops responding: calls time out, and later ones get a working connection")
    func silence() async throws {
        let peer = try await RedisPeer()
        let skein = SkeinClient()
        let redis = try skein.redis(peer.url())
        #expect(try await redis.ping().fetch(String.self) == "PONG")
        peer.send(SIGSTOP)
        let stuck = redis.send(RedisCommand("GET", ["a"]), timeout: .milliseconds(300))
        #expect(await stuck.dispatch().failure?.code == .timeout)
        peer.send(SIGCONT)
        #expect(try await redis.ping().fetch(String.self) == "PONG")
        await peer.crash()
        await skein.shutdown()
    }

    @Test("a server that goes silent while idle is detected, also by subscribers")
    func silentWhileIdle() async throws {
        let peer = try await RedisPeer()
        let skein = SkeinClient()
        var options = try RedisConfiguration(peer.url())
        options.pool.checkInterval = .milliseconds(200)
        let redis = skein.redis(options)
        try await redis.ping().commit()
        let news = try await redis.subscribe("news")
        peer.send(SIGSTOP)
        await #expect(throws: SkeinError.self) { () async throws in
            for try await _ in news {}
        }
        while await redis.connectionCount > 0 { try await Task.sleep(for: .milliseconds(20)) }
        peer.send(SIGCONT)
        #expect(try await redis.ping().fetch(String.self) == "PONG")
        await peer.crash()
        await skein.shutdown()
    }

    @Test("several loops, callers on none of them: each has its connection, and all work")
    func loops() async throws {
        var configuration = SkeinClient.Configuration()
        configuration.threads = 2
        configuration.concurrency = 1000
        let skein = SkeinClient(configuration)
        var options = try RedisConfiguration(try await RedisPeer.shared.get().url("/12"))
        options.pool.leaseTimeout = .seconds(60)
        let redis = skein.redis(options)
        let db = try skein.postgres(try await PostgresPeer.shared.get().url())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    try await redis.watch("loops", attempts: 1000) { reader, change in
                        change.set("loops", (try await reader.get("loops").fetch(Int?.self) ?? 0) + 1)
                    }
                    #expect(try await db.execute("SELECT \(number)::int").one(Int.self) == number)
                    try await db.transaction { (tx) async throws in
                        for step in 0..<3 { tx.execute("SELECT set_config('skein.step', \("\(step)"), true)") }
                        #expect(try await tx.execute("SELECT current_setting('skein.step')").one(String.self) == "2")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await redis.get("loops").fetch(Int.self) == 40)
        await skein.shutdown()
    }

    @Test(
        "bytes that no server sends end the connection and its calls, with the reason",
        arguments: [
            "$1073741824\r\n", "*-2\r\n", "?what\r\n", "*100000000\r\n", ":12a\r\n", "#x\r\n", "$3\r\nabcd\r\n",
            String(repeating: "*1\r\n", count: 100),
        ])
    func lies(bytes: String) async throws {
        let server = try await ScriptedServer.start { _ in [.send("+OK\r\n"), .until("GET"), .send(bytes)] }
        let skein = SkeinClient()
        let redis = try skein.redis("redis://127.0.0.1:\(server.port)/0?timeout=5")
        let first = redis.get("a")
        let second = redis.get("b")
        let failures = [await first.dispatch().failure, await second.dispatch().failure].compactMap { $0 }
        #expect(failures.contains { $0.code == .responseHeaderError })
        await skein.shutdown()
    }

    // MARK: Several servers

    @Test("a cluster: each key is sent to its server, and follows when it moves")
    func cluster() async throws {
        let peers = try await RedisPeer.cluster.get()
        let skein = SkeinClient(concurrency: 1000)
        let redis = try skein.redis("redis+cluster://127.0.0.1:\(peers[1].port)")
        for number in 0..<200 { try await redis.set("key \(number)", number).commit() }
        for number in 0..<200 { #expect(try await redis.get("key \(number)").fetch(Int.self) == number) }
        #expect(try await redis.mget("{tag} a", "{tag} b").fetch().elements?.count == 2)
        #expect(await redis.mget("a", "b", "c").dispatch().redisError?.kind == "CROSSSLOT")
        let answers = try await redis.multi {
            $0.set("{tag} x", 1)
            $0.incr("{tag} x")
        }.fetch()
        #expect(answers[1]?.int == 2)
        // A slot moves while it is in use.
        let slot = "\(RedisPeerSlots.slot("moving"))"
        try await redis.set("moving", "1").commit()
        var ids: [String] = []
        for peer in peers { ids.append(try await peer.command("cluster", "myid")) }
        let source = try #require(
            try await withThrowingTaskGroup(of: Int?.self) { group in
                for (place, peer) in peers.enumerated() {
                    group.addTask { try await peer.command("cluster", "countkeysinslot", slot) == "1" ? place : nil }
                }
                for try await place in group { if let place { return place } }
                return nil
            })
        let target = (source + 1) % 3
        try await peers[target].command("cluster", "setslot", slot, "importing", ids[source])
        try await peers[source].command("cluster", "setslot", slot, "migrating", ids[target])
        #expect(try await redis.get("moving").fetch(Int.self) == 1)
        try await peers[source].command("migrate", "127.0.0.1", "\(peers[target].port)", "moving", "0", "1000")
        #expect(try await redis.get("moving").fetch(Int.self) == 1)  // ASK
        for peer in peers { try await peer.command("cluster", "setslot", slot, "node", ids[target]) }
        #expect(try await redis.incr("moving").fetch(Int.self) == 2)  // MOVED
        await skein.shutdown()
    }

    @Test("a sentinel's master, and its successor after a crash")
    func sentinel() async throws {
        let master = try await RedisPeer()
        let replica = try await RedisPeer(extra: ["--replicaof", "127.0.0.1", "\(master.port)"])
        let port = try await Ports.free()
        let path = TestFolder.path("sentinel.conf")
        try """
        port \(port)
        bind 127.0.0.1
        sentinel monitor loom 127.0.0.1 \(master.port) 1
        sentinel down-after-milliseconds loom 300
        sentinel failover-timeout loom 2000
        """.write(toFile: path, atomically: true, encoding: .utf8)
        let sentinel = try await RedisPeer("redis-sentinel", extra: [path], port: port)
        for attempt in 0... {
            if try await sentinel.command("sentinel", "replicas", "loom").contains("\(replica.port)"),
                try await replica.command("role").contains("connected")
            {
                break
            }
            guard attempt < 1500 else { throw PeerError("the sentinel finds no replica") }
            try await Task.sleep(for: .milliseconds(20))
        }
        let skein = SkeinClient()
        let redis = try skein.redis("redis+sentinel://127.0.0.1:\(port)/0?master=loom")
        try await redis.set("a", 1).commit()
        try await redis.send(RedisCommand("WAIT", [1, 5000])).commit()
        await master.crash()
        var value: Int?
        for _ in 0..<1500 where value == nil {
            let response = await redis.incr("a").dispatch()
            if response.failure == nil, response.redisError == nil { value = response.content.int }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(value == 2)
        await replica.crash()
        await sentinel.crash()
        await skein.shutdown()
    }
}

/// The slot of a key, computed here in the same way as by the server.
enum RedisPeerSlots {
    static func slot(_ key: String) -> Int {
        var crc: UInt16 = 0
        for byte in key.utf8 {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        }
        return Int(crc) % 16384
    }
}
