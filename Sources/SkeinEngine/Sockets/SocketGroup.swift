// Groups of sockets that get the same messages: the rooms of a chat, the tabs of a user.

import SkeinCore
import SkeinHTTP
import Synchronization

/// Sockets that messages are sent to as a group.
///
///     let rooms = SocketGroups<String>()
///     router.webSocket("/chat/<room>") { socket, request in
///         let room = rooms[request.parameter("room") ?? ""]
///         try await room.join(socket) {
///             for try await message in socket { room.send(message) }
///         }
///     }
///
/// A slow member does not delay the others: when its unsent output exceeds `maximumUnsent` of its options, it is closed
/// with 1013, or it misses the message.
public final class SocketGroup: Sendable {
    /// The handling of a slow member.
    public enum Slow: Sendable {
        /// It is closed with 1013, and may reconnect.
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
    /// Forwards a message to other processes.
    private let spread: (@Sendable (WebSocketMessage, _ name: String?) -> Void)?

    /// A group without members.
    /// - Parameter slow: the handling of a slow member. Default: it is closed.
    public convenience init(slow: Slow = .closed) { self.init(slow: slow, ended: nil, spread: nil) }

    /// - Parameter ended: called when the last reference to the group is released.
    init(
        slow: Slow, ended: (@Sendable () -> Void)?, spread: (@Sendable (WebSocketMessage, _ name: String?) -> Void)?
    ) {
        self.slow = slow
        self.ended = ended
        self.spread = spread
    }

    deinit { ended?() }

    /// The number of sockets.
    public var count: Int { members.withLock { $0.count } }

    /// The distinct names of the members.
    public var names: Set<String> { members.withLock { Set($0.values.compactMap(\.name)) } }

    /// Makes a socket a member while an operation runs.
    /// - Parameters:
    ///   - name: a name for addressing; several sockets may share one, such as those of a user. Default: none.
    ///   - work: the operation, usually an iteration over the socket's messages.
    public func join<Result>(
        _ socket: WebSocket, as name: String? = nil, _ work: () async throws -> Result
    ) async rethrows -> Result {
        members.withLock { $0[ObjectIdentifier(socket)] = Member(socket: socket, name: name) }
        defer { members.withLock { $0[ObjectIdentifier(socket)] = nil } }
        return try await work()
    }

    /// Sends a message to all members, from any thread, without waiting.
    /// - Parameter other: a socket that does not get it, such as the sender. Default: none.
    public func send(_ message: WebSocketMessage, except other: WebSocket? = nil) {
        deliver(message) { $0.socket !== other }
        spread?(message, nil)
    }

    /// Sends a message to all members with a name, from any thread, without waiting.
    /// - Returns: the number of recipients in this process.
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
        // One call for each loop, not for each socket.
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

/// Groups by name; a group is removed when nothing refers to it any more; members hold a reference.
public final class SocketGroups<Name: Hashable & Sendable>: Sendable {
    private struct Known: Sendable {
        let number: Int
        weak let group: SocketGroup?
    }

    private let slow: SocketGroup.Slow
    private let groups = Mutex<[Key: Known]>([:])
    /// The number of groups created; changed under the lock of the groups.
    private let numbers = Atomic<Int>(0)
    private let spreading = Mutex<(@Sendable (Name, WebSocketMessage, _ member: String?) -> Void)?>(nil)

    /// Names that are text are compared by their bytes.
    private struct Key: Hashable {
        let name: Name
        let bytes: ByteKey?

        init(_ name: Name) {
            self.name = name
            bytes = (name as? String).map(ByteKey.init)
        }
    }

    /// No groups yet.
    /// - Parameter slow: the handling of a slow member. Default: it is closed.
    public init(slow: SocketGroup.Slow = .closed) { self.slow = slow }

    /// The names of the existing groups.
    public var names: [Name] {
        // The groups are retained until the lock is released: the deinitialiser of a group acquires it again.
        let all = groups.withLock { groups in groups.map { ($0.key.name, $0.value.group) } }
        return all.compactMap { name, group in group == nil ? nil : name }
    }

    /// The group of a name, created on first use.
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

    /// Forwards messages to a group to other processes, too.
    func spread(_ spread: @escaping @Sendable (GroupMessage) -> Void) where Name == String {
        spreading.withLock {
            $0 = { spread(GroupMessage(group: $0, member: $2, message: $1)) }
        }
    }

    /// Another process has sent a message to a group, which may have members here.
    func deliver(_ message: GroupMessage) where Name == String {
        groups.withLock { $0[Key(message.group)]?.group }?.deliver(message)
    }

    private func forget(_ name: Name, _ number: Int) {
        // A group of the same name may have been created meanwhile.
        groups.withLock { groups in if groups[Key(name)]?.number == number { groups[Key(name)] = nil } }
    }
}
