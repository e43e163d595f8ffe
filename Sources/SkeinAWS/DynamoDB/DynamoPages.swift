// Items by the thousand: page by page, when the consumer is ready for it.

import SkeinCore

/// What a query or a scan says.
public struct DynamoQuery: Sendable {
    /// What holds of the key; with none, all items are looked at.
    public var key: DynamoExpression?
    /// What holds of the rest, looked at when it has been read.
    public var filter: DynamoExpression?
    /// The attributes that are wanted. Default: all.
    public var attributes: [String]?
    /// The index that is read. Default: the table.
    public var index: String?
    /// Whether the order is that of the sort key, and not the other way round. Default: true.
    public var isAscending = true
    /// Whether the answer has to be of now. Default: false.
    public var isConsistent = false
    /// Items that are looked at for one page. Default: a megabyte of them.
    public var pageSize: Int?
    /// Where it begins: the key behind which. Default: at the beginning.
    public var start: DynamoItem?
    /// Of a scan in several parts at one time, which one this is and how many there are.
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
    /// One page of the items whose key is like that: `posts.query("\(name: "author") = \("Ada")").fetch([Post].self)`.
    ///
    /// A page has at most a megabyte; all of them are read by ``items(_:)``.
    @discardableResult
    public func query(_ key: DynamoExpression, filter: DynamoExpression? = nil) -> Corequest<AWSResponse> {
        page(DynamoQuery(key: key, filter: filter))
    }

    /// One page of all items.
    @discardableResult
    public func scan(filter: DynamoExpression? = nil) -> Corequest<AWSResponse> { page(DynamoQuery(filter: filter)) }

    /// One page. The answer's `LastEvaluatedKey` is where the next one begins.
    @discardableResult
    public func page(_ query: DynamoQuery) -> Corequest<AWSResponse> {
        call(query.operation, query.request().finished(), form: .items("Items"))
    }

    /// How many items there are like that, in all pages.
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

    /// All items, read page by page as they are wanted: `for try await item in posts.items()`.
    public func items(_ query: DynamoQuery = DynamoQuery()) -> DynamoItems { DynamoItems(table: self, query: query) }
}

/// Items as they are wanted. Each walk over it asks anew.
public struct DynamoItems: AsyncSequence, Sendable {
    public typealias Element = DynamoItem

    fileprivate let table: DynamoTable
    fileprivate let query: DynamoQuery

    /// Begins a walk; the service is asked at its first step.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(table: table, query: query) }

    /// The items as values of a type.
    public func decode<T: Decodable & SendableMetatype>(_ type: T.Type) -> AsyncThrowingMapSequence<DynamoItems, T> {
        map { try $0.decode(type) }
    }

    /// A walk over the items.
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

        /// The next item; nil behind the last.
        /// - Throws: what the service says.
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
