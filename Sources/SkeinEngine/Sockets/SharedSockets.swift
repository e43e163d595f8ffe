// Socket groups with members in several processes.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWorkers

/// A message to a group, as sent between processes.
struct GroupMessage: Equatable {
    var group: String
    /// The name of the recipients; nil for all.
    var member: String?
    var message: WebSocketMessage

    /// The kind, the group with its length, whether there is a name, the name with its length, the content.
    var encoded: [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeInteger(message.kind.rawValue)
        for text in [group, member ?? ""] {
            buffer.writeInteger(UInt16(truncatingIfNeeded: text.utf8.count))
            buffer.writeString(text)
        }
        buffer.writeInteger(member == nil ? 0 : 1 as UInt8)
        buffer.writeImmutableBuffer(message.bytes)
        return Array(buffer.readableBytesView)
    }

    init(group: String, member: String?, message: WebSocketMessage) {
        self.group = group
        self.member = member
        self.message = message
    }

    /// Nil for invalid bytes.
    init?(_ bytes: [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        guard let kind = buffer.readInteger(as: UInt8.self).flatMap(WebSocketMessage.Kind.init),
            let groupLength = buffer.readInteger(as: UInt16.self),
            let group = buffer.readString(length: Int(groupLength)),
            let nameLength = buffer.readInteger(as: UInt16.self), let name = buffer.readString(length: Int(nameLength)),
            let hasName = buffer.readInteger(as: UInt8.self)
        else { return nil }
        self.group = group
        member = hasName == 1 ? name : nil
        message = WebSocketMessage(kind, buffer)
    }
}

extension Engine {
    /// Delivers messages to socket groups in all processes of the server:
    ///
    ///     let rooms = SocketGroups<String>()
    ///     engine.share(rooms, as: "rooms")
    ///
    /// Messages of one process arrive in order. ``SocketGroup/count`` and ``SocketGroup/names`` cover one process only.
    /// - Parameters:
    ///   - groups: the groups.
    ///   - name: the name, the same in all processes.
    ///   - waiting: messages that may be queued for other processes; further ones reach this process only, and a
    ///     warning is logged. Default: 4096. A message has 59 000 bytes at most.
    public mutating func share(_ groups: SocketGroups<String>, as name: String, waiting: Int = 4096) {
        let topic = "skein.sockets:\(name)"
        onBroadcast(topic) { broadcast, _ in
            guard let message = GroupMessage(broadcast.bytes) else { return }
            groups.deliver(message)
        }
        let logger = configuration.logger
        configuration.sharing.starting.append { shared in
            let (messages, inlet) = AsyncStream.makeStream(
                of: GroupMessage.self, bufferingPolicy: .bufferingOldest(waiting))
            groups.spread { message in
                if case .dropped = inlet.yield(message) {
                    logger.warning(
                        "a message to the sockets of \(name) reached one process only: too many messages are queued")
                }
            }
            for await message in messages {
                do {
                    try await Self.send(Broadcast(topic: topic, bytes: message.encoded), shared)
                } catch {
                    logger.warning("a message to the sockets of \(name) reached one process only: \(error)")
                }
            }
        }
    }

    /// Sends a message, retrying for a second while there is no room.
    private static func send(_ message: Broadcast, _ shared: Shared) async throws {
        for _ in 0..<200 {
            do {
                return try await shared.core.backend.broadcast(message)
            } catch let error as SkeinError where error.code == .exception {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        try await shared.core.backend.broadcast(message)
    }
}
