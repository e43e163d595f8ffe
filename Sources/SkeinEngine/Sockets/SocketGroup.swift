// Sockets that hear of the same: the rooms of a chat, the tabs of a user.

import SkeinCore
import SkeinHTTP
import Synchronization

/// Sockets that messages are sent to together.
///
///     let rooms = SocketGroups<String>()
///     router.webSocket("/chat/<room>") { socket, request in
///         let room = rooms[request.parameter("room") ?? ""]
///         try await room.join(socket) {
///             for try await message in socket { room.send(message) }
///         }
///     }
///
/// Nobody waits for a slow member: when it has not taken what `maximumUnsent` of its options allows, it is closed with 1013, or the
/// message is left out for it.
public final class SocketGroup: Sendable {
    /// What is done about a member that does not take its messages.
    public enum Slow: Sendable {
        /// It is closed with 1013, and may come again.
        case closed
        /// It misses messages.
        case skipped
    }

    private struct Member: Sendable {
        let socket: WebSocket
        let name: String?
    }

    private let slow: Slow
    private let members = Mutex<[ObjectIdentifier: Member]>([:])
    private let ended: (@Sendable () -> Void)?
    /// Sends a message on to other processes.
    private let spread: (@Sendable (WebSocketMessage, _ name: String?) -> Void)?

    /// A group without members.
    /// - Parameter slow: what is done about a member that does not take its messages. Default: it is closed.
    public convenience init(slow: Slow = .closed) { self.init(slow: slow, ended: nil, spread: nil) }

    /// - Parameter ended: called when nobody holds the group any more.
    init(
        slow: Slow, ended: (@Sendable () -> Void)?, spread: (@Sendable (WebSocketMessage, _ name: String?) -> Void)?
    ) {
        self.slow = slow
        self.ended = ended
        self.spread = spread
    }

    deinit { ended?() }

    /// How many sockets there are.
    public var count: Int { members.withLock { $0.count } }

    /// The names of the members that have one, each once.
    public var names: Set<String> { members.withLock { Set($0.values.compactMap(\.name)) } }

    /// Makes a socket a member for as long as something runs.
    /// - Parameters:
    ///   - name: by which it can be written to; several sockets may have one, such as those of a user. Default: none.
    ///   - work: mostly a walk over the socket's messages.
    public func join<Result>(
        _ socket: WebSocket, as name: String? = nil, _ work: () async throws -> Result
    ) async rethrows -> Result {
        members.withLock { $0[ObjectIdentifier(socket)] = Member(socket: socket, name: name) }
        defer { members.withLock { $0[ObjectIdentifier(socket)] = nil } }
        return try await work()
    }

    /// Sends a message to all, from anywhere, without waiting.
    /// - Parameter other: who does not get it, such as the one who wrote it. Default: nobody.
    public func send(_ message: WebSocketMessage, except other: WebSocket? = nil) {
        deliver(message) { $0.socket !== other }
        spread?(message, nil)
    }

    /// Sends a message to all members of a name, from anywhere, without waiting.
    /// - Returns: how many there are in this process.
    @discardableResult
    public func send(_ message: WebSocketMessage, to name: String) -> Int {
        spread?(message, name)
        return deliver(message) { $0.name?.equalsBytes(name) == true }
    }

    /// Another process has sent a message.
    func deliver(_ message: GroupMessage) {
        deliver(message.message) { member in
            message.member.map { member.name?.equalsBytes($0) == true } ?? true
        }
    }

    @discardableResult
    private func deliver(_ message: WebSocketMessage, _ isMeant: (Member) -> Bool) -> Int {
        let meant = members.withLock { members in Array(members.values) }.filter(isMeant)
        // One visit to each loop, not one for each socket.
        let loops = Dictionary(grouping: meant.map(\.socket)) { ObjectIdentifier($0.shard) }
        for sockets in loops.values {
            sockets[0].shard.run { [slow] in
                for socket in sockets where !socket.trySend(message) && slow == .closed && socket.closing == nil {
                    Task { await socket.close(.tryAgainLater, "messages are not taken fast enough") }
                }
            }
        }
        return meant.count
    }
}

/// Groups by their names; one that nobody holds any more is forgotten, and members hold theirs.
public final class SocketGroups<Name: Hashable & Sendable>: Sendable {
    private struct Known: Sendable {
        let number: Int
        weak let group: SocketGroup?
    }

    private let slow: SocketGroup.Slow
    private let groups = Mutex<[Key: Known]>([:])
    /// Groups that were made; changed under the lock of the groups.
    private let numbers = Atomic<Int>(0)
    private let spreading = Mutex<(@Sendable (Name, WebSocketMessage, _ member: String?) -> Void)?>(nil)

    /// Names that are text are told apart by their bytes.
    private struct Key: Hashable {
        let name: Name
        let bytes: ByteKey?

        init(_ name: Name) {
            self.name = name
            bytes = (name as? String).map(ByteKey.init)
        }
    }

    /// No groups yet.
    /// - Parameter slow: what is done about a member that does not take its messages. Default: it is closed.
    public init(slow: SocketGroup.Slow = .closed) { self.slow = slow }

    /// The names of the groups that there are.
    public var names: [Name] {
        // The groups live until the lock is given back: the end of one asks for it again.
        let all = groups.withLock { groups in groups.map { ($0.key.name, $0.value.group) } }
        return all.compactMap { name, group in group == nil ? nil : name }
    }

    /// The group of a name, made when it is asked for first.
    public subscript(name: Name) -> SocketGroup {
        groups.withLock { groups in
            if let group = groups[Key(name)]?.group { return group }
            let group = SocketGroup(slow: slow) {
                [weak self, number = numbers.wrappingAdd(1, ordering: .relaxed).newValue] in
                self?.forget(name, number)
            } spread: { [weak self] message, member in
                self?.spreading.withLock { $0 }?(name, message, member)
            }
            groups[Key(name)] = Known(number: numbers.load(ordering: .relaxed), group: group)
            return group
        }
    }

    /// What is sent to a group goes to other processes, too.
    func spread(_ spread: @escaping @Sendable (GroupMessage) -> Void) where Name == String {
        spreading.withLock {
            $0 = { spread(GroupMessage(group: $0, member: $2, message: $1)) }
        }
    }

    /// Another process has sent a message to a group, of which this one may have members.
    func deliver(_ message: GroupMessage) where Name == String {
        groups.withLock { $0[Key(message.group)]?.group }?.deliver(message)
    }

    private func forget(_ name: Name, _ number: Int) {
        // A group of the same name may have been made since.
        groups.withLock { groups in if groups[Key(name)]?.number == number { groups[Key(name)] = nil } }
    }
}
