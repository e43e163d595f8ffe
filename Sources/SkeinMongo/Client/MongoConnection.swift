// One connection to a server, with concurrent commands of several callers; each reply names its request.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport

/// An entry of a connection's pipeline, answered by one message.
protocol MongoOperation: AnyObject {
    /// Whether no caller waits for it any more.
    var isAbandoned: Bool { get }
    /// Receives the reply.
    func receive(_ reply: MongoReply, on connection: MongoConnection)
    /// The connection ended before the reply.
    func lost(_ reason: SkeinError)
    /// Its caller does not wait any more.
    func wasAbandoned(on connection: MongoConnection)
}

extension MongoOperation {
    func wasAbandoned(on connection: MongoConnection) {}
}

/// A connection.
///
/// Unchecked: used on its channel's loop only.
final class MongoConnection: PooledConnection, @unchecked Sendable {
    let link: PipelineLink
    let address: Endpoint
    private let checksums: Bool
    @exclusivity(unchecked) private var decoder = MongoDecoder()
    @exclusivity(unchecked) private var handshake: MongoHandshake
    @exclusivity(unchecked) private var pipeline = Deque<(id: Int32, operation: any MongoOperation)>()
    @exclusivity(unchecked) private var lastID: Int32 = 0
    @exclusivity(unchecked) private var compressor: MongoCompressor?
    /// The server's hello reply.
    @exclusivity(unchecked) private(set) var hello = Document()
    /// The round-trip time of the handshake.
    @exclusivity(unchecked) private(set) var roundTrip = Duration.zero

    init(
        _ configuration: MongoConfiguration, at address: Endpoint, shard: Shard, isMonitor: Bool, isSecure: Bool,
        ready: EventLoopPromise<Void>
    ) {
        self.address = address
        checksums = configuration.sendsChecksums && !isSecure
        handshake = MongoHandshake(configuration, isMonitor: isMonitor, isPrivate: isSecure || address.isLocal)
        link = PipelineLink(shard: shard, peer: "mongodb://\(address)", ready: ready)
    }

    // MARK: Sending

    var underWay: Int { pipeline.count }
    var onlyAbandoned: Bool { pipeline.allSatisfy(\.operation.isAbandoned) }

    func encode(_ call: MongoCall) {
        let body = call.body(on: self)
        if !body.isUnacknowledged { pipeline.append((lastID &+ 1, call)) }
        append(body)
    }

    private func append(_ body: MongoBody) {
        lastID &+= 1
        let isExempt = compressor == nil || MongoCompressor.exempt.contains(body.document.firstKey ?? "")
        MongoWriter.write(
            body, id: lastID, compressor: isExempt ? nil : compressor, checksum: checksums, into: &link.output)
    }

    /// Sends a command of the connection itself.
    func ask(
        _ document: Document, on database: String = "admin", _ done: @escaping (Result<Document, SkeinError>) -> Void
    ) {
        link.begins(at: shard.now)
        pipeline.append((lastID &+ 1, Probe(done)))
        append(MongoBody(document: document, database: database))
        link.flushSoon()
    }

    func check() { ask(["ping": 1]) { _ in } }

    func abandon(_ call: any PipelinedCall) {
        // A connection with a blocking command is not shared.
        if isLeased { return close(because: nil) }
        pipeline.first { $0.operation === call }?.operation.wasAbandoned(on: self)
        link.abandoned()
    }

    // MARK: Handshake

    func greet() {
        do throws(SkeinError) {
            proceed(.send(try handshake.begin(), database: "admin"), since: shard.now)
        } catch {
            close(because: SkeinError(error.code, peer: peer, because: error.message, cause: error.cause))
        }
    }

    private func proceed(_ action: MongoHandshake.Action, since start: NIODeadline) {
        switch action {
        case .send(let document, let database):
            ask(document, on: database) { [weak self] result in
                guard let self, case .success(let reply) = result else { return }
                do throws(SkeinError) {
                    let next = try self.handshake.receive(reply)
                    if self.hello.isEmpty {
                        self.hello = self.handshake.hello
                        self.roundTrip = .nanoseconds((shard.now - start).nanoseconds)
                    }
                    self.proceed(next, since: shard.now)
                } catch {
                    self.close(
                        because: SkeinError(error.code, peer: self.peer, because: error.message, cause: error.cause))
                }
            }
        case .ready:
            compressor = handshake.compressor
            link.becomeReady()
        }
    }

    // MARK: Receiving

    func receive(_ bytes: ByteBuffer) {
        decoder.append(bytes)
        do throws(MongoProtocolError) {
            let now = shard.now
            while !isClosed, let reply = try decoder.next() { try answer(reply, at: now) }
        } catch {
            close(because: SkeinError(.responseHeaderError, peer: peer, because: "\(error)", cause: error))
        }
    }

    private func answer(_ reply: MongoReply, at now: NIODeadline) throws(MongoProtocolError) {
        // Servers reply in order; other implementations may not.
        guard let place = pipeline.firstIndex(where: { $0.id == reply.responseTo }) else {
            throw MongoProtocolError("the server sent an answer to a request that was not made")
        }
        guard !reply.moreToCome else {
            throw MongoProtocolError("the server set moreToCome, which was not requested")
        }
        let operation = pipeline.remove(at: place).operation
        operation.receive(reply, on: self)
        link.madeProgress(at: now)
    }

    func loseCalls(_ reason: SkeinError) {
        let lost = pipeline
        pipeline = []
        for (_, operation) in lost { operation.lost(reason) }
    }

    /// A command of the connection itself.
    private final class Probe: MongoOperation {
        private let done: (Result<Document, SkeinError>) -> Void

        init(_ done: @escaping (Result<Document, SkeinError>) -> Void) { self.done = done }
        var isAbandoned: Bool { true }
        func receive(_ reply: MongoReply, on connection: MongoConnection) { done(.success(reply.document)) }
        func lost(_ reason: SkeinError) { done(.failure(reason)) }
    }
}

/// Opens the connections of one client.
struct MongoConnector: Sendable {
    let configuration: MongoConfiguration
    let dialer: Dialer

    /// Connects to one server.
    /// - Parameter isMonitor: whether it is for monitoring only, without credentials.
    func open(
        _ address: Endpoint, _ shard: Shard, isMonitor: Bool = false
    ) -> EventLoopFuture<MongoConnection> {
        var connect = dialer.options(timeout: configuration.pool.connectTimeout)
        var isSecure = false
        if var tls = configuration.tls, case .host = address {
            tls.serverName = tls.serverName ?? dialer.serverName
            connect.tls = ConnectOptions.TLS(dialer.tls, tls, protocols: [])
            isSecure = true
        }
        return Connector.connect(to: address, on: shard.eventLoop, connect).flatMap { [isSecure] connected in
            PipelineLink.begin(on: connected, shard, within: configuration.pool.connectTimeout) { ready in
                MongoConnection(
                    configuration, at: address, shard: shard, isMonitor: isMonitor, isSecure: isSecure, ready: ready)
            }
        }
    }
}
