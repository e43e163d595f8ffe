// A command in flight, with its retry on another server.

import NIOCore
import SkeinCore
import SkeinTransport

/// A call of MongoDB.
///
/// Unchecked: used on its shard's loop only, except for setup before submission.
final class MongoCall: PipelinedCall, PoolCall, MongoOperation, @unchecked Sendable {
    typealias Callback = @Sendable (MongoResponse) -> Void

    let core: CallCore
    let command: MongoCommand
    private let client: MongoClient
    private let route: MongoRoute
    /// The IDs of documents to be inserted.
    private let ids: [BSON]
    private let meta: RequestMetadata
    private let callback: Callback?
    @exclusivity(unchecked) private var corequest: Corequest<MongoResponse>?
    @exclusivity(unchecked) private var server: MongoServer?
    @exclusivity(unchecked) private var topology = MongoTopology.Kind.unknown
    /// The implicit session of a retryable write.
    @exclusivity(unchecked) private var ownSession: MongoServerSession?
    /// The transaction number by which the server detects a repeated write.
    @exclusivity(unchecked) private var number: Int64?
    /// The batches of a cursor so far, an array for each reply.
    @exclusivity(unchecked) private var batches: [ByteBuffer] = []
    /// The getMore command for the cursor.
    @exclusivity(unchecked) private var continuation: Document?
    @exclusivity(unchecked) private var bytes = 0
    @exclusivity(unchecked) private var retries = 0
    /// Returns the connection that it used exclusively.
    @exclusivity(unchecked) private var whenOver: (@Sendable () -> Void)?

    init(
        _ command: MongoCommand, of client: MongoClient, session: Session, shard: Shard, timeout: Duration?,
        standard: Duration?,
        ids: [BSON], meta: RequestMetadata, callback: Callback?
    ) {
        self.ids = ids
        self.command = command
        self.client = client
        route = client.route(of: shard)
        self.meta = meta
        self.callback = callback
        let corequest = Corequest<MongoResponse>(shard: shard)
        self.corequest = corequest
        core = CallCore(session: session, shard: shard, timeout: timeout, standard: standard)
        corequest.setDriver(self)
    }

    var peer: String { server.map { "mongodb://\($0.address)" } ?? client.configuration.description }

    /// The corequest for callers; before submission.
    var handle: Corequest<MongoResponse> {
        guard let corequest else { preconditionFailure("a call is asked for its corequest after its end") }
        return corequest
    }

    /// The kind of server that it needs.
    var selector: MongoTopology.Selector { command.session?.pinned.map { .server($0) } ?? command.selector }

    func begin() {
        if let problem = command.session?.begins(command) { return failLater(problem) }
        route.send(self)
    }

    func chose(_ server: MongoServer, _ topology: MongoTopology.Kind) {
        self.server = server
        self.topology = topology
        if topology == .sharded { command.session?.pin(server.address) }
        guard command.isOnce, number == nil, client.configuration.retriesWrites, server.retriesWrites else { return }
        if let session = command.session {
            number = session.countsWrite()
        } else {
            ownSession = client.sessions.take()
            ownSession?.number += 1
            number = ownSession?.number
        }
    }

    var isAbandoned: Bool { isOver && !leavesCursor }

    /// Whether its reply may open a cursor.
    var mayOpenCursor: Bool { if case .documents = command.shape { continuation == nil } else { false } }
    /// Whether that reply is still expected, although no caller waits for it.
    @exclusivity(unchecked) var leavesCursor = false

    func wasAbandoned(on connection: MongoConnection) {
        guard mayOpenCursor else { return }
        // Its cursor must be closed when its ID is known; the wait for a server that is gone is limited.
        leavesCursor = true
        shard.eventLoop.scheduleTask(in: .seconds(10)) { [weak connection] in
            self.leavesCursor = false
            connection?.link.closeIfDone()
        }
    }

    /// Sends it on an exclusive connection.
    func sendAlone(_ pool: PipelinePool<MongoConnection>) {
        Task(executorPreference: shard.executor) {
            do {
                let connection = try await pool.lease(until: nil)
                guard !self.isOver else { return pool.giveBack(connection) }
                self.whenOver = { pool.giveBack(connection) }
                connection.send(self, at: self.shard.now)
            } catch {
                let error = error as? SkeinError ?? SkeinError(.cancelled, because: "the call was cancelled")
                // An exhausted pool says nothing about the server.
                if error.code == .timeout || error.code == .overloaded {
                    self.fail(error)
                } else {
                    self.couldNotConnect(error)
                }
            }
        }
    }

    // MARK: Wire format

    func body(on connection: MongoConnection) -> MongoBody {
        if let continuation {
            var body = MongoBody(document: continuation, database: command.database)
            command.session?.write(into: &body.additions, command, topology: topology)
            return body
        }
        var body = MongoBody(
            document: command.document, database: command.database, sequence: command.sequence,
            isUnacknowledged: command.isUnacknowledged)
        if let ownSession { body.additions.append("lsid", .document(ownSession.id)) }
        command.session?.write(into: &body.additions, command, topology: topology)
        if let number { body.additions.append("txnNumber", .int64(number)) }
        if case .read(let preference) = command.selector, server?.kind != .standalone {
            // A single configured server is used for reads, whatever its role.
            let effective: MongoReadPreference =
                topology == .single && preference.mode == .primary ? .primaryPreferred : preference
            if effective.mode != .primary { body.additions.append("$readPreference", .document(effective.document)) }
        }
        if topology != .single, let time = client.monitor.clusterTime {
            body.additions.append("$clusterTime", .document(time))
        }
        if command.isUnacknowledged { shard.eventLoop.execute { self.finish(["ok": 1]) } }
        return body
    }

