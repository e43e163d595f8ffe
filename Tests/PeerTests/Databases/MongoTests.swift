import Foundation
import NIOCore
import PeerSupport
import Skein
import SkeinAncestors
import SkeinMongo
import Testing

/// MockupDB's wire server over mongomock, and pymongo as the other client.
@Suite("MongoDB", .timeLimit(.minutes(3)))
struct MongoTests {
    private func database(_ name: String, _ query: String = "") async throws -> (SkeinClient, MongoDatabase) {
        let skein = SkeinClient(concurrency: 10_000)
        return (skein, try skein.mongo(try await MongoPeer.shared.get().uri(name, query: query)))
    }

    struct Post: Codable, Equatable {
        var _id: Int
        var author: String
        var hits = 0
    }

    @Test("commands with the names and results of aquests")
    func ancestor() async throws {
        let (skein, db) = try await database("ancestor")
        let posts: [Document] = (0..<5).map { ["_id": BSON($0), "author": $0 < 3 ? "Hans" : "Steve", "hits": 0] }
        #expect(try await db.insert("posts", posts).fetch().count == 5)
        let one = try await db.findone("posts", ["author": "Steve"]).fetch()
        #expect(one.cursorID == 0 && one.startingFrom == 0 && one.numberReturned == 1 && one.data[0]["_id"] == 3)
        #expect(try await db.findall("posts", ["author": "Hans"]).fetch([Post].self).map(\._id) == [0, 1, 2])
        #expect(
            try await db.find("posts", [:], offset: 1, limit: 2).fetch().data.compactMap { $0["_id"]?.int } == [1, 2])
        let kept = try await db.findkc("posts", [:], offset: 0, limit: 2).fetch()
        #expect(kept.numberReturned == 2 && kept.cursorID != 0)
        let more = try await db.getMore("posts", kept.cursorID, 2).fetch()
        #expect(more.data.compactMap { $0["_id"]?.int } == [2, 3] && more.cursorID == kept.cursorID)
        let killed = try await db.killCursors([kept.cursorID], in: "posts").fetch()
        #expect(killed.reply["cursorsKilled"]?.array?.count == 1)
        let gone = await db.getMore("posts", kept.cursorID, 2).dispatch()
        #expect(gone.statusCode == 500 && gone.mongoError?.codeName == "CursorNotFound")
        #expect(try await db.update("posts", ["author": "Hans"], ["hits": 7]).fetch().modifiedCount == 3)
        #expect(try await db.updateone("posts", ["_id": 4], ["$inc": ["hits": 2]]).fetch().count == 1)
        #expect(try await db.updateone("posts", ["_id": 3], ["author": "Ada", "hits": 1]).fetch().modifiedCount == 1)
        #expect(try await db.findone("posts", ["_id": 3]).one(Post.self) == Post(_id: 3, author: "Ada", hits: 1))
        #expect(try await db.upsert("posts", ["_id": 9], ["$set": ["author": "New"]]).fetch().upsertedIDs == [9])
        #expect(try await db.upsertone("posts", ["_id": 10], ["author": "Newer"]).fetch().upsertedIDs == [10])
        #expect(try await db.delete("posts", ["author": "Hans"], flag: 1).fetch().count == 1)
        #expect(try await db.delete("posts", ["author": "Hans"]).fetch().count == 2)
        await skein.shutdown()
    }

    @Test("collections: Swift values in and out, aggregates, counts, indexes, find and modify")
    func modern() async throws {
        let (skein, db) = try await database("modern")
        let posts = db["posts"]
        let all = (0..<250).map { Post(_id: $0, author: $0 % 2 == 0 ? "Ada" : "Bob", hits: $0) }
        #expect(try await posts.insertMany(encoding: all).fetch().insertedIDs.count == 250)
        // More than one batch of the server.
        #expect(try await posts.find(sort: ["_id": 1]).fetch([Post].self) == all)
        let some = posts.find(["hits": ["$gte": 100]], sort: ["hits": -1], projection: ["author": 1], skip: 1, limit: 3)
        #expect(try await some.fetch().data.map { Set($0.keys) } == Array(repeating: ["_id", "author"], count: 3))
        #expect(try await posts.count(["author": "Ada"]).fetch(Int.self) == 125)
        #expect(try await posts.distinct("author").fetch([String].self).sorted() == ["Ada", "Bob"])
        struct Sum: Decodable { let _id: String, hits: Int }
        let sums = try await posts.aggregate([
            ["$group": ["_id": "$author", "hits": ["$sum": "$hits"]]], ["$sort": ["_id": 1]],
        ]).fetch([Sum].self)
        #expect(sums.map(\.hits) == [15500, 15625])
        #expect(try await posts.findOne(["_id": 1000]).fetch(Post?.self) == nil)
        await #expect(throws: SkeinError.self) { try await posts.findOne(["_id": 1000]).fetch(Post.self) }
        let none = await #expect(throws: SkeinError.self) { try await posts.findOne(["_id": 1000]).one(Post.self) }
        #expect(none?.code.rawValue == 410)
        let before = try await posts.findOneAndUpdate(["_id": 7], ["$inc": ["hits": 1]]).fetch(Post?.self)
        #expect(before?.hits == 7)
        let after = posts.findOneAndUpdate(["_id": 7], ["$inc": ["hits": 1]], returnsNew: true)
        #expect(try await after.one(Post.self).hits == 9)
        #expect(try await posts.findOneAndDelete(["_id": 7]).one(Post.self).hits == 9)
        #expect(try await posts.findOneAndDelete(["_id": 7]).fetch(Post?.self) == nil)
        #expect(try await posts.replaceOne(["_id": 8], ["author": "Cyd", "hits": 1]).fetch().modifiedCount == 1)
        try await posts.createIndexes(["author": 1], ["hits": -1]).commit()
        #expect(
            try await posts.indexes().fetch().data.compactMap { $0["name"]?.string }.sorted() == [
                "_id_", "author_1", "hits_-1",
            ])
        #expect(try await db.collectionNames() == ["posts"])
        #expect(try await db.client.databaseNames().contains("modern"))
        #expect(try await db.run(["ping": 1]).fetch().reply["ok"]?.double == 1)
        #expect(await db.run(["nonsense": 1]).dispatch().mongoError?.codeName == "CommandNotFound")
        try await posts.drop().commit()
        #expect(try await posts.count().fetch(Int.self) == 0)
        await skein.shutdown()
    }

    @Test("a duplicate key is 409, and earlier insertions stay")
    func duplicates() async throws {
        let (skein, db) = try await database("duplicates")
        try await db["t"].insertMany([["_id": 1], ["_id": 2]]).commit()
        let ordered = await db["t"].insertMany([["_id": 3], ["_id": 1], ["_id": 4]]).dispatch()
        #expect(ordered.statusCode == 409 && ordered.content.count == 1)
        #expect(ordered.mongoError?.writeErrors.map(\.index) == [1])
        await #expect(throws: SkeinError.self) { try await db.insert("t", ["_id": 1]).commit() }
        let unordered = await db["t"].insertMany([["_id": 1], ["_id": 5]], ordered: false).dispatch()
        #expect(unordered.statusCode == 409 && unordered.content.count == 1)
        #expect(try await db["t"].count().fetch(Int.self) == 4)
        await skein.shutdown()
    }

    @Test(
        "many writes of many kinds are few messages, with one answer and its errors in their places",
        arguments: [true, false])
    func bulk(ordered: Bool) async throws {
        let (skein, db) = try await database("bulk\(ordered)")
        let mixed: [BulkWrite] =
            (0..<2500).map { .insert(["_id": BSON($0), "n": 0]) }
            + [
                .updateMany([:], ["$inc": ["n": 1]]), .insert(["_id": 7]), .deleteOne(["_id": 0]),
                .replaceOne(["_id": 9000], ["n": 2], upserts: true),
            ]
        let response = await db["t"].bulkWrite(mixed, ordered: ordered).dispatch()
        #expect(response.statusCode == 409)
        #expect(response.mongoError?.writeErrors.map(\.index) == [2501])
        #expect(response.content.reply["nInsert"]?.int == 2500)
        #expect(response.content.reply["nDelete"]?.int == (ordered ? nil : 1))
        #expect(response.content.upsertedIDs == (ordered ? [] : [9000]))
        #expect(try await db["t"].count().fetch(Int.self) == 2500)
        // The peer accepts a thousand at a time.
        let log =
            try await db.client["admin"].run(["peerLog": 1, "of": .string(db.name)]).fetch().reply["log"]?.array ?? []
        let sizes = log.compactMap { entry -> Int? in
            guard entry["command"] == "insert" else { return nil }
            return entry["document"]?["documents"]?.array?.count
        }
        #expect(sizes.max() ?? 0 <= 1000 && sizes.reduce(0, +) == 2501)
        #expect(
            await db["t"].updateOne(["_id": 1], ["n": 2]).dispatch().failure?.message.contains("replaceOne") == true)
        #expect(await db["t"].insertMany([] as [Document]).dispatch().failure?.code == .exception)
        await skein.shutdown()
    }

    @Test("cursors load batches on demand, and are closed when abandoned")
    func cursors() async throws {
        let (skein, db) = try await database("cursors")
        try await db["t"].insertMany((0..<1000).map { ["_id": BSON($0)] }).commit()
        var seen: [Int] = []
        for try await document in db["t"].stream([:], FindOptions(sort: ["_id": 1], batchSize: 64)) {
            seen.append(document["_id"]?.int ?? -1)
        }
        #expect(seen == Array(0..<1000))
        struct Row: Decodable { let _id: Int }
        var sum = 0
        for try await row in db["t"].stream(aggregate: [["$match": ["_id": ["$lt": 300]]]], batchSize: 10).decode(
            Row.self)
        {
            sum += row._id
        }
        #expect(sum == 44850)
        for try await document in db["t"].stream([:], FindOptions(batchSize: 10)) where document["_id"] == 15 { break }
        try await untilNoCursors(db)
        // A cursor that the server has closed is an error with its name.
        var walk = db["t"].stream([:], FindOptions(batchSize: 10)).makeAsyncIterator()
        _ = try await walk.next()
        #expect(try await openCursors(db) == 1)
        try await db.client["admin"].run([
            "configureFailPoint": "failCommand", "mode": ["times": 1],
            "data": [
                "failCommands": ["getMore"], "namespace": "cursors.t", "errorCode": 43, "errorName": "CursorNotFound",
            ],
        ]).commit()
        let error = await #expect(throws: SkeinError.self) { while try await walk.next() != nil {} }
        #expect((error?.cause as? MongoError)?.codeName == "CursorNotFound")
        await skein.shutdown()
    }

    private func openCursors(_ db: MongoDatabase) async throws -> Int {
        let names = try await db.client["admin"].run(["peerLog": 1]).fetch().reply["cursors"]?.array ?? []
        return names.filter { $0.string?.hasPrefix("\(db.name).") == true }.count
    }

    private func untilNoCursors(_ db: MongoDatabase) async throws {
        let end = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < end { if try await openCursors(db) == 0 { return } }
        Issue.record("a cursor was left open")
    }

    @Test("pymongo reads Skein's documents, and vice versa, of every type")
    func pymongo() async throws {
        let (skein, db) = try await database("exchange")
        let peer = try await MongoPeer.shared.get()
        try await peer.python("write", "exchange", "types")
        let theirs = try await db.findone("types", ["_id": "pymongo"]).one(Document.self)
        #expect(
            theirs["string"] == "Grüße, 世界" && theirs["int64"] == .int64(1 << 60)
                && theirs["decimal"]?.type == .decimal128)
        #expect(
            theirs.values.map(\.type).contains(.codeWithScope)
                && theirs["regex"] == .regex(BSONRegex("^a.b$", options: "im")))
        #expect(theirs["date"]?.date == Date(timeIntervalSince1970: 1_795_291_002.5))
        var ours = theirs
        ours["_id"] = "skein"
        try await db.insert("types", ours).commit()
        let lines = try await peer.python("read", "exchange", "types").split(separator: "\n")
        #expect(lines.count == 2)
        let read = try lines.map { try Document(extendedJSON: String($0)) }
        #expect(read.first { $0["_id"] == "pymongo" } == theirs)
        #expect(read.first { $0["_id"] == "skein" } == ours)
        await skein.shutdown()
    }

    @Test("many callers share few connections, each with its own response")
    func multiplexed() async throws {
        let (skein, db) = try await database("many", "maxPoolSize=1")
        try await db.insert("t", (0..<100).map { ["_id": BSON($0)] }).commit()
        let calls = (0..<500).map { db.findone("t", ["_id": BSON($0 % 100)]) }
        for (number, call) in calls.enumerated() {
            #expect(try await call.fetch().data.first?["_id"]?.int == number % 100)
        }
        #expect(skein.connectCount <= skein.shards.count)
        await skein.shutdown()
    }

    @Test(
        "each way of authentication",
        arguments: [
            ("weaver:s3cret@", ""), ("old:s3cret@", ""), ("weaver:s3cret@", "authMechanism=SCRAM-SHA-1"),
            ("weaver:s3cret@", "authMechanism=SCRAM-SHA-256"),
        ])
    func authentication(user: String, query: String) async throws {
        let skein = SkeinClient()
        let uri = try await Self.guarded.get().uri("test", user: user, query: "authSource=admin&\(query)")
        #expect(try await skein.mongo(uri).run(["peerLog": 1]).fetch().reply["ok"]?.double == 1)
        await skein.shutdown()
    }

    static let guarded = SharedPeer { try await MongoPeer("--auth") }

    @Test("a wrong password, a wrong user and missing credentials are clear errors")
    func refused() async throws {
        let skein = SkeinClient()
        let peer = try await Self.guarded.get()
        for user in ["weaver:wrong@", "nobody:s3cret@"] {
            let failure = await (try skein.mongo(peer.uri("test", user: user))).findone("t").dispatch().failure
            #expect(failure?.code == .unknownAuthentication)
            #expect(failure?.message.contains("refuses the credentials: Authentication failed. (18") == true)
        }
        let nobody = await (try skein.mongo(peer.uri("test"))).findone("t").dispatch()
        #expect(nobody.statusCode == 500 && nobody.mongoError?.codeName == "Unauthorized")
        await skein.shutdown()
    }

    @Test("TLS, with the client certificate as credentials")
    func tls() async throws {
        let folder = try await Certificates.shared.folder()
        let peer = try await MongoPeer("--auth", "--tls", "\(folder)/good.pem", "\(folder)/ca.pem")
        let skein = SkeinClient()
        let base = "tls=true&tlsCAFile=\(folder)/ca.pem"
        let proved = peer.uri(
            "d", query: "\(base)&tlsCertificateKeyFile=\(folder)/client.pem&authMechanism=MONGODB-X509"
        )
        .replacing("127.0.0.1", with: "localhost")
        #expect(try await skein.mongo(proved).run(["peerLog": 1]).fetch().reply["ok"]?.double == 1)
        let bare = peer.uri("d", query: "\(base)&authMechanism=MONGODB-X509").replacing("127.0.0.1", with: "localhost")
        #expect(await (try skein.mongo(bare)).findone("t").dispatch().failure?.code == .unknownAuthentication)
        let clear = peer.uri("d", query: "serverSelectionTimeoutMS=300")
        #expect(await (try skein.mongo(clear)).findone("t").dispatch().failure?.code == .connectionFailed)
        await skein.shutdown()
        await peer.stop()
    }

    @Test("compressed messages and checksums, in both directions", arguments: ["zlib", "zstd"])
    func compression(compressor: String) async throws {
        let peer = try await MongoPeer("--compress", "--checksum")
        let skein = SkeinClient()
        var options = try MongoConfiguration(peer.uri("d", query: "compressors=\(compressor)"))
        options.sendsChecksums = true
        let db = skein.mongo(options).database
        let text = String(repeating: "weave ", count: 10_000)
        try await db["t"].insertMany((0..<10).map { ["_id": BSON($0), "text": .string(text)] }).commit()
        #expect(
            try await db["t"].find(["_id": ["$lt": 9]]).fetch().data.map { $0["text"]?.string }
                == Array(repeating: text, count: 9))
        let seen = try await db.run(["peerLog": 1]).fetch().reply["seen"]
        #expect(seen?[compressor == "zlib" ? "2" : "3"]?.int ?? 0 > 0 && seen?["checksum"]?.int ?? 0 > 0)
        await skein.shutdown()
        await peer.stop()
    }

    @Test("a write without an acknowledgement does not wait for one")
    func unacknowledged() async throws {
        let (skein, db) = try await database("careless", "w=0&maxPoolSize=1")
        try await db["t"].insertMany([["_id": 1], ["_id": 2]]).commit()
        try await db["t"].updateOne(["_id": 1], ["$set": ["a": 1]]).commit()
        #expect(try await db["t"].count().fetch(Int.self) == 2)
        await skein.shutdown()
    }

    @Test("an abandoned call does not affect others, and its cursor is closed")
    func abandoned() async throws {
        let (skein, db) = try await database("abandoned")
        try await db["t"].insertMany((0..<500).map { ["_id": BSON($0)] }).commit()
        try await db.client["admin"].run([
            "configureFailPoint": "failCommand", "mode": ["times": 1],
            "data": ["failCommands": ["aggregate"], "namespace": "abandoned.t", "blockTimeMS": 400],
        ]).commit()
        let slow = db["t"].aggregate([["$match": [:]]])
        #expect(await slow.dispatch(timeout: .milliseconds(100)).failure?.code == .timeout)
        #expect(try await db["t"].count().fetch(Int.self) == 500)
        try await untilNoCursors(db)
        await skein.shutdown()
    }

    @Test("a server with wrong lengths or unsolicited replies fails its own callers only")
    func liars() async throws {
        let hello = ByteBuffer(bytes: Self.answer(to: 1, ["ok": 1, "isWritablePrimary": true, "maxWireVersion": 17]))
        for (lie, words) in [
            ([0, 0, 0, 0x40, 1, 0, 0, 0, 2, 0, 0, 0, 0xDD, 7, 0, 0], "1073741824 bytes"),
            (Self.answer(to: 99, ["ok": 1]), "was not made"), (Self.answer(to: 2, ["ok": 1], length: 9), "malformed"),
        ] as [([UInt8], String)] {
            let server = try await ScriptedServer.start { _ in
                [.until("hello"), .sendBytes(hello), .until("find"), .sendBytes(ByteBuffer(bytes: lie)), .wait]
            }
            let skein = SkeinClient()
            let db = try skein.mongo("mongodb://127.0.0.1:\(server.port)/d?retryReads=false")
            let failure = await db.findone("t").dispatch().failure
            #expect(
                failure?.code == .responseHeaderError && failure?.message.contains(words) == true, "\(failure as Any)")
            await skein.shutdown()
            await server.stop()
        }
    }

    private static func answer(to id: Int32, _ document: Document, length: Int32? = nil) -> [UInt8] {
        var bytes = ByteBuffer()
        var inside = document.bytes
        if let length { inside.setInteger(length, at: inside.readerIndex, endianness: .little) }
        for number in [Int32(21 + inside.readableBytes), 7, id, 2013, 0] {
            bytes.writeInteger(number, endianness: .little)
        }
        bytes.writeInteger(0 as UInt8)
        bytes.writeImmutableBuffer(inside)
        return Array(bytes.readableBytesView)
    }

    @Test("no server: the reason is reported after the selection timeout")
    func nobody() async throws {
        let skein = SkeinClient()
        let db = try skein.mongo("mongodb://127.0.0.1:1/d?serverSelectionTimeoutMS=200")
        let failure = await db.findone("t").dispatch().failure
        #expect(failure?.code == .connectionFailed)
        #expect(failure?.message.contains("127.0.0.1:1 is not known (the connection was refused") == true)
        await skein.shutdown()
    }
}

