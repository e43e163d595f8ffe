// Queries and scans, page by page, when the consumer is ready.

import SkeinCore

/// A query or a scan.
public struct DynamoQuery: Sendable {
    /// The condition for the key; nil for a scan of all items.
    public var key: DynamoExpression?
    /// The filter, which is applied after reading.
    public var filter: DynamoExpression?
    /// The requested attributes. Default: all.
    public var attributes: [String]?
    /// The index to read. Default: the table.
    public var index: String?
    /// Whether the order is that of the sort key, and not reversed. Default: true.
    public var isAscending = true
    /// Whether reads are strongly consistent. Default: false.
    public var isConsistent = false
    /// The number of items read for one page. Default: up to a megabyte.
    public var pageSize: Int?
    /// The key after which it starts. Default: the beginning.
    public var start: DynamoItem?
    /// For a parallel scan, the number of this segment and the total.
    public var segment: (number: Int, total: Int)?

    /// A query: `DynamoQuery(key: "\(name: "author") = \("Ada")")`.
    public init(key: DynamoExpression? = nil, filter: DynamoExpression? = nil) {
        self.key = key
        self.filter = filter
    }

    func request() -> DynamoRequest {
        var request = DynamoRequest()
        request.add("KeyConditionExpression", key)
        request.add("FilterExpression", filter)
        request.add("ProjectionExpression", attributes.map(DynamoExpression.names))
        request.input.add("IndexName", index)
        request.input.add("ScanIndexForward", isAscending ? nil : false)
        request.input.add("ConsistentRead", isConsistent ? true : nil)
        request.input.add("Limit", pageSize)
        request.input.add("ExclusiveStartKey", start)
        request.input.add("Segment", segment?.number)
        request.input.add("TotalSegments", segment?.total)
        return request
    }

    var operation: String { key == nil ? "Scan" : "Query" }
}

extension DynamoTable {
    /// One page of the items that match a key condition:
    /// `posts.query("\(name: "author") = \("Ada")").fetch([Post].self)`.
    ///
    /// A page has at most a megabyte; use ``items(_:)`` to read all pages.
    @discardableResult
    public func query(_ key: DynamoExpression, filter: DynamoExpression? = nil) -> Corequest<AWSResponse> {
        page(DynamoQuery(key: key, filter: filter))
    }

    /// One page of all items.
    @discardableResult
    public func scan(filter: DynamoExpression? = nil) -> Corequest<AWSResponse> { page(DynamoQuery(filter: filter)) }

    /// One page. The response's `LastEvaluatedKey` is the start of the next one.
    @discardableResult
    public func page(_ query: DynamoQuery) -> Corequest<AWSResponse> {
        call(query.operation, query.request().finished(), form: .items("Items"))
    }

    /// The number of matching items, in all pages.
    public func count(_ query: DynamoQuery = DynamoQuery()) async throws -> Int {
        struct Page: Decodable {
            let Count: Int
            let LastEvaluatedKey: DynamoItem?
        }
        var query = query
        var sum = 0
        repeat {
            let input = query.request().finished().adding("Select", "COUNT")
            let page = try await call(query.operation, input).fetch(Page.self)
            sum += page.Count
            query.start = page.LastEvaluatedKey
        } while query.start != nil
        return sum
    }

    /// All items, read page by page on demand: `for try await item in posts.items()`.
    public func items(_ query: DynamoQuery = DynamoQuery()) -> DynamoItems { DynamoItems(table: self, query: query) }
}

/// Items on demand. Each iteration runs the query again.
public struct DynamoItems: AsyncSequence, Sendable {
    public typealias Element = DynamoItem

    fileprivate let table: DynamoTable
    fileprivate let query: DynamoQuery

    /// Starts an iteration; its first step contacts the service.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(table: table, query: query) }

    /// The items, decoded as a type.
    public func decode<T: Decodable & SendableMetatype>(_ type: T.Type) -> AsyncThrowingMapSequence<DynamoItems, T> {
        map { try $0.decode(type) }
    }

    /// Iterates over the items.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let table: DynamoTable
        fileprivate var query: DynamoQuery
        private var items: [DynamoItem] = []
        private var place = 0
        private var isLast = false

        fileprivate init(table: DynamoTable, query: DynamoQuery) {
            self.table = table
            self.query = query
        }

        /// The next item; nil after the last.
        /// - Throws: the service's error.
        public mutating func next() async throws -> DynamoItem? {
            struct Page: Decodable {
                let Items: [DynamoItem]
                let LastEvaluatedKey: DynamoItem?
            }
            while place >= items.count {
                if isLast { return nil }
                let page = try await table.call(query.operation, query.request().finished()).fetch(Page.self)
                items = page.Items
                place = 0
                query.start = page.LastEvaluatedKey
                isLast = query.start == nil
            }
            defer { place += 1 }
            return items[place]
        }
    }
}
