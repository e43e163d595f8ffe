// A queue and its calls.

import Crypto
import NIOCore
import SkeinCore
import SkeinHTTP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

enum SQSDigest {
    static func of(_ text: String) -> String { Hex.encode(Insecure.MD5.hash(data: Array(text.utf8))) }
}

/// A queue. Every call starts at once and returns a corequest.
public struct SQSQueue: Sendable {
    /// The service of the queue.
    public let service: SQS
    /// Its URL.
    public let url: String

    private func call(
        _ operation: String, _ input: AWSInput = AWSInput(), form: AWSResponse.Form = .json, timeout: Duration? = nil
    ) -> Corequest<AWSResponse> {
        service.client.call(operation, input.adding("QueueUrl", url), form: form, at: url, timeout: timeout)
    }

    // MARK: Sending

    /// Sends a message: `queue.send("abc")`.
    ///
    /// Transient failures are retried, so that a message may arrive twice; a FIFO queue prevents that.
    /// - Returns: the corequest; the response's checksums are verified.
    @discardableResult
    public func send(_ message: SQSOutgoing) -> Corequest<AWSResponse> {
        let digest = SQSDigest.of(message.body)
        return service.client.work("SendMessage") {
            struct Sent: Decodable { let MD5OfMessageBody: String? }
            let response = await call("SendMessage", message.input).dispatch()
            if response.error == nil, response.failure == nil,
                let said = try response.decode(Sent.self).MD5OfMessageBody, said != digest
            {
                throw SkeinError(
                    .invalidContent, peer: response.peer,
                    because: "the received text differs from what was sent: the MD5 does not match")
            }
            return response
        }
    }

    /// Sends a message with a body.
    @discardableResult
    public func send(_ text: String) -> Corequest<AWSResponse> { send(SQSOutgoing(text)) }

    /// Sends any number of messages, in batches of ten, several batches concurrently.
    /// - Returns: the messages that could not be sent, by index, with the reason; transient failures were retried.
    /// - Throws: when no message could be sent.
    @discardableResult
    public func sendAll(_ messages: [SQSOutgoing]) async throws -> [SQSFailure] {
        guard url.hasByteSuffix(".fifo") else {
            return try await batches("SendMessageBatch", messages, size: \.size) { $0.input }
        }
        return try await inOrder(messages)
    }

    /// Sends the batches of each group one after the other, and several groups concurrently: a retried message must not
    /// arrive after later ones of its group.
    private func inOrder(_ messages: [SQSOutgoing]) async throws -> [SQSFailure] {
        var lanes: [[(place: Int, message: SQSOutgoing)]] = []
        var laneOfGroup = ByteDictionary<Int>()
        for (place, message) in messages.enumerated() {
            let group = message.groupID ?? ""
            let lane = laneOfGroup[group] ?? laneOfGroup.count % 16
            laneOfGroup[group] = lane
            if lane == lanes.count { lanes.append([]) }
            lanes[lane].append((place, message))
        }
        return try await withThrowingTaskGroup(of: [SQSFailure].self) { tasks in
            for lane in lanes { tasks.addTask { try await sendLane(lane) } }
            var failures: [SQSFailure] = []
            for try await more in tasks { failures += more }
            return failures.sorted { $0.index < $1.index }
        }
    }

    private func sendLane(_ lane: [(place: Int, message: SQSOutgoing)]) async throws -> [SQSFailure] {
        var failures: [SQSFailure] = []
        var broken = ByteDictionary<Int>()
        var rest = lane[...]
        while !rest.isEmpty {
            var batch: [(place: Int, entry: SQSOutgoing)] = []
            var bytes = 0
            while let (place, message) = rest.first, batch.count < 10,
                batch.isEmpty || bytes + message.size <= Self.maximumBatchSize
            {
                rest.removeFirst()
                if let first = broken[message.groupID ?? ""] {
                    failures.append(
                        SQSFailure(
                            index: place, code: "NotSent",
                            message: "message \(first) of the same group could not be sent"))
                    continue
                }
                batch.append((place, message))
                bytes += message.size
            }
            guard !batch.isEmpty else { continue }
            for failure in try await send("SendMessageBatch", batch, group: { $0.groupID ?? "" }, { $0.input }) {
                failures.append(failure)
                let group = messageGroup(of: failure.index, in: batch)
                broken[group] = broken[group] ?? failure.index
            }
        }
        return failures
    }