/// A set of three, whose primary steps down, whose connections break, and which is told to fail.
@Suite("MongoDB replica sets", .timeLimit(.minutes(3)))
struct MongoReplicaTests {
    private func database(_ query: String = "") async throws -> (MongoPeer, SkeinClient, MongoDatabase) {
        let peer = try await MongoPeer("--replica")
        let skein = SkeinClient()
        return (peer, skein, try skein.mongo(peer.uri("rs", query: "heartbeatFrequencyMS=500&" + query)))
    }

    private func log(_ db: MongoDatabase, _ name: String) async throws -> [BSON] {
        try await db.client["admin"].run(["peerLog": 1]).fetch().reply["log"]?.array?.filter {
            $0["command"] == .string(name)
        } ?? []
    }

    private func untilLogged(_ db: MongoDatabase, _ name: String, _ count: Int) async throws {
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end {
            if try await log(db, name).count >= count { return }
        }
        throw PeerError("\(name) was not called \(count) times")
    }

    private static func identifiers(_ stream: MongoChangeStream, _ count: Int) async throws -> [Int] {
        var ids: [Int] = []
        for try await change in stream {
            ids.append(change["fullDocument"]?["_id"]?.int ?? -1)
            if ids.count == count { break }
        }
        return ids
    }

    private func fail(_ db: MongoDatabase, _ data: Document) async throws {
        try await db.client["admin"].run([
            "configureFailPoint": "failCommand", "mode": ["times": 1], "data": .document(data),
        ]).commit()
    }

