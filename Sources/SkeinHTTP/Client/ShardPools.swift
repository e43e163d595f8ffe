// The pools of one event loop, by the properties that requests must share to use the same connections.

import NIOCore
import SkeinCore
import SkeinTransport

/// Time limits of connections, instead of those of the session.
package struct ConnectionTimes: Hashable, Sendable {
    /// For connecting, name resolution and TLS handshake included.
    package var connect: Duration?
    /// The longest silence of the peer while something is due from it.
    package var silence: Duration?

    package init(connect: Duration? = nil, silence: Duration? = nil) {
        self.connect = connect
        self.silence = silence
    }
}

/// The properties that requests must share to use the same connections.
struct PoolKey: Hashable {
    let origin: HTTPOrigin
    /// The TLS options of the request, instead of the session's.
    let tls: ClientTLSConfiguration?
    /// The proxy of the request.
    let proxy: ProxyUse?
    /// The version of the request.
    var http2: HTTP2Use?
    /// The address policy of the request.
    var addresses: AddressPolicy?
    /// The time limits of the request.
    var times = ConnectionTimes()
    var purpose = Purpose.requests

    /// The purpose of the connections.
    enum Purpose {
        case requests
        /// Requests that upgrade from HTTP/1.1 and take their connections with them.
        case upgrades
        /// HTTP/2 streams only.
        case streams
    }

    /// Whether all settings are the session's.
    var isPlain: Bool {
        tls == nil && proxy == nil && http2 == nil && addresses == nil && times == ConnectionTimes()
            && purpose == .requests
    }
}

/// The pools of one shard.
///
/// Unchecked: touched on its shard's loop only.
final class ShardPools: @unchecked Sendable {
    let shard: Shard
    let context: HTTPClientContext
    private var pools: [PoolKey: OriginPool] = [:]
    /// Connections that have left HTTP.
    private var handedOver: [ObjectIdentifier: any Channel] = [:]
    @exclusivity(unchecked) private var latest: OriginPool?
    /// Whether the session is gone, so that connections are not reused any more.
    private(set) var isRetired = false
    /// Whether the session takes no more requests.
    private(set) var isShutDown = false

    init(shard: Shard, context: HTTPClientContext) {
        self.shard = shard
        self.context = context
    }

    /// The pool for a request; most requests use the same one as the request before.
    func pool(for request: HTTPRequest) -> OriginPool {
        let origin = request.url.origin
        if let latest, latest.origin == origin, latest.key.isPlain, request.usesPlainPool { return latest }
        let purpose: PoolKey.Purpose =
            switch request.upgrade?.kind {
            case nil: .requests
            case .named(_, let allowsHTTP2):
                allowsHTTP2 && (request.http2 ?? context.configuration.http2.use) != .never ? .requests : .upgrades
            case .stream: .streams
            }
        return pool(
            PoolKey(
                origin: origin, tls: request.tls, proxy: request.proxy, http2: request.http2,
                addresses: request.addresses, times: request.times, purpose: purpose))
    }

    /// Sends an exchange that asks for an upgrade on a connection of its own.
    func submitAsUpgrade(_ exchange: HTTPExchange) {
        let request = exchange.request
        pool(
            PoolKey(
                origin: request.url.origin, tls: request.tls, proxy: request.proxy, addresses: request.addresses,
                times: request.times, purpose: .upgrades)
        )
        .submit(exchange)
    }

    private func pool(_ key: PoolKey) -> OriginPool {
        if let pool = pools[key] {
            latest = pool
            return pool
        }
        if key.tls?.verify == ClientTLSConfiguration.Verification.none {
            context.session.logger.warning("TLS without verification for \(key.origin): any server can impersonate it")
        }
        let pool = OriginPool(key, owner: self)
        pools[key] = pool
        latest = pool
        return pool
    }

    /// Tracks a connection that has left HTTP, for shutdown and count.
    func adopt(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        handedOver[id] = channel
        channel.closeFuture.whenComplete { _ in
            self.handedOver[id] = nil
            self.context.session.statistics.disconnected()
        }
    }

    /// Removes an empty pool.
    func remove(_ pool: OriginPool) {
        if pools[pool.key] === pool { pools[pool.key] = nil }
        if latest === pool { latest = nil }
    }

    /// The session is gone: requests in flight continue, connections are not reused.
    func retire() {
        isRetired = true
        latest = nil
        for pool in pools.values { pool.retire() }
    }

    /// Closes all connections and fails waiting requests.
    func shutdown() {
        isRetired = true
        isShutDown = true
        for pool in pools.values { pool.shutdown() }
        for channel in handedOver.values { channel.close(promise: nil) }
    }
}
