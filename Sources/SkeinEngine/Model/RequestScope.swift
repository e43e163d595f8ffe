// What belongs to one request: its head, where it came from, how far routing has got, what handlers keep for one another.

import NIOCore
import SkeinHTTP
import SkeinWire
import Synchronization

/// A client at the other end of a connection.
final class ServerPeer: Sendable {
    let address: SocketAddress?
    /// The address alone, as text; nil for unix sockets.
    let host: String?
    let port: Int?
    /// A number that no other connection of the server has.
    let number: UInt32
    /// The address and port as the log has them.
    let text: String
    /// The server's end of the connection, once somebody has asked for it.
    let local = AtomicLazyReference<LocalEnd>()

    /// The server's end of a connection, as text.
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

/// The circumstances of a request.
///
/// Unchecked: routing writes before the handler runs, one app after the other; the loop writes what the log needs; what handlers
/// keep is behind the lock.
final class RequestScope: @unchecked Sendable {
    /// Of what came and was no request.
    private static let noHead = RequestHead(
        method: "-", targetBytes: ByteBuffer(string: "-"), headers: Headers(), bodyLength: .none, keepAlive: false,
        expectsContinue: false)

    let head: RequestHead
    /// Whether it came with fields that say it was forwarded, and were not kept since no trusted proxy writes them.
    let hasUncheckedForwarding: Bool
    let owner: ServerShard
    let peer: ServerPeer
    /// The way back to the client; nil for a request that no connection brought.
    @exclusivity(unchecked) var channel: (any RequestChannel)?
    /// The number of the request among all of its loop.
    let number: UInt32

    // MARK: Routing

    /// The path, normalised, as an engine routes by it; empty for a request that no engine has seen.
    @exclusivity(unchecked) var path = ByteBuffer()
    /// Where the app that is being asked is mounted.
    @exclusivity(unchecked) var mount = MountPoint.root
    /// Where in the path the app's own part begins.
    @exclusivity(unchecked) var localStart = 0
    @exclusivity(unchecked) var route: Route?
    @exclusivity(unchecked) var captures = Captures()
    @exclusivity(unchecked) var names: RouteNames?

    // MARK: The log

    /// When the head was here.
    let received: NIODeadline
    /// When the answer's head was.
    @exclusivity(unchecked) var answered: NIODeadline?
    @exclusivity(unchecked) var status: HTTPStatus?
    @exclusivity(unchecked) var bytesReceived = 0
    @exclusivity(unchecked) var bytesSent = 0
    @exclusivity(unchecked) var isRecorded = false

    /// What handlers and middleware keep.
    private let kept = Mutex<Keeping?>(nil)

    struct Kept: Sendable {
        var values: [ObjectIdentifier: any Sendable] = [:]
        var user: String?
        var transaction: Transaction?
        var trace: TraceContext?
    }

    /// Out of line: few requests have any.
    private final class Keeping {
        var kept = Kept()
    }

    /// - Parameter head: nil for what came and was no request.
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

    /// Finds the path to route by, where no engine has done so.
    func findPath() throws(ServerError) {
        if path.readableBytes == 0 { path = try RequestPath.of(head.targetBytes) }
    }

    /// An answer is on its way.
    func answered(_ status: HTTPStatus) {
        self.status = status
        answered = owner.shard.now
    }

    /// Reads or changes what is kept.
    func keep<Value: Sendable>(_ work: (inout Kept) -> Value) -> Value {
        kept.withLock { keeping in
            let own = keeping ?? Keeping()
            keeping = own
            return work(&own.kept)
        }
    }

    /// What is kept, if anything was.
    func peek<Value>(_ work: (Kept) -> Value?) -> Value? { kept.withLock { $0?.kept }.flatMap(work) }
}

/// A value that middleware keeps with a request for the handlers behind it.
public protocol RequestKey {
    /// What is kept.
    associatedtype Value: Sendable
}

extension ServerRequest {
    /// A value that was kept with this request; nil while there is none.
    public subscript<Key: RequestKey>(key: Key.Type) -> Key.Value? {
        get { scope.peek { $0.values[ObjectIdentifier(key)] as? Key.Value } }
        nonmutating set { scope.keep { $0.values[ObjectIdentifier(key)] = newValue } }
    }

    /// Who the client has proved to be, as the log has it; nil when nobody has asked. Set by whatever has checked it.
    public var user: String? {
        get { scope.peek(\.user) }
        nonmutating set { scope.keep { $0.user = newValue } }
    }
}