    private func messageGroup(of place: Int, in batch: [(place: Int, entry: SQSOutgoing)]) -> String {
        batch.first { $0.place == place }?.entry.groupID ?? ""
    }

    // MARK: Receiving

    /// Receives messages: `queue.receive().fetch([SQSMessage].self)`.
    /// - Parameters:
    ///   - maximum: the maximum number of messages, one to ten. Default: 10.
    ///   - wait: how long to wait for the first, at most 20 s. Default: 20 s.
    ///   - visibility: the visibility timeout. Default: the queue's.
    @discardableResult
    public func receive(
        maximum: Int = 10, wait: Duration = .seconds(20), visibility: Duration? = nil
    ) -> Corequest<AWSResponse> {
        let seconds = max(0, min(20, Int(wait / .seconds(1))))
        let input = AWSInput().adding("MaxNumberOfMessages", max(1, min(10, maximum))).adding(
            "WaitTimeSeconds", seconds
        )
        .adding("VisibilityTimeout", visibility.map { Int($0 / .seconds(1)) })
        .adding("MessageSystemAttributeNames", ["All"]).adding("AttributeNames", ["All"]).adding(
            "MessageAttributeNames", ["All"])
        let patience = service.configuration.timeout ?? .seconds(30)
        return call("ReceiveMessage", input, form: .list("Messages"), timeout: patience + .seconds(seconds))
    }

    /// Receives available messages.
    /// - Returns: up to ten; an empty array after the wait.
    public func messages(
        maximum: Int = 10, wait: Duration = .seconds(20), visibility: Duration? = nil
    ) async throws -> [SQSMessage] {
        let corequest = receive(maximum: maximum, wait: wait, visibility: visibility)
        let response = await withTaskCancellationHandler {
            await corequest.dispatch()
        } onCancel: {
            corequest.cancel()
        }
        try response.raiseForStatus()
        return try response.decodeRecords(SQSMessage.self)
    }

    /// Deletes a received message.
    @discardableResult
    public func delete(_ message: SQSMessage) -> Corequest<AWSResponse> { delete(receipt: message.receipt) }

    /// Deletes a message by its receipt handle.
    @discardableResult
    public func delete(receipt: String) -> Corequest<AWSResponse> {
        call("DeleteMessage", AWSInput().adding("ReceiptHandle", receipt))
    }

    /// Deletes messages, in batches of ten.
    /// - Returns: those that could not be deleted, by index.
    @discardableResult
    public func deleteAll(_ messages: [SQSMessage]) async throws -> [SQSFailure] {
        try await batches("DeleteMessageBatch", messages) { AWSInput().adding("ReceiptHandle", $0.receipt) }
    }

    /// Sets the visibility timeout of a message, from now on; zero makes it visible.
    /// - Parameter visibility: at most 12 hours.
    @discardableResult
    public func changeVisibility(_ message: SQSMessage, to visibility: Duration) -> Corequest<AWSResponse> {
        call(
            "ChangeMessageVisibility",
            AWSInput().adding("ReceiptHandle", message.receipt).adding(
                "VisibilityTimeout", Int(visibility / .seconds(1))))
    }

    /// Sets the visibility timeout of messages, from now on, in batches of ten.
    @discardableResult
    public func changeVisibility(_ messages: [SQSMessage], to visibility: Duration) async throws -> [SQSFailure] {
        try await batches("ChangeMessageVisibilityBatch", messages) {
            AWSInput().adding("ReceiptHandle", $0.receipt).adding("VisibilityTimeout", Int(visibility / .seconds(1)))
        }
    }

    // MARK: Management

    /// The attributes: `ApproximateNumberOfMessages`, `VisibilityTimeout`, `QueueArn`.
    public func attributes(_ names: [String] = ["All"]) async throws -> [String: String] {
        struct Found: Decodable { let Attributes: [String: String]? }
        return try await call("GetQueueAttributes", AWSInput().adding("AttributeNames", names)).fetch(Found.self)
            .Attributes ?? [:]
    }

    /// Sets attributes: `["VisibilityTimeout": "60"]`.
    @discardableResult
    public func setAttributes(_ attributes: [String: String]) -> Corequest<AWSResponse> {
        call("SetQueueAttributes", AWSInput().adding("Attributes", attributes))
    }

    /// Deletes all messages, which takes up to a minute.
    @discardableResult
    public func purge() -> Corequest<AWSResponse> { call("PurgeQueue") }