    func receive(_ reply: MongoReply, on connection: MongoConnection) {
        let document = reply.document
        if let time = document.find("$clusterTime")?.value(in: document.bytes).document {
            client.monitor.saw(clusterTime: time)
        }
        command.session?.saw(document)
        let error = MongoError.inside(document)
        if let error, error.isStateChange {
            client.monitor.lost(
                connection.address, because: "it said: \(error)", topologyVersion: document["topologyVersion"]?.document
            )
            if error.isShutdown { connection.leave() }
        }
        guard !isOver else { return closeCursor(document, on: connection) }
        if let error {
            if mayRetry(error) { return retry() }
            if error.labels.contains("TransientTransactionError") { command.session?.unpin() }
            return finish(document, error)
        }
        guard case .documents = command.shape else { return finish(document) }
        take(document, on: connection)
    }

    /// Stores a batch of a cursor, and requests the next one.
    private func take(_ document: Document, on connection: MongoConnection) {
        let cursor = document["cursor"]?.document ?? Document()
        if let batch = cursor.find("firstBatch") ?? cursor.find("nextBatch"), batch.type == .array {
            let slice = batch.slice(of: cursor.bytes)
            batches.append(slice)
            bytes += slice.readableBytes
        }
        guard command.drains, let open = Self.open(cursor) else { return finish(document) }
        guard bytes <= client.configuration.maximumAnswerSize else {
            closeCursor(document, on: connection)
            return fail(
                SkeinError(
                    .contentTooLarge, peer: peer,
                    because:
                        "the documents are more than \(client.configuration.maximumAnswerSize) bytes; read them with stream(…)"
                ))
        }
        continuation = ["getMore": .int64(open.id), "collection": .string(open.collection)]
        connection.send(self, at: shard.now)
    }

    /// No caller is left to read on.
    private func closeCursor(_ document: Document, on connection: MongoConnection) {
        guard let cursor = document["cursor"]?.document, let open = Self.open(cursor) else { return }
        connection.ask(
            ["killCursors": .string(open.collection), "cursors": [.int64(open.id)]], on: command.database
        ) { _ in }
    }

    /// The open cursor on the server, and its collection.
    private static func open(_ cursor: Document) -> (id: Int64, collection: String)? {
        guard let id = cursor["id"]?.int, id != 0 else { return nil }
        let namespace = cursor["ns"]?.string ?? ""
        return (Int64(id), namespace.firstByte(".").map { String(namespace.text(after: $0)) } ?? "")
    }

    // MARK: Retry

    /// Whether it may be sent again: a read, or a write that the server detects as repeated.
    private var isRepeatable: Bool {
        guard retries < 1, continuation == nil, command.session?.isInTransaction != true else { return false }
        return command.isRead ? client.configuration.retriesReads : number != nil
    }

    private func mayRetry(_ error: MongoError) -> Bool {
        guard isRepeatable else { return false }
        return command.isRead
            ? error.isRetryableRead : error.isRetryableWrite(wireVersion: server?.wireVersion ?? 0)
    }

    private func retry() {
        retries += 1
        letGo()
        route.send(self)
    }

    func lost(_ reason: SkeinError) {
        if let server { client.monitor.lost(server.address, because: reason.message) }
        guard !isOver else { return }
        ownSession?.isDirty = true
        if isRepeatable { return retry() }
        command.session?.unpin()
        fail(
            SkeinError(
                reason.code, peer: peer,
                because: "the connection was lost with the command under way"
                    + (command.isRead ? ": " : ", and whether it was carried out is not known: ") + reason.message,
                cause: reason))
    }

    func couldNotConnect(_ error: SkeinError) {
        let isFinal = [.unknownAuthentication, .shuttingDown, .cancelled].contains(error.code)
        guard let server, !isOver, !isFinal else { return fail(error) }
        client.monitor.lost(server.address, because: error.message)
        // Nothing was sent, so a retry on any server is safe.
        guard retries < 1, command.session?.pinned == nil else { return fail(error) }
        retry()
    }

    // MARK: The end

    private func finish(_ reply: Document, _ error: MongoError? = nil) {
        guard !isOver else { return }
        let response = response(reply, error: error)
        end(bytes: reply.bytes.readableBytes, failed: false) { respond(response) }
    }

    func publish(_ failure: SkeinError) { respond(response(Document(), failure: failure)) }

    private func response(
        _ reply: Document, error: MongoError? = nil, failure: SkeinError? = nil
    ) -> MongoResponse {
        MongoResponse(
            meta: meta, method: command.name,
            content: MongoResult(reply: reply, shape: command.shape, batches: batches, insertedIDs: ids),
            logger: session.logger, failure: failure, mongoError: error, peer: peer)
    }

    /// Returns the connection that it used exclusively, once it is idle.
    private func letGo() {
        guard let whenOver else { return }
        core.carrier = nil  // it belongs to another call now, which this one must not affect
        self.whenOver = nil
        shard.eventLoop.execute(whenOver)
    }

    private func respond(_ response: MongoResponse) {
        letGo()
        if let ownSession { client.sessions.giveBack(ownSession) }
        ownSession = nil
        guard let corequest else { return }
        self.corequest = nil
        corequest.finish(response)
        callback?(response)
    }
}
