// Streaming of large results: read in batches, when the consumer is ready.

import NIOCore
import SkeinCore
import SkeinTransport
import Synchronization

extension MongoCollection {
    /// Reads documents on demand: `for try await post in posts.stream(["author": "Ada"])`.
    /// - Parameters:
    ///   - filter: the filter. Default: all documents.
    ///   - options: order, projection, limits.
    public func stream(_ filter: Document = [:], _ options: FindOptions = FindOptions()) -> MongoCursor {
        MongoCursor(
            collection: self,
            command: reading("find", shape: .documents) { document in
                options.write(filter, into: &document)
                document.append("batchSize", ifAny: options.batchSize)
            }, batchSize: options.batchSize)
    }

    /// Reads the results of a pipeline on demand.
    public func stream(aggregate pipeline: [Document], options: Document = [:], batchSize: Int? = nil) -> MongoCursor {
        MongoCursor(
            collection: self, command: aggregation(pipeline, options, batchSize: batchSize), batchSize: batchSize)
    }
}

/// Documents on demand. Each iteration runs the query again.
public struct MongoCursor: AsyncSequence, Sendable {
    public typealias Element = Document

    fileprivate let collection: MongoCollection
    fileprivate let command: MongoCommand
    fileprivate let batchSize: Int?

    /// Starts an iteration; its first step contacts the server.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(cursor: self) }

    /// The documents, decoded as a type.
    public func decode<T: Decodable & SendableMetatype>(_ type: T.Type) -> AsyncThrowingMapSequence<MongoCursor, T> {
        map { try $0.decode(type) }
    }

    /// Iterates over the documents.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let cursor: MongoCursor
        private var open: OpenCursor?
        private var batch: [Document] = []
        private var place = 0
        private var hasBegun = false

        fileprivate init(cursor: MongoCursor) { self.cursor = cursor }

        /// The next document; nil after the last.
        /// - Throws: the server's error, for example when it has closed the cursor, and failures of the connection.
        public mutating func next() async throws -> Document? {
            while place >= batch.count {
                let answer: MongoResult
                if !hasBegun {
                    hasBegun = true
                    let response = await cursor.collection.client.start(cursor.command).dispatch()
                    try response.raiseForStatus()
                    answer = response.content
                    open = OpenCursor(answer.cursorID, cursor.collection, response.peer)
                } else {
                    guard let open else { return nil }
                    answer = try await open.more(cursor.batchSize)
                }
                batch = answer.data
                place = 0
                if answer.cursorID == 0 {
                    open?.isExhausted.store(true, ordering: .relaxed)
                    open = nil
                }
            }
            defer { place += 1 }
            return batch[place]
        }
    }
}

/// An open cursor on a server, which is closed with its last reference.
final class OpenCursor: Sendable {
    private let id: Int64
    private let collection: MongoCollection
    private let server: MongoTopology.Selector?
    let isExhausted = Atomic<Bool>(false)

    init?(_ id: Int64, _ collection: MongoCollection, _ peer: String) {
        guard id != 0 else { return nil }
        self.id = id
        self.collection = collection
        server = Endpoint(hostAndPort: peer.dropFirst("mongodb://".count), port: 27017).map { .server($0) }
    }

    deinit {
        guard !isExhausted.load(ordering: .relaxed) else { return }
        var command = MongoCommand(
            ["killCursors": .string(collection.name), "cursors": [.int64(id)]], on: collection.database.name)
        if let server { command.selector = server }
        collection.client.start(command)
    }

    /// The next batch.
    /// - Parameter patience: how long the server may wait for a batch; nil for no wait.
    func more(_ batchSize: Int?, patience: Duration? = nil) async throws -> MongoResult {
        var command = collection.getMore(id, batchSize: batchSize)
        if let server { command.selector = server }
        if let patience {
            command.document.append("maxTimeMS", BSON(Int(patience / .milliseconds(1))))
            command.blocks = true
        }
        let corequest = collection.client.start(
            command, timeout: patience.map { $0 + collection.client.configuration.timeout })
        let response = await withTaskCancellationHandler {
            await corequest.dispatch()
        } onCancel: {
            corequest.cancel()
        }
        if response.mongoError?.code == MongoError.cursorNotFound { isExhausted.store(true, ordering: .relaxed) }
        try response.raiseForStatus()
        return response.content
    }
}
