// Streams with consumer groups, as sequences.

import SkeinCore

/// An entry of a stream.
public struct RedisStreamEntry: Hashable, Sendable {
    /// Its id: milliseconds and a number.
    public let id: String
    /// Its fields, in their order.
    public let fields: [RedisEntry]

    /// A field's value.
    public subscript(name: String) -> RedisValue? { fields.first { $0.key.string?.equalsBytes(name) == true }?.value }

    package init?(_ value: RedisValue) {
        guard let id = value[0]?.string, let fields = value[1]?.entries else { return nil }
        self.id = id
        self.fields = fields
    }
}

extension RedisClient {
    /// Reads a stream as one of a group: each entry goes to one consumer of the group, and stays with it until `ack`.
    ///
    /// What this consumer has got before and not acknowledged comes first. The group is made when there is none.
    /// - Parameters:
    ///   - stream: the key.
    ///   - group: the group's name.
    ///   - consumer: this consumer's name, the same after a restart.
    ///   - count: entries that are asked for at one time. Default: 100.
    public func consume(
        _ stream: String, group: String, consumer: String, count: Int = 100
    ) -> RedisStreamReader {
        RedisStreamReader(client: self, stream: stream, group: group, consumer: consumer, count: count)
    }
}

/// The entries of a stream for one consumer of a group; it has no end.
public struct RedisStreamReader: AsyncSequence, Sendable {
    public typealias Element = RedisStreamEntry

    fileprivate let client: RedisClient
    fileprivate let stream: String
    fileprivate let group: String
    fileprivate let consumer: String
    fileprivate let count: Int

    /// Says that an entry is done with.
    @discardableResult
    public func ack(_ entry: RedisStreamEntry) -> Corequest<RedisResponse> { client.xack(stream, group, entry.id) }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self) }

    /// A walk over the entries.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let reader: RedisStreamReader
        private var entries: ArraySlice<RedisStreamEntry> = []
        /// From where on what was got before is asked for; `>` for what nobody has got.
        private var position = "0"
        private var hasGroup = false

        fileprivate init(reader: RedisStreamReader) { self.reader = reader }

        /// The next entry, for which it waits.
        /// - Throws: what the server says, and what happens to the connection.
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
                // It is there already.
            }
        }

        private func read() async throws -> [RedisStreamEntry] {
            var words: [any RedisEncodable] = ["GROUP", reader.group, reader.consumer, "COUNT", reader.count]
            // Not for ever: a connection that was lost without a word would not be noticed.
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
    /// The lists of entries that XREAD and XREADGROUP answer with, one of each stream.
    package var entriesOfStreams: [RedisValue] {
        if case .map(let streams) = self { return streams.map(\.value) }
        return (elements ?? []).compactMap { $0[1] }
    }
}