    /// Deletes the queue with its messages.
    @discardableResult
    public func drop() -> Corequest<AWSResponse> { call("DeleteQueue") }

    // MARK: Batches

    private static let maximumBatchSize = 256 << 10

    /// Sends entries in batches of ten, several requests concurrently, and retries transient failures.
    private func batches<Entry: Sendable>(
        _ operation: String, _ entries: [Entry], size: (Entry) -> Int = { _ in 0 },
        _ input: @escaping @Sendable (Entry) -> AWSInput
    ) async throws -> [SQSFailure] {
        var batches: [[(place: Int, entry: Entry)]] = [[]]
        var bytes = 0
        for (place, entry) in entries.enumerated() {
            let length = size(entry)
            if batches[batches.count - 1].count == 10 || bytes + length > Self.maximumBatchSize,
                !batches[batches.count - 1].isEmpty
            {
                batches.append([])
                bytes = 0
            }
            batches[batches.count - 1].append((place, entry))
            bytes += length
        }
        if batches[0].isEmpty { return [] }
        return try await withThrowingTaskGroup(of: [SQSFailure].self) { group in
            var failures: [SQSFailure] = []
            for (number, batch) in batches.enumerated() {
                if number >= 16 { failures += try await group.next() ?? [] }
                group.addTask { try await send(operation, batch, input) }
            }
            for try await more in group { failures += more }
            return failures.sorted { $0.index < $1.index }
        }
    }

    private func send<Entry: Sendable>(
        _ operation: String, _ batch: [(place: Int, entry: Entry)], group: (@Sendable (Entry) -> String)? = nil,
        _ input: @Sendable (Entry) -> AWSInput
    ) async throws -> [SQSFailure] {
        let backoff = Backoff(first: service.configuration.firstWait * 2, longest: service.configuration.longestWait)
        var waiting = batch
        var failures: [SQSFailure] = []
        for attempt in 0...service.configuration.maximumRetries where !waiting.isEmpty {
            if attempt > 0, try await !backoff.wait(after: attempt) {
                throw SkeinError(
                    .timeout,
                    because:
                        "the queue did not accept \(waiting.count) entries of a batch before the deadline of the task")
            }
            let entries = waiting.map { input($0.entry).adding("Id", "\($0.place)") }
            let failed =
                try await call(operation, AWSInput().adding("Entries", entries)).fetch(SQSBatchAnswer.self).Failed ?? []
            let isLast = attempt == service.configuration.maximumRetries
            var again = Set(failed.filter { $0.SenderFault != true && !isLast }.map(\.Id))
            if let group { again = Self.inOrder(waiting, again, Set(failed.map(\.Id)), group) }
            let lasting = failed.filter { !again.contains($0.Id) }
            failures += lasting.map { SQSFailure(index: Int($0.Id) ?? 0, code: $0.Code, message: $0.Message ?? "") }
            waiting = waiting.filter { again.contains("\($0.place)") }
        }
        return failures
    }
}

extension SQSQueue {
    /// The entries of a batch that may be retried without changing the order within their groups: no later entry of the
    /// group was accepted, and no earlier one failed permanently.
    fileprivate static func inOrder<Entry>(
        _ batch: [(place: Int, entry: Entry)], _ candidates: Set<String>, _ failed: Set<String>,
        _ group: (Entry) -> String
    ) -> Set<String> {
        var groups = ByteDictionary<[String]>()
        for (place, entry) in batch { groups[group(entry)] = (groups[group(entry)] ?? []) + ["\(place)"] }
        var again: Set<String> = []
        for ids in groups.values {
            // All accepted entries precede the failed ones: only then the order is preserved.
            let rest = ids.drop { !failed.contains($0) }
            guard rest.allSatisfy({ failed.contains($0) }) else { continue }
            again.formUnion(rest.prefix { candidates.contains($0) })
        }
        return again
    }
}

/// A failed entry of a batch.
public struct SQSFailure: Sendable, Hashable, CustomStringConvertible {
    /// Its index.
    public let index: Int
    /// The error code.
    public let code: String
    /// The error message.
    public let message: String

    public var description: String { "number \(index): \(message.isEmpty ? code : "\(message) (\(code))")" }
}

/// The service's response to a batch, with its member names.
private struct SQSBatchAnswer: Decodable {
    struct Entry: Decodable {
        let Id: String
        let Code: String
        let Message: String?
        let SenderFault: Bool?
    }

    let Failed: [Entry]?
}
