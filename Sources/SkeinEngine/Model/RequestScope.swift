// The context of one request: its head, its connection, the progress of routing, values stored by handlers.

import NIOCore
import SkeinHTTP
import SkeinWire
import Synchronization

/// The client of a connection.
final class ServerPeer: Sendable {
    let address: SocketAddress?
    /// The address alone, as text; nil for unix sockets.
    let host: String?
    let port: Int?
    /// A number that is unique among the connections of the server.
    let number: UInt32
    /// The address and port for the log.
    let text: String
    /// The local address of the connection, computed on demand.
    let local = AtomicLazyReference<LocalEnd>()

    /// The local address of a connection, as text.
    final class LocalEnd: Sendable {
        let host: String?
        let port: Int?

        init(_ address: SocketAddress?) {
            host = address?.ipAddress
            port = address?.port
        }
    }

    init(address: SocketAddress?, number: UInt32) {
        self.address = address
        self.number = number
        host = address?.ipAddress
        port = address?.port
        if let host, let port {
            text = address?.protocol == .inet6 ? "[\(host)]:\(port)" : "\(host):\(port)"
        } else {
            text = "unix"
        }
    }
}

/// The context of a request.
///
/// Unchecked: routing writes before the handler runs, one app after the other; the loop writes the data of the log;
/// values stored by handlers are behind the lock.
final class RequestScope: @unchecked Sendable {
    /// For input that is not a request.
    private static let noHead = RequestHead(
        method: "-", targetBytes: ByteBuffer(string: "-"), headers: Headers(), bodyLength: .none, keepAlive: false,
        expectsContinue: false)

    let head: RequestHead
    /// Whether forwarding fields were removed, since no trusted proxy has written them.
    let hasUncheckedForwarding: Bool
    let owner: ServerShard
    let peer: ServerPeer
    /// The connection to the client; nil for a request without a connection.
    @exclusivity(unchecked) var channel: (any RequestChannel)?
    /// The number of the request within its loop.
    let number: UInt32

    // MARK: Routing

    /// The normalised path for routing; empty for a request outside of an engine.
    @exclusivity(unchecked) var path = ByteBuffer()
    /// The mount point of the current app.
    @exclusivity(unchecked) var mount = MountPoint.root
    /// The start of the path below the mount.
    @exclusivity(unchecked) var localStart = 0
    @exclusivity(unchecked) var route: Route?
    @exclusivity(unchecked) var captures = Captures()
    @exclusivity(unchecked) var names: RouteNames?

    // MARK: The log

    /// When the head had arrived.
    let received: NIODeadline
    /// When the head of the response was sent.
    @exclusivity(unchecked) var answered: NIODeadline?
    @exclusivity(unchecked) var status: HTTPStatus?
    @exclusivity(unchecked) var bytesReceived = 0
    @exclusivity(unchecked) var bytesSent = 0
    @exclusivity(unchecked) var isRecorded = false

    /// Values stored by handlers and middleware.
    private let kept = Mutex<Keeping?>(nil)

    struct Kept: Sendable {
        var values: [ObjectIdentifier: any Sendable] = [:]
        var user: String?
        var transaction: Transaction?
        var trace: TraceContext?
    }

    /// In a box: few requests have any.
    private final class Keeping {
        var kept = Kept()
    }

    /// - Parameter head: nil for input that is not a request.
    init(_ head: RequestHead?, owner: ServerShard, peer: ServerPeer, channel: (any RequestChannel)? = nil) {
        let head = head ?? Self.noHead
        let unchecked = owner.context.uncheckedFields
        hasUncheckedForwarding = !unchecked.isEmpty && head.hasAny(unchecked)
        self.head = hasUncheckedForwarding ? head.without(unchecked) : head
        self.owner = owner
        self.peer = peer
        self.channel = channel
        number = owner.nextRequest()
        received = owner.shard.now
        owner.underWay?.begin(self)
    }

    /// Sets the path for routing, if no engine has done so.
    func findPath() throws(ServerError) {
        if path.readableBytes == 0 { path = try RequestPath.of(head.targetBytes) }
    }

    /// The response has started.
    func answered(_ status: HTTPStatus) {
        self.status = status
        answered = owner.shard.now
    }

    /// Reads or changes the stored values.
    func keep<Value: Sendable>(_ work: (inout Kept) -> Value) -> Value {
        kept.withLock { keeping in
            let own = keeping ?? Keeping()
            keeping = own
            return work(&own.kept)
        }
    }

    /// The stored values, if any.
    func peek<Value>(_ work: (Kept) -> Value?) -> Value? { kept.withLock { $0?.kept }.flatMap(work) }
}

/// The key of a value that middleware stores for the handlers of a request.
public protocol RequestKey {
    /// The type of the value.
    associatedtype Value: Sendable
}

extension ServerRequest {
    /// A value stored with this request; nil if not set.
    public subscript<Key: RequestKey>(key: Key.Type) -> Key.Value? {
        get { scope.peek { $0.values[ObjectIdentifier(key)] as? Key.Value } }
        nonmutating set { scope.keep { $0.values[ObjectIdentifier(key)] = newValue } }
    }

    /// The name of the client's identity for the log; nil if not authenticated. Set by the middleware that
    /// authenticates.
    public var user: String? {
        get { scope.peek(\.user) }
        nonmutating set { scope.keep { $0.user = newValue } }
    }
}
