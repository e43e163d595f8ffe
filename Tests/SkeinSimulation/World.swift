// One run of a history: the client, the server, the simulated network, and the records from which invariants are checked.

import NIOCore
import PeerSupport
import Skein
import SkeinCore
import SkeinEngine
import SkeinHTTP
import SkeinRedis
import SkeinTransport
import SkeinWire

/// The state of a run.
///
/// Unchecked: a simulation has one thread.
package final class World: @unchecked Sendable {
    private static let standard = HTTPConfiguration()
    private static let storePort = 6379

    let history: History
    let loop = SimulatedLoop()
    let skein: SkeinClient
    let store: RedisClient
    let shard: Shard
    private let serverShards: ShardGroup
    var serverShard: Shard { serverShards.shards[0] }
    private var accept: (@Sendable (any Channel) throws -> Void)?
    private(set) var clientChannels: [SimulatedChannel] = []
    private(set) var serverChannels: [SimulatedChannel] = []
    /// Those of the scripted store.
    private(set) var storeChannels: Set<ObjectIdentifier> = []
    private var random: SeededGenerator
    private var contents: [Int: ByteBuffer] = [:]
    private var processedCounts: [Int: Int] = [:]
    private(set) var records: [Int: CallRecord] = [:]
    /// The violated invariants, with their times.
    private(set) var violations: [String] = []
    /// A hash of all deliveries of bytes, FNV-1a.
    private(set) var fingerprint: UInt64 = 0xCBF2_9CE4_8422_2325
    private var connections = 0
    /// Whether a forged response has arrived after the next request was sent, so that no client can detect it.
    private(set) var hasUndetectableForgery = false

    init(_ history: History) {
        self.history = history
        random = SeededGenerator(seed: history.seed ^ 0xD1B5_4A32)
        var configuration = SkeinClient.Configuration()
        configuration.shards = ShardGroup(loop)
        configuration.logger = .silent
        configuration.concurrency = history.settings.concurrency
        var http = Self.standard
        http.dns.usesSystemResolver = true
        http.recordsTimings = true
        http.connectionsPerOrigin = history.settings.connectionsPerOrigin
        http.pipelineDepth = history.settings.pipelineDepth
        if history.settings.speaksHTTP2 { http.http2.use = .priorKnowledge }
        let dial = Dial()
        http.dial = { endpoint, _ in dial.open(endpoint) }
        configuration.http = http
        skein = SkeinClient(configuration)
        var options = RedisConfiguration()
        options.hosts = [.host("127.0.0.1", port: Self.storePort)]
        store = skein.redis(options)
        shard = skein.shards[0]
        serverShards = ShardGroup(loop)
        if history.settings.members > 0 {
            let members = (0..<history.settings.members).map { "127.0.0.1:\(80 + $0)" }
            if var alias = try? Alias(.http, members) {
                alias.seed = history.seed
                try? skein.alias("@members", alias)
            }
        }
        dial.world = self
        if history.settings.lateness > 0 {
            var random = SeededGenerator(seed: history.seed ^ 0xABCD)
            loop.lateness = { .milliseconds(Int64(random.number(0...history.settings.lateness))) }
        }
    }

    /// Connects the session to the world, which owns it, without a cycle.
    private final class Dial: @unchecked Sendable {
        weak var world: World?
        func open(_ endpoint: Endpoint) -> EventLoopFuture<any Channel> {
            guard let world else { preconditionFailure("a connection is made after the run") }
            return world.connect(to: endpoint)
        }
    }

    // MARK: Records

    func report(_ what: String) {
        violations.append("\(milliseconds) ms: \(what)")
    }

    var milliseconds: Int64 { (loop.now - .uptimeNanoseconds(3_600_000_000_000)).nanoseconds / 1_000_000 }

    func later(_ milliseconds: Int, _ work: @escaping @Sendable () -> Void) {
        loop.at(loop.now + .milliseconds(Int64(milliseconds)), work)
    }

    func call(of head: RequestHead) -> CallPlan? {
        guard let id = head.headers["X-Call"].flatMap(Int.init) else { return nil }
        return history.calls.first { $0.id == id }
    }

    /// A server has started to process a call.
    func processed(_ call: CallPlan) {
        if call.isUnsendable { report("call \(call.id) was sent with an invalid field") }
        processedCounts[call.id, default: 0] += 1
        if processedCounts[call.id, default: 0] > 1, !call.method.isIdempotent {
            report("call \(call.id), a \(call.method), was processed twice")
        }
    }

    func content(of call: CallPlan) -> ByteBuffer {
        if let content = contents[call.id] { return content }
        // The call's number, repeated.
        let block = Array(repeatElement("\(call.id).".utf8, count: 512).joined())
        var bytes = ByteBuffer()
        bytes.reserveCapacity(call.size + block.count)
        while bytes.readableBytes < call.size { bytes.writeBytes(block) }
        bytes.moveWriterIndex(to: bytes.readerIndex + call.size)
        contents[call.id] = bytes
        return bytes
    }

    private func note(_ values: Int...) {
        for value in values { fingerprint = (fingerprint ^ UInt64(truncatingIfNeeded: value)) &* 0x100_0000_01B3 }
    }

    func record(of call: CallPlan) -> CallRecord {
        if let record = records[call.id] { return record }
        let record = CallRecord()
        records[call.id] = record
        return record
    }

    /// Notes whether the client can detect a forged response when it arrives.
    /// - Parameter requested: the number of request bytes that were answered. If the client has sent more by then, it expects a
    ///   response, and cannot detect the forgery.
    func watchForgery(on channel: SimulatedChannel, behind requested: Int) {
        let toServer = channel.inbound
        channel.outbound.whenArrived(channel.bytesWritten + 1) { [unowned self] in
            if toServer.sent > requested { hasUndetectableForgery = true }
        }
    }

    // MARK: Connections

    private func connect(to endpoint: Endpoint) -> EventLoopFuture<any Channel> {
        let number = connections
        connections += 1
        let plan = number < history.connections.count ? history.connections[number] : History.ConnectionPlan()
        if plan.opening == .refusedAtOnce { return loop.makeFailedFuture(IOError(errnoCode: 111, reason: "connect")) }
        let promise = loop.makePromise(of: (any Channel).self)
        switch plan.opening {
        case .silent: later(75_000) { promise.fail(IOError(errnoCode: 110, reason: "connect")) }
        case .refused, .refusedAtOnce: later(plan.delay) { promise.fail(IOError(errnoCode: 111, reason: "connect")) }
        case .made: later(plan.delay) { promise.completeWith(Result { try self.open(number, plan, to: endpoint) }) }
        }
        return promise.futureResult
    }

    private func open(_ number: Int, _ plan: History.ConnectionPlan, to endpoint: Endpoint) throws -> any Channel {
        func wire(_ plan: WirePlan, _ direction: Int) -> SimulatedWire {
            SimulatedWire(loop, plan, random: SeededGenerator(seed: random.next())) { [unowned self] in
                note(number * 2 + direction, $0, $1)
            }
        }
        let toServer = wire(plan.toServer, 0)
        let toClient = wire(plan.toClient, 1)
        toServer.reverse = toClient
        toClient.reverse = toServer
        let client = try SimulatedChannel(
            loop, inbound: toClient, outbound: toServer, local: 40_000 + number, remote: 80)
        let server = try SimulatedChannel(
            loop, inbound: toServer, outbound: toClient, local: 80, remote: 40_000 + number)
        clientChannels.append(client)
        serverChannels.append(server)
        if case .host(_, Self.storePort) = endpoint {
            try server.pipeline.syncOperations.addHandler(ScriptedStore(self))
            storeChannels.insert(ObjectIdentifier(server))
        } else if let accept {
            try (server as any NIOSynchronousChannelOptions).setOption(.allowRemoteHalfClosure, value: true)
            try accept(server)
        } else {
            try server.pipeline.syncOperations.addHandler(ScriptedOrigin(self))
        }
        server.begin()
        client.begin()
        return client
    }

    // MARK: Servers

    /// Starts Skein's server, if the history uses it.
    func startServer() {
        guard history.settings.hasRealServer else { return }
        var configuration = ServerConfiguration(addresses: [], threads: 1)
        configuration.logger = .silent
        configuration.clock = { [unowned self] in 1_700_000_000 + Int(milliseconds / 1000) }
        configuration.client.http.dns.usesSystemResolver = true
        configuration.client.logger = .silent
        let server = HTTPServer(configuration) { [unowned self] request in try await self.respond(request) }
        Task(executorPreference: shard.executor) {
            do { self.accept = try await server.attach(to: self.serverShards) } catch { self.report("\(error)") }
        }
        loop.run(until: loop.now)
    }

    private func respond(_ request: ServerRequest) async throws -> ServerResponse {
        guard let call = call(of: request.head) else { return ServerResponse(.notFound) }
        processed(call)
        var response = ServerResponse(.ok, headers: ["X-Id": "\(call.id)"])
        let content = content(of: call)
        response.body = .bytes(content)
        switch call.act {
        case .answer(let framing, let delay, _):
            _ = try await request.body.collect()
            if delay > 0 { try await sleep(delay) }
            if framing == .chunked {
                response.body = .sequence(Self.pieces(of: content))
            }
        case .early: break
        case .silence: try await sleep(600_000)
        case .answerAndSayClose: response.headers["Connection"] = "close"
        case .half(let ending):
            response.body = .stream(FailingPieces(world: self, whole: content, isSilent: ending == .silence))
        case .answerAndClose, .twice, .garbage, .close, .upgrade:
            for try await _ in request.body {}
        }
        return response
    }

    static func pieces(of content: ByteBuffer) -> [ByteBuffer] {
        var rest = content
        var pieces: [ByteBuffer] = []
        while rest.readableBytes > 0, let piece = rest.readSlice(length: min(7000, rest.readableBytes)) {
            pieces.append(piece)
        }
        return pieces
    }

    func sleep(_ milliseconds: Int) async throws {
        try await shard.sleep(until: Deadline(loop.now + .milliseconds(Int64(milliseconds))))
    }
}

/// Half of a content, followed by an error or by nothing.
private struct FailingPieces: AsyncSequence, Sendable {
    let world: World
    let whole: ByteBuffer
    let isSilent: Bool

    struct AsyncIterator: AsyncIteratorProtocol {
        let pieces: FailingPieces
        var isFirst = true

        mutating func next() async throws -> ByteBuffer? {
            if isFirst {
                isFirst = false
                return pieces.whole.getSlice(at: pieces.whole.readerIndex, length: pieces.whole.readableBytes / 2)
            }
            if pieces.isSilent { try await pieces.world.sleep(600_000) }
            throw PeerError("the content has failed")
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: self) }
}
