// Change streams
// (https://github.com/mongodb/specifications/blob/master/source/change-streams/change-streams.md).

import SkeinCore

/// The options of a change stream beside its pipeline.
public struct ChangeStreamOptions: Sendable {
    /// Whether updates include the current document: `updateLookup`, `whenAvailable`, `required`. Default: they do not.
    public var fullDocument: String?
    /// The token after which it starts; see ``MongoChangeStream/AsyncIterator/resumeToken``. Default: now.
    public var resumeAfter: Document?
    /// How long the server waits for a change before it returns an empty batch. Default: 10 s.
    public var patience: Duration = .seconds(10)
    /// The number of changes per batch. Default: the server's choice.
    public var batchSize: Int?

    /// The defaults.
    public init(fullDocument: String? = nil, resumeAfter: Document? = nil) {
        self.fullDocument = fullDocument
        self.resumeAfter = resumeAfter
    }
}

extension MongoCollection {
    /// Receives changes of the collection, from the first step of an iteration on:
    /// `for try await change in posts.watch()`.
    ///
    /// It needs a replica set. When its server is lost, it resumes after the last change.
    /// - Parameters:
    ///   - pipeline: stages that filter or transform changes.
    ///   - options: the start, and the contents of changes.
    public func watch(
        _ pipeline: [Document] = [], _ options: ChangeStreamOptions = ChangeStreamOptions()
    ) -> MongoChangeStream { MongoChangeStream(collection: self, pipeline: pipeline, options: options) }
}

/// Changes as they happen. Each iteration starts anew.
public struct MongoChangeStream: AsyncSequence, Sendable {
    public typealias Element = Document

    fileprivate let collection: MongoCollection
    fileprivate let pipeline: [Document]
    fileprivate let options: ChangeStreamOptions

    /// Starts an iteration; its first step contacts the server.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(collection: collection, pipeline: pipeline, options: options)
    }

    /// Iterates over the changes.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let collection: MongoCollection
        fileprivate let pipeline: [Document]
        fileprivate let options: ChangeStreamOptions
        private var open: OpenCursor?
        private var batch: [Document] = []
        private var place = 0
        private var batchToken: Document?
        private var startTime: BSON?
        /// The token after the last change that was taken; with it, a later stream resumes there.
        public private(set) var resumeToken: Document?

        fileprivate init(collection: MongoCollection, pipeline: [Document], options: ChangeStreamOptions) {
            self.collection = collection
            self.pipeline = pipeline
            self.options = options
            resumeToken = options.resumeAfter
        }

        /// Waits for the next change.
        /// - Throws: the server's error, unless the stream can be resumed; `CancellationError` when the task is
        ///   cancelled.
        public mutating func next() async throws -> Document? {
            while place >= batch.count {
                try Task.checkCancellation()
                do {
                    if let open {
                        take(try await open.more(options.batchSize, patience: options.patience))
                    } else {
                        try await begin()
                    }
                } catch {
                    try Task.checkCancellation()
                    guard open != nil, Self.isResumable(error) else { throw error }
                    open = nil
                }
            }
            let change = batch[place]
            place += 1
            guard let token = change["_id"]?.document else {
                throw SkeinError(
                    .invalidContent, because: "a change has no _id, so the stream could not resume after it")
            }
            resumeToken = place == batch.count ? batchToken ?? token : token
            return change
        }

        private mutating func begin() async throws {
            var stage = Document()
            stage.append("fullDocument", ifAny: options.fullDocument.map { BSON.string($0) })
            if let resumeToken {
                stage.append("resumeAfter", .document(resumeToken))
            } else {
                stage.append("startAtOperationTime", ifAny: startTime)
            }
            let command = collection.aggregation(
                [["$changeStream": .document(stage)]] + pipeline, [:], batchSize: options.batchSize)
            let response = await collection.client.start(command).dispatch()
            try response.raiseForStatus()
            if startTime == nil { startTime = response.content.reply["operationTime"] }
            open = OpenCursor(response.content.cursorID, collection, response.peer)
            take(response.content)
            guard open != nil else {
                throw SkeinError(
                    .invalidContent, peer: response.peer, because: "the server closed the change stream")
            }
        }

        private mutating func take(_ answer: MongoResult) {
            batch = answer.data
            place = 0
            batchToken = answer.reply["cursor"]?["postBatchResumeToken"]?.document
            if batch.isEmpty, let batchToken { resumeToken = batchToken }
            if answer.cursorID == 0 {
                open?.isExhausted.store(true, ordering: .relaxed)
                open = nil
            }
        }

        /// Whether the stream can be resumed, on another server or on the same one later.
        private static func isResumable(_ error: any Error) -> Bool {
            guard let error = error as? SkeinError else { return false }
            if let refusal = error.cause as? MongoError {
                return refusal.code == MongoError.cursorNotFound || refusal.isStateChange
                    || refusal.labels.contains("ResumableChangeStreamError") || refusal.isRetryableRead
            }
            return [.connectionClosed, .socketError, .connectionFailed, .noResponse, .timeout].contains(error.code)
        }
    }
}
