// HTTP for a session: turns requests into corequests and holds the pools of each shard.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire
import Synchronization

/// The constants that all pools, connections and exchanges of a client share.
final class HTTPClientContext: Sendable {
    let session: Session
    let configuration: HTTPConfiguration
    let defaults: DefaultFields
    let requestTimeout: TimeAmount
    let idleTimeout: TimeAmount
    let maximumAge: TimeAmount
    let connectionLimits: HTTP1ClientMachine<HTTPExchange>.Limits
    let poolLimits: OriginPool.Machine.Limits
    let tls = TLSClient()
    let resolver: DNSResolver?
    /// Whether the session has event handlers.
    let hasEvents: Bool
    /// Whether the session has layers.
    let hasLayers: Bool
    /// Whether the session adds data to requests that differs between them.
    let completesRequests: Bool

    init(session: Session, configuration: HTTPConfiguration) {
        self.session = session
        self.configuration = configuration
        defaults = DefaultFields(configuration.allDefaultHeaders)
        hasEvents = configuration.events != nil
        hasLayers = !configuration.layers.isEmpty
        completesRequests =
            configuration.cookies != nil || !configuration.credentials.isEmpty
            || configuration.expectContinueAbove != nil
        requestTimeout = TimeAmount(configuration.timeout)
        idleTimeout = TimeAmount(configuration.idleTimeout)
        maximumAge = TimeAmount(configuration.maximumAge)
        var limits = HTTP1ClientMachine<HTTPExchange>.Limits()
        limits.pipelineDepth = configuration.pipelineDepth
        limits.keepsAlive = configuration.keepAlive
        limits.idle = idleTimeout
        limits.silence = TimeAmount(configuration.silenceTimeout)
        limits.age = maximumAge
        connectionLimits = limits
        var bounds = OriginPool.Machine.Limits()
        bounds.serial = configuration.connectionsPerOrigin
        bounds.pipelineDepth = configuration.pipelineDepth
        bounds.multiplexed = configuration.http2.connectionsPerOrigin
        bounds.streams = configuration.http2.streamsPerConnection
        poolLimits = bounds
        resolver =
            configuration.dns.usesSystemResolver
            ? nil : DNSResolver(configuration.dns, eventLoop: session.shards.shards[0].eventLoop)
        if configuration.tls.verify == .none {
            session.logger.warning(
                "TLS without verification: any server can impersonate the origin; set verify back to .full")
        }
    }
}

/// The HTTP part of a session.
package final class HTTPClient: Sendable {
    package typealias Callback = @Sendable (HTTPResponse) -> Void

    let context: HTTPClientContext
    /// The aliases that requests may be addressed to.
    package let aliases = AliasTable()
    /// The dialer, which the session's other clients use, too.
    package var dialer: Dialer {
        Dialer(tls: context.tls, resolver: context.resolver, dial: context.configuration.dial)
    }
    private let pools: ShardLocal<ShardPools>
    private let isShutDown = Atomic<Bool>(false)
    var isOver: Bool { isShutDown.load(ordering: .acquiring) }

    package init(session: Session, configuration: HTTPConfiguration) {
        let context = HTTPClientContext(session: session, configuration: configuration)
        self.context = context
        pools = ShardLocal(session.shards) { ShardPools(shard: $0, context: context) }
    }

    deinit {
        guard !isShutDown.load(ordering: .acquiring) else { return }  // the loops may have stopped
        for pools in pools.all { pools.shard.eventLoop.execute { pools.retire() } }
    }

    /// Starts a request, through its own layers or those of the session.
    /// - Parameter callback: called on the shard's loop with the response.
    package func start(_ request: consuming HTTPRequest, callback: Callback? = nil) -> Corequest<HTTPResponse> {
        if !context.hasLayers, !request.hasExtras { return startBare(request, callback: callback) }
        let layers = request.layers ?? context.configuration.layers
        if layers.isEmpty { return startBare(request, callback: callback) }
        let service = service
        let layered = service.inside(layers)
        let request = request
        return CorequestTask.start(
            context.session, { await layered.send(request) },
            failed: { error, response in
                response.stream?.cancel()
                return service.fail(request, error)
            }, callback: callback)
    }

    func startBare(_ request: consuming HTTPRequest, callback: Callback?) -> Corequest<HTTPResponse> {
        if request.url.origin.isAlias { return startBalanced(request, callback: callback) }
        let isForwarded = request.isForwarded
        let (corequest, exchange) = make(request, callback)
        if isForwarded {
            corequest.shard.run { exchange.startWithinAnother() }
        } else {
            context.session.submit(exchange, on: corequest.shard)
        }
        return corequest
    }

    /// The client as a service, without layers.
    package var service: HTTPService { HTTPService(context) { await self.startBare($0, callback: nil).dispatch() } }

    /// A corequest whose response is made by an operation instead of HTTP.
    package func answering(
        _ request: HTTPRequest, callback: Callback?, _ work: @escaping @Sendable () async throws -> ByteBuffer
    ) -> Corequest<HTTPResponse> {
        let service = service
        return CorequestTask.start(
            context.session,
            {
                do {
                    return service.answer(request, .ok, content: try await work())
                } catch {
                    let failure = error as? SkeinError
                    return service.fail(
                        request, failure ?? SkeinError(.cancelled, because: "the corequest was cancelled"))
                }
            }, failed: { error, _ in service.fail(request, error) }, callback: callback)
    }

    /// Opens a stream that the request's upgrade handler takes over.
    /// - Parameters:
    ///   - waitsForReady: whether to wait for a server that is unreachable.
    ///   - isWanted: whether the caller still waits.
    ///   - failed: called when it cannot be opened.
    package func open(
        _ request: HTTPRequest, on shard: Shard, waitsForReady: Bool, isWanted: @escaping @Sendable () -> Bool,
        attempt: Int = 1, failed: @escaping @Sendable (SkeinError) -> Void
    ) {
        shard.run {
            _ = self.startBare(request) { response in
                guard let failure = response.failure else { return }
                guard waitsForReady, failure.code == .connectionFailed, isWanted() else { return failed(failure) }
                let backoff = Backoff(first: .milliseconds(100), longest: .seconds(10))
                shard.eventLoop.scheduleTask(in: TimeAmount(backoff.delay(after: attempt))) {
                    self.open(
                        request, on: shard, waitsForReady: true, isWanted: isWanted, attempt: attempt + 1,
                        failed: failed)
                }
            }
        }
    }

    /// A corequest that failed before it started, for example with a malformed URL.
    package func fail(_ request: HTTPRequest, _ error: SkeinError, callback: Callback? = nil) -> Corequest<HTTPResponse>
    {
        let (corequest, exchange) = make(request, callback)
        context.session.refuse(exchange, error, on: corequest.shard)
        return corequest
    }

    private func make(_ request: consuming HTTPRequest, _ callback: Callback?) -> (
        Corequest<HTTPResponse>, HTTPExchange
    ) {
        let shard = context.session.pickShard()
        let corequest = Corequest<HTTPResponse>(shard: shard)
        let exchange = HTTPExchange(request, pools: pools[shard], corequest: corequest, callback: callback)
        corequest.setDriver(exchange)
        return (corequest, exchange)
    }

    /// Closes every connection and fails the requests that wait for one.
    package func shutdown() async {
        isShutDown.store(true, ordering: .releasing)
        for pools in pools.all { try? await pools.shard.eventLoop.submit { pools.shutdown() }.get() }
        await context.resolver?.close()
    }
}
