// Several corequests as one: they run concurrently anyway; the group only waits for all of them.

/// A group of corequests with the same five methods as one.
public struct CorequestGroup<Result: Response>: Sendable {
    private var members: [Corequest<Result>]

    /// A group of corequests, all of which have started already.
    public init(_ members: some Sequence<Corequest<Result>>) { self.members = Array(members) }

    /// Adds one more.
    public mutating func add(_ member: Corequest<Result>) { members.append(member) }

    /// Adds all members of another group.
    public mutating func merge(_ other: CorequestGroup) { members += other.members }

    /// Waits for all and returns their responses in order. Never throws.
    public func dispatch(timeout: Duration? = nil) async -> [Result] {
        tighten(timeout)
        var results: [Result] = []
        results.reserveCapacity(count)
        for member in members { results.append(await cancellingAll { await member.dispatch() }) }
        return results
    }

    /// Waits until as many members as are needed have succeeded, and cancels the others: partial results of a group.
    /// - Parameters:
    ///   - quorum: successes that are needed; more than there are members means all of them.
    ///   - timeout: from now on, for all. Default: none but the members' own.
    /// - Returns: the responses in order; nil for a member that had not ended when the others were enough. When too few have succeeded, all
    ///   responses are there, and tell why.
    public func dispatch(quorum: Int, timeout: Duration? = nil) async -> [Result?] {
        tighten(timeout)
        var results = [Result?](repeating: nil, count: count)
        var missing = Swift.min(quorum, count)
        await withTaskGroup(of: (Int, Result).self) { group in
            for (index, member) in members.enumerated() { group.addTask { (index, await member.dispatch()) } }
            while missing > 0, let (index, response) = await group.next() {
                results[index] = response
                if response.isSuccess { missing -= 1 }
            }
            cancel()
        }
        return results
    }

    /// What those members carry that succeeded, in order, as soon as there are enough of them; the others are cancelled.
    /// - Parameters:
    ///   - quorum: successes that are needed; more than there are members means all of them.
    ///   - timeout: from now on, for all. Default: none but the members' own.
    /// - Throws: the error of the first, in order, that failed, when too few have succeeded.
    public func fetch(quorum: Int, timeout: Duration? = nil) async throws -> [Result.Content] {
        let results = await dispatch(quorum: quorum, timeout: timeout)
        let successes = results.compactMap { $0 }.filter(\.isSuccess)
        if quorum > 0, isEmpty {
            throw SkeinError(.exception, because: "the group has no members, but a quorum is asked for")
        }
        if successes.count < Swift.min(quorum, count) { for result in results { try result?.raiseForStatus() } }
        return successes.map(\.content)
    }

    /// Waits for all and tells how each went.
    public func wait(timeout: Duration? = nil) async -> [Outcome] { await dispatch(timeout: timeout).map(\.outcome) }

    /// Waits for all and returns their contents, in order.
    /// - Throws: the error of the first member that failed, in the order of the group.
    public func fetch(timeout: Duration? = nil) async throws -> [Result.Content] {
        try await dispatch(timeout: timeout).map {
            try $0.raiseForStatus()
            return $0.content
        }
    }

    /// Waits for all and decodes each.
    public func fetch<T: Decodable & Sendable>(_ type: T.Type, timeout: Duration? = nil) async throws -> [T] {
        tighten(timeout)
        var values: [T] = []
        for member in members { values.append(try await cancellingAll { try await member.fetch(type) }) }
        return values
    }

    /// Waits for all and decodes each, which must be exactly one record.
    /// - Throws: code 410 for the first without exactly one record.
    public func one<T: Decodable & Sendable>(_ type: T.Type, timeout: Duration? = nil) async throws -> [T] {
        tighten(timeout)
        var values: [T] = []
        for member in members { values.append(try await cancellingAll { try await member.one(type) }) }
        return values
    }

    /// Waits for the success of all changes.
    /// - Throws: the error of the first member that failed, in the order of the group; the others have ended, too.
    public func commit(timeout: Duration? = nil) async throws {
        for response in await dispatch(timeout: timeout) { try response.raiseForStatus() }
    }

    /// Leaves the members running and returns another value: `return CorequestGroup(calls).returning(ServerResponse(.accepted))`.
    @discardableResult
    public func returning<Value>(_ value: Value) -> Value { value }

    /// Cancels every member that is not over.
    public func cancel() {
        for member in members { member.cancel() }
    }

    /// The responses in the order in which they arrive, each with the index of its corequest.
    public var asCompleted: AsyncStream<(index: Int, response: Result)> {
        AsyncStream { continuation in
            let task = Task { [members] in
                await withTaskGroup(of: (Int, Result).self) { group in
                    for (index, member) in members.enumerated() {
                        group.addTask { (index, await member.dispatch()) }
                    }
                    for await (index, response) in group { continuation.yield((index, response)) }
                }
                continuation.finish()
            }
            continuation.onTermination = { if case .cancelled = $0 { task.cancel() } }
        }
    }

    private func tighten(_ timeout: Duration?) {
        guard let timeout else { return }
        let deadline = Deadline.after(timeout)
        for member in members { member.tighten(deadline) }
    }

    /// Cancelling the wait cancels all members, since they were started together.
    private func cancellingAll<T>(_ wait: () async throws -> T) async rethrows -> T {
        try await withTaskCancellationHandler(operation: wait, onCancel: cancel)
    }
}

extension CorequestGroup: RandomAccessCollection {
    /// The first index, 0.
    public var startIndex: Int { 0 }
    /// The number of members.
    public var endIndex: Int { members.count }

    /// A member by its index.
    public subscript(position: Int) -> Corequest<Result> { members[position] }

    /// Some of the members, as a group.
    public subscript(bounds: Range<Int>) -> CorequestGroup { CorequestGroup(members[bounds]) }
}
