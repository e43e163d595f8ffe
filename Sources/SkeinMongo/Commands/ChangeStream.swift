// What others change, as it happens
// (https://github.com/mongodb/specifications/blob/master/source/change-streams/change-streams.md).

import SkeinCore

/// What a change stream says besides its pipeline.
public struct ChangeStreamOptions: Sendable {
    /// Whether updates come with the document as it is then: `updateLookup`, `whenAvailable`, `required`. Default: without.
    public var fullDocument: String?
    /// The token behind which it begins; see ``MongoChangeStream/AsyncIterator/resumeToken``. Default: now.
    public var resumeAfter: Document?
    /// How long the server waits for a change before it says that there is none. Default: 10 s.
    public var patience: Duration = .seconds(10)
    /// How many changes come in one answer. Default: the server's choice.
    public var batchSize: Int?

    /// The defaults.
    public init(fullDocument: String? = nil, resumeAfter: Document? = nil) {
        self.fullDocument = fullDocument
        self.resumeAfter = resumeAfter
    }
}

extension MongoCollection {
    /// Hears what is changed in the collection, from the first step of a walk on: `for try await change in posts.watch()`.
    ///
    /// It needs a replica set. It goes on behind the last change that was seen when its server is lost.
    /// - Parameters:
    ///   - pipeline: stages that changes go through.
    ///   - options: where it begins, and what comes along.
    public func watch(
        _ pipeline: [Document] = [], _ options: ChangeStreamOptions = ChangeStreamOptions()
    ) -> MongoChangeStream { MongoChangeStream(collection: self, pipeline: pipeline, options: options) }
}

/// Changes as they happen. Each walk over it begins anew.
public struct MongoChangeStream: AsyncSequence, Sendable {
    public typealias Element = Document

    fileprivate let collection: MongoCollection
    fileprivate let pipeline: [Document]
    fileprivate let options: ChangeStreamOptions

    /// Begins a walk; the server is asked at its first step.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(collection: collection, pipeline: pipeline, options: options)
    }

    /// A walk over the changes.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let collection: MongoCollection
        fileprivate let pipeline: [Document]
        fileprivate let options: ChangeStreamOptions
        private var open: OpenCursor?
        private var batch: [Document] = []
        private var place = 0
        private var batchToken: Document?
        private var startTime: BSON?
        /// The place behind the last change that was taken; with it, a later stream goes on there.
        public private(set) var resumeToken: Document?

        fileprivate init(collection: MongoCollection, pipeline: [Document], options: ChangeStreamOptions) {
            self.collection = collection
            self.pipeline = pipeline
            self.options = options
            resumeToken = options.resumeAfter
        }

        /// The next change, for which it waits.
        /// - Throws: what the server says, when that cannot be mended by going on elsewhere; `CancellationError` when the task is cancelled.
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

        /// Whether another server, or the same one a moment later, can go on.
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
