// What belongs to one request beside its message: where it came from, how far routing has got, what handlers keep for one another.

import Synchronization

/// The circumstances of a request.
///
/// Unchecked: routing writes before the handler runs, one app after the other; the loop writes what the log needs; what handlers
/// keep is behind the lock.
final class RequestScope: @unchecked Sendable {
    let owner: ServerShard
    /// The way back to the client; nil for a request that no connection brought.
    @exclusivity(unchecked) var channel: (any RequestChannel)?
    let remoteAddress: SocketAddress?
    /// The number of the connection, and of the request among all of its shard.
    let connection: UInt32
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
    let received = NIODeadline.now()
    /// When the answer's head was.
    @exclusivity(unchecked) var answered: NIODeadline?
    @exclusivity(unchecked) var status: HTTPStatus?
    @exclusivity(unchecked) var bytesReceived = 0
    @exclusivity(unchecked) var bytesSent = 0

    @exclusivity(unchecked) var isRecorded = false

    /// An answer is on its way.
    func answered(_ status: HTTPStatus) {
        self.status = status
        answered = .now()
    }

    /// What handlers and middleware keep.
    private let kept = Mutex<Kept?>(nil)

    struct Kept: Sendable {
        var values: [ObjectIdentifier: any Sendable] = [:]
        var user: String?
        var transaction: Transaction?
    }

    init(owner: ServerShard, channel: (any RequestChannel)? = nil, remoteAddress: SocketAddress?, connection: UInt32) {
        self.owner = owner
        self.channel = channel
        self.remoteAddress = remoteAddress
        self.connection = connection
        number = owner.nextRequest()
    }

    /// Reads or changes what is kept.
    func keep<Value: Sendable>(_ work: (inout Kept) -> Value) -> Value {
        kept.withLock { kept in
            var own = kept ?? Kept()
            kept = nil  // so that a change does not copy
            defer { kept = own }
            return work(&own)
        }
    }

    /// What is kept, if anything was.
    func peek<Value: Sendable>(_ work: (Kept) -> Value?) -> Value? { kept.withLock { $0.flatMap(work) } }
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

    /// Who the client has proved to be, as the log has it; nil when nobody has asked.
    public internal(set) var user: String? {
        get { scope.peek(\.user) }
        nonmutating set { scope.keep { $0.user = newValue } }
    }
}
