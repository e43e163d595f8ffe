// A forward proxy: requests in absolute form (RFC 9112, section 3.2.2) and tunnels (RFC 9110, section 9.3.6).

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinTransport
import SkeinWire
import Synchronization

/// Settings of a forward proxy. With the defaults, clients reach servers with public addresses: by HTTP on any port that is not a well-known
/// port of another protocol, by tunnels on port 443.
public struct ForwardProxyConfiguration: Sendable {
    /// Ports that tunnels may be opened to. Default: 443.
    public var ports: Set<Int> = [443]
    /// Hosts that are allowed: names, or `*.example.org` for all subdomains. Default: empty, all hosts.
    public var allowedHosts: [String] = []
    /// Hosts that are refused; same form.
    public var deniedHosts: [String] = []
    /// Address ranges that are allowed although they are not public.
    public var allowedAddresses: [AddressRange] = []
    /// Address ranges that are always refused. Addresses are checked after name resolution, at the moment of connecting.
    public var deniedAddresses: [AddressRange] = []
    /// Checks Basic credentials (RFC 7617). Compare with ``constantTimeEqual(_:_:)``. Default: no authentication.
    public var authenticate: (@Sendable (_ user: String, _ password: String) async throws -> Bool)?
    /// Connect timeout. Default: 10 s.
    public var connectTimeout: Duration = .seconds(10)
    /// Time limit from the start of a request to the head of its response. Default: 60 s.
    public var responseTimeout: Duration = .seconds(60)
    /// Idle timeout of a tunnel. Default: 10 minutes.
    public var tunnelTimeout: Duration = .seconds(600)
    /// Concurrent tunnels of one client address; further ones are answered with 429. Default: 100.
    public var maximumTunnelsPerClient = 100

    /// The defaults.
    public init() {}
}

/// Forwards requests to servers that clients name.
struct ForwardProxy: App {
    private let configuration: ForwardProxyConfiguration
    private let addresses: AddressPolicy
    private let fields = ForwardedFields()
    private let tunnels = TunnelCounts()

    init(_ configuration: ForwardProxyConfiguration) {
        self.configuration = configuration
        addresses = .listed(allowed: configuration.allowedAddresses, denied: configuration.deniedAddresses)
    }

    /// Whether a request is for another host.
    static func isMeant(by request: ServerRequest) -> Bool {
        if request.method == .connect { return request.head.protocolName == nil }
        guard request.version != .http2 else { return false }
        let first = request.head.targetBytes.readableBytesView.first
        return first != UInt8(ascii: "/") && first != UInt8(ascii: "*")
    }

    func respond(to request: ServerRequest) async throws -> ServerResponse {
        guard request.method == .connect else {
            if request.shard.isCurrent { request.channel?.endsWithClient() }
            try await authenticate(request)
            return try await forward(request)
        }
        do {
            try await authenticate(request)
            return try await connect(request)
        } catch let error as ServerError where request.version != .http2 {
            // Bytes that the client has already sent into the tunnel are not a request.
            var headers = error.headers
            headers["Connection"] = "close"
            throw ServerError(error.status, error.message, headers: headers)
        }
    }

    private func authenticate(_ request: ServerRequest) async throws {
        guard let authenticate = configuration.authenticate else { return }
        guard let (user, password) = BasicAuthentication.credentials(request.headers["Proxy-Authorization"]),
            try await authenticate(user, password)
        else {
            throw ServerError(
                407, "a name and a password are needed",
                headers: ["Proxy-Authenticate": "Basic realm=\"proxy\", charset=\"UTF-8\""])
        }
        request.user = user
    }

    private func requireHost(_ host: String) throws(ServerError) {
        let name = (host.hasByteSuffix(".") ? String(host.droppingBytes(last: 1)) : host).lowercased()
        func holds(_ patterns: [String]) -> Bool {
            patterns.contains { pattern in
                pattern.hasBytePrefix("*.")
                    ? name.hasByteSuffix(pattern.dropFirst().lowercased()) : name.equalsBytes(pattern.lowercased())
            }
        }
        if holds(configuration.deniedHosts) || !configuration.allowedHosts.isEmpty && !holds(configuration.allowedHosts)
        {
            throw ServerError(.forbidden, "the proxy does not allow this host")
        }
    }

    // MARK: Requests

    /// Ports of other protocols, whose servers could interpret a request as their own protocol (as in the Fetch
    /// standard, section 2.9).
    private static let portsOfOthers: Set<Int> = [
        1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
        110, 111,
        113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
        540, 548,
        554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000,
        6379,
        6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 11211,
    ]

