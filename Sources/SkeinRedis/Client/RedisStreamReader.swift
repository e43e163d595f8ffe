// Streams with consumer groups, as sequences.

import SkeinCore

/// An entry of a stream.
public struct RedisStreamEntry: Hashable, Sendable {
    /// The ID: milliseconds and a sequence number.
    public let id: String
    /// The fields, in order.
    public let fields: [RedisEntry]

    /// The value of a field.
    public subscript(name: String) -> RedisValue? { fields.first { $0.key.string?.equalsBytes(name) == true }?.value }

    package init?(_ value: RedisValue) {
        guard let id = value[0]?.string, let fields = value[1]?.entries else { return nil }
        self.id = id
        self.fields = fields
    }
}

extension RedisClient {
    /// Reads a stream as a consumer of a group: each entry is delivered to one consumer, and stays pending until `ack`.
    ///
    /// Pending entries of this consumer come first. The group is created if it does not exist.
    /// - Parameters:
    ///   - stream: the key.
    ///   - group: the name of the group.
    ///   - consumer: the name of this consumer, the same after a restart.
    ///   - count: entries per request. Default: 100.
    public func consume(
        _ stream: String, group: String, consumer: String, count: Int = 100
    ) -> RedisStreamReader {
        RedisStreamReader(client: self, stream: stream, group: group, consumer: consumer, count: count)
    }
}

/// The entries of a stream for one consumer of a group; an endless sequence.
public struct RedisStreamReader: AsyncSequence, Sendable {
    public typealias Element = RedisStreamEntry

    fileprivate let client: RedisClient
    fileprivate let stream: String
    fileprivate let group: String
    fileprivate let consumer: String
    fileprivate let count: Int

    /// Acknowledges an entry.
    @discardableResult
    public func ack(_ entry: RedisStreamEntry) -> Corequest<RedisResponse> { client.xack(stream, group, entry.id) }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self) }

    /// Iterates over the entries.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let reader: RedisStreamReader
        private var entries: ArraySlice<RedisStreamEntry> = []
        /// The ID after which pending entries are requested; `>` for new entries.
        private var position = "0"
        private var hasGroup = false

        fileprivate init(reader: RedisStreamReader) { self.reader = reader }

        /// Waits for the next entry.
        /// - Throws: the server's error, and failures of the connection.
        public mutating func next() async throws -> RedisStreamEntry? {
            if !hasGroup {
                try await makeGroup()
                hasGroup = true
            }
            while true {
                try Task.checkCancellation()
                if let entry = entries.popFirst() {
                    if position != ">" { position = entry.id }
                    return entry
                }
                let isOld = position != ">"
                let got = try await read()
                entries = got[...]
                if isOld, got.isEmpty { position = ">" }
            }
        }

        private func makeGroup() async throws {
            do {
                try await reader.client.xgroupCreate(reader.stream, reader.group, "0", "MKSTREAM").commit()
            } catch let error as SkeinError where error.redis?.kind == "BUSYGROUP" {
                // It exists already.
            }
        }

        private func read() async throws -> [RedisStreamEntry] {
            var words: [any RedisEncodable] = ["GROUP", reader.group, reader.consumer, "COUNT", reader.count]
            // With a limit: otherwise a silently lost connection would not be noticed.
            if position == ">" { words += ["BLOCK", 5000] as [any RedisEncodable] }
            words += ["STREAMS", reader.stream, position] as [any RedisEncodable]
            let value = try await reader.client.send(RedisCommand("XREADGROUP", words)).fetch()
            // A map of streams in RESP3, a list of pairs in RESP2.
            let list = value.entriesOfStreams
            return (list.first?.elements ?? []).compactMap { RedisStreamEntry($0) }
        }
    }
}

extension RedisValue {
    /// The lists of entries in a reply to XREAD or XREADGROUP, one for each stream.
    package var entriesOfStreams: [RedisValue] {
        if case .map(let streams) = self { return streams.map(\.value) }
        return (elements ?? []).compactMap { $0[1] }
    }
}