    @Test("members are found through one of them, and used by their roles")
    func members() async throws {
        let (peer, skein, db) = try await database("readPreference=secondary&replicaSet=rs0")
        try await db["t"].insertOne(["_id": 1]).commit()
        for _ in 0..<4 { #expect(try await db["t"].count().fetch(Int.self) == 1) }
        let reads = try await log(db, "count")
        #expect(reads.allSatisfy { $0["server"] != 0 && $0["document"]?["$readPreference"]?["mode"] == "secondary" })
        #expect(try await log(db, "insert").allSatisfy { $0["server"] == 0 && $0["document"]?["txnNumber"] != nil })
        let tagged = try skein.mongo(
            peer.uri("rs", query: "replicaSet=rs0&readPreference=secondary&readPreferenceTags=place:2"))
        #expect(try await tagged["t"].distinct("_id").fetch([Int].self) == [1])
        #expect(try await log(db, "distinct").map { $0["server"] } == [2])
        let wrong = try skein.mongo(peer.uri("rs", query: "replicaSet=other&serverSelectionTimeoutMS=300"))
        #expect(await wrong["t"].count().dispatch().failure?.code == .connectionFailed)
        // A member that is named alone is read from, even if it is not the primary.
        let direct = try skein.mongo("mongodb://127.0.0.1:\(peer.ports[1])/rs?directConnection=true")
        #expect(try await direct["t"].count().fetch(Int.self) == 1)
        #expect(await direct["t"].insertOne(["_id": 2]).dispatch().mongoError?.codeName == "NotWritablePrimary")
        await skein.shutdown()
        await peer.stop()
    }

    @Test("a primary that steps down: writes continue on the next one, and none is repeated")
    func stepDown() async throws {
        let (peer, skein, db) = try await database()
        try await db["t"].insertOne(["_id": 0]).commit()
        for number in 1...3 {
            try await db.client["admin"].run(["replSetStepDown": 60]).commit()
            try await db["t"].insertOne(["_id": BSON(number)]).commit()
            try await db["t"].updateOne(["_id": 0], ["$inc": ["n": 1]]).commit()
        }
        #expect(try await db["t"].findOne(["_id": 0]).fetch().data[0]["n"] == 3)
        #expect(try await db["t"].count().fetch(Int.self) == 4)
        #expect(Set(try await log(db, "update").compactMap { $0["server"]?.int }) == [0, 1, 2])
        await skein.shutdown()
        await peer.stop()
    }

    @Test("a lost connection: reads are retried, writes once, and unknown outcomes are reported")
    func lost() async throws {
        let (peer, skein, db) = try await database()
        try await db["t"].insertOne(["_id": 0, "n": 0]).commit()
        try await fail(db, ["failCommands": ["find"], "closeConnection": true])
        #expect(try await db["t"].findOne(["_id": 0]).fetch().numberReturned == 1)
        // Lost before and after it was executed: the server recognises the write by its number.
        for point: Document in [[:], ["afterExecution": true]] {
            var data: Document = ["failCommands": ["update"], "closeConnection": true]
            for (key, value) in point { data.append(key, value) }
            try await fail(db, data)
            try await db["t"].updateOne(["_id": 0], ["$inc": ["n": 1]]).commit()
        }
        #expect(try await db["t"].findOne(["_id": 0]).fetch().data[0]["n"] == 2)
        // Writes that change many documents cannot be recognised.
        try await fail(db, ["failCommands": ["update"], "closeConnection": true, "afterExecution": true])
        let many = await db["t"].updateMany([:], ["$inc": ["n": 1]]).dispatch()
        #expect(many.failure?.message.contains("whether it was carried out is not known") == true)
        #expect(try await db["t"].findOne(["_id": 0]).fetch().data[0]["n"] == 3)
        try await fail(db, ["failCommands": ["insert"], "errorCode": 91, "errorLabels": ["RetryableWriteError"]])
        try await db["t"].insertOne(["_id": 1]).commit()
        try await fail(
            db,
            [
                "failCommands": ["insert"],
                "writeConcernError": ["code": 64, "errmsg": "waiting for replication timed out"],
            ])
        let narrow = await db["t"].insertOne(["_id": 2]).dispatch()
        #expect(narrow.statusCode == 500 && narrow.mongoError?.isWriteConcern == true && narrow.content.count == 1)
        await skein.shutdown()
        await peer.stop()
    }

    @Test("transactions are atomic, and retried on transient errors")
    func transactions() async throws {
        let (peer, skein, db) = try await database()
        let client = db.client
        try await db["t"].insertOne(["_id": 0]).commit()
        try await client.transaction { (session) async throws in
            try await session.database["t"].insertOne(["_id": 1]).commit()
            #expect(try await db["t"].count().fetch(Int.self) == 1)
            try await session.database["t"].insertOne(["_id": 2]).commit()
        }
        #expect(try await db["t"].count().fetch(Int.self) == 3)
        struct Stop: Error {}
        await #expect(throws: Stop.self) {
            try await client.transaction { (session) async throws in
                try await session.database["t"].insertOne(["_id": 3]).commit()
                throw Stop()
            }
        }
        #expect(try await db["t"].count().fetch(Int.self) == 3)
        let inserts = try await log(db, "insert").suffix(3)
        #expect(inserts.map { $0["document"]?["startTransaction"]?.bool } == [true, nil, true])
        #expect(inserts.allSatisfy { $0["document"]?["autocommit"] == false && $0["document"]?["lsid"] != nil })
        // A conflict, and a commit without a response.
        try await fail(
            db, ["failCommands": ["insert"], "errorCode": 112, "errorLabels": ["TransientTransactionError"]])
        try await fail(db, ["failCommands": ["commitTransaction"], "closeConnection": true, "afterExecution": true])
        try await client.transaction { (session) async throws in
            try await session.database["t"].insertOne(["_id": 4]).commit()
        }
        #expect(try await db["t"].count().fetch(Int.self) == 4)
        // Without the retry helper.
        let session = client.startSession()
        try session.startTransaction()
        #expect(throws: SkeinError.self) { try session.startTransaction() }
        try await session.database["t"].insertOne(["_id": 5]).commit()
        try await session.abortTransaction()
        await #expect(throws: SkeinError.self) { try await session.commitTransaction() }
        // Outside of transactions a session reads its own writes.
        try await session.database["t"].insertOne(["_id": 6]).commit()
        #expect(try await session.database["t"].count().fetch(Int.self) == 5)
        let last = try await log(db, "insert").last?["document"]
        #expect(last?["txnNumber"] != nil && last?["autocommit"] == nil && last?["lsid"] != nil)
        #expect(try await log(db, "count").last?["document"]?["readConcern"]?["afterClusterTime"]?.type == .timestamp)
        session.end()
        #expect(await session.database["t"].count().dispatch().failure?.message.contains("ended") == true)
        await skein.shutdown()
        await peer.stop()
    }

