// Documents by the thousand and the million: read a batch at a time, when the consumer is ready for it.

import NIOCore
import SkeinCore
import SkeinTransport
import Synchronization

extension MongoCollection {
    /// Reads documents as they are wanted: `for try await post in posts.stream(["author": "Ada"])`.
    /// - Parameters:
    ///   - filter: what they have to be like. Default: anything.
    ///   - options: order, projection, limits.
    public func stream(_ filter: Document = [:], _ options: FindOptions = FindOptions()) -> MongoCursor {
        MongoCursor(
            collection: self,
            command: reading("find", shape: .documents) { document in
                options.write(filter, into: &document)
                document.append("batchSize", ifAny: options.batchSize)
            }, batchSize: options.batchSize)
    }

    /// Reads the results of a pipeline as they are wanted.
    public func stream(aggregate pipeline: [Document], options: Document = [:], batchSize: Int? = nil) -> MongoCursor {
        MongoCursor(
            collection: self, command: aggregation(pipeline, options, batchSize: batchSize), batchSize: batchSize)
    }
}

/// Documents as they are wanted. Each walk over it asks anew.
public struct MongoCursor: AsyncSequence, Sendable {
    public typealias Element = Document

    fileprivate let collection: MongoCollection
    fileprivate let command: MongoCommand
    fileprivate let batchSize: Int?

    /// Begins a walk; the server is asked at its first step.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(cursor: self) }

    /// The documents as values of a type.
    public func decode<T: Decodable & SendableMetatype>(_ type: T.Type) -> AsyncThrowingMapSequence<MongoCursor, T> {
        map { try $0.decode(type) }
    }

    /// A walk over the documents.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let cursor: MongoCursor
        private var open: OpenCursor?
        private var batch: [Document] = []
        private var place = 0
        private var hasBegun = false

        fileprivate init(cursor: MongoCursor) { self.cursor = cursor }

        /// The next document; nil behind the last.
        /// - Throws: what the server says, such as that it has closed the cursor, and what happens to the connection.
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

/// A cursor on a server, which is closed there when nobody reads it any more.
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
    /// - Parameter patience: how long the server may wait for one; nil when it need not.
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