    private func forward(_ request: ServerRequest) async throws -> ServerResponse {
        guard request.method != .trace else { throw ServerError(.methodNotAllowed, "TRACE is not forwarded") }
        guard let url = try? HTTPURL(request.target) else { throw ServerError(.badRequest, "the target is not a URL") }
        guard !url.origin.isSecure, case .host(let host, let port) = url.origin.endpoint, !url.origin.isAlias else {
            throw ServerError(
                .badRequest, "only http:// is forwarded; use a tunnel (CONNECT) for https://")
        }
        guard !Self.portsOfOthers.contains(port) else {
            throw ServerError(.forbidden, "port \(port) is not allowed for HTTP")
        }
        try requireHost(host)
        var outgoing = HTTPRequest.forwarded(
            request.method, url, headers: try fields.request(request),
            body: .forwarding(request, keeping: 64 << 10), timeout: configuration.responseTimeout,
            interimResponses: request.version == .http1_0 ? nil : request.channel)
        outgoing.addresses = addresses
        let response = await request.scope.owner.skein.http.start(outgoing).dispatch()
        if let failure = response.failure { throw Self.refusal(failure) }
        var headers = fields.response(response.headers)
        headers.add("Via", "\(response.version.major).\(response.version.minor) \(ForwardedFields.pseudonym)")
        return ServerResponse(
            (200...599).contains(response.statusCode) ? HTTPStatus(response.statusCode) : 502, headers: headers,
            body: .forwarding(response, to: request))
    }

    /// The error for the client.
    private static func refusal(_ failure: SkeinError) -> any Error {
        if Task.isCancelled { return CancellationError() }
        if failure.cause is AddressRefusal { return ServerError(.forbidden, "the proxy does not allow this address") }
        return failure.cause as? ServerError ?? failure
    }

    // MARK: Tunnels

    private func connect(_ request: ServerRequest) async throws -> ServerResponse {
        guard let url = try? HTTPURL("http://\(request.target)/"), case .host(let host, let port) = url.origin.endpoint,
            request.target.utf8.contains(UInt8(ascii: ":"))
        else { throw ServerError(.badRequest, "the target of CONNECT is not a host and port") }
        guard configuration.ports.contains(port) else {
            throw ServerError(.forbidden, "tunnels to port \(port) are not allowed")
        }
        try requireHost(host)
        guard
            let place = tunnels.enter(request.remoteAddress?.ipAddress ?? "unix", configuration.maximumTunnelsPerClient)
        else {
            throw ServerError(429, "too many tunnels are open for you", headers: ["Retry-After": "1"])
        }
        var connecting = request.scope.owner.skein.http.dialer.options(timeout: configuration.connectTimeout)
        connecting.addresses = addresses
        let tunnel = Tunnel(request.shard, timeout: configuration.tunnelTimeout)
        tunnel.holding = place
        do {
            let loop = request.shard.eventLoop
            try await Connector.connect(to: .host(host, port: port), on: loop, connecting).flatMapThrowing {
                connected in
                try? connected.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
                let handler = TransportChannelHandler(tunnel.end(.back))
                try connected.channel.pipeline.syncOperations.addHandler(handler)
                tunnel.attach(handler, .back)
            }.get()
        } catch {
            tunnel.abandon()
            throw Self.refusal(error as? SkeinError ?? SkeinError(.connectionFailed, because: "\(error)", cause: error))
        }
        let acceptance = TunnelAcceptance(tunnel, on: request.shard)
        try Task.checkCancellation()
        var response = ServerResponse(.ok)
        response.upgrade = acceptance
        return response
    }
}

/// The number of tunnels of each client.
private final class TunnelCounts: Sendable {
    private let counts = Mutex<[String: Int]>([:])

    /// A permit for a tunnel, returned when it is released.
    final class Place: Sendable {
        private let counts: TunnelCounts
        private let client: String

        init(_ counts: TunnelCounts, _ client: String) {
            self.counts = counts
            self.client = client
        }

        deinit {
            counts.counts.withLock { counts in
                let left = counts[client, default: 1] - 1
                counts[client] = left > 0 ? left : nil
            }
        }
    }

    func enter(_ client: String, _ maximum: Int) -> Place? {
        let isFree = counts.withLock { counts in
            guard counts[client, default: 0] < maximum else { return false }
            counts[client, default: 0] += 1
            return true
        }
        return isFree ? Place(self, client) : nil
    }
}