    @Test("changes are received as they happen, and without a gap after a lost connection")
    func changes() async throws {
        let (peer, skein, db) = try await database()
        try await db["t"].insertOne(["_id": 0]).commit()
        var options = ChangeStreamOptions()
        options.patience = .milliseconds(200)
        let stream = db["t"].watch([], options)
        // Structured, so that the end of the test's time is the end of it.
        async let heard = Self.identifiers(stream, 4)
        try await untilLogged(db, "getMore", 1)
        try await db["t"].insertMany([["_id": 1], ["_id": 2]]).commit()
        try await fail(db, ["failCommands": ["getMore"], "closeConnection": true])
        try await untilLogged(db, "aggregate", 2)
        try await db["t"].insertOne(["_id": 3]).commit()
        try await fail(db, ["failCommands": ["getMore"], "errorCode": 43])
        try await untilLogged(db, "aggregate", 3)
        try await db["t"].insertOne(["_id": 4]).commit()
        let ids = try await heard
        #expect(ids == [1, 2, 3, 4])
        let waiting = Task { for try await _ in stream {} }
        try await untilLogged(db, "aggregate", 4)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        await skein.shutdown()
        await peer.stop()
    }

    @Test("kill -9 under load: every call gets its own response or an error")
    func killed() async throws {
        let (peer, skein, db) = try await database("serverSelectionTimeoutMS=500")
        try await db.insert("t", (0..<50).map { ["_id": BSON($0)] }).commit()
        let calls = (0..<500).map { number in (number, db.findone("t", ["_id": BSON(number % 50)])) }
        await peer.stop()
        var failed = 0
        for (number, call) in calls {
            let response = await call.dispatch()
            if response.failure != nil {
                failed += 1
            } else {
                #expect(response.content.data[0]["_id"]?.int == number % 50)
            }
        }
        #expect(failed > 0)
        await skein.shutdown()
    }
}
