// Opens connections, and maps failures to error codes.

import NIOCore
import NIOPosix
import SkeinCore

/// Options for connecting, for all endpoints.
package struct ConnectOptions: Sendable {
    /// TLS over the connection; with it, the attempt includes the handshake.
    package struct TLS: Sendable {
        let client: TLSClient
        let options: ClientTLSConfiguration
        let protocols: [String]
        let question: TLSNegotiation?

        /// - Parameters:
        ///   - protocols: the ALPN protocols in order of preference.
        ///   - question: the negotiation of TLS in clear text, if the protocol needs one.
        package init(
            _ client: TLSClient, _ options: ClientTLSConfiguration, protocols: [String], question: TLSNegotiation? = nil
        ) {
            self.client = client
            self.options = options
            self.protocols = protocols
            self.question = question
        }
    }

    /// The time limit for the whole attempt: name resolution, all addresses, handshakes of TCP, proxy and TLS.
    package var timeout: Duration
    package var tls: TLS?
    /// The route through a proxy. Default: direct.
    package var route = ProxyRoute.direct
    /// The policy for addresses. Default: all.
    package var addresses = AddressPolicy.all
    /// The resolver. Default: the system's.
    package var resolver: DNSResolver?
    /// The local address to connect from. Default: the system's choice.
    package var sourceAddress: String?
    /// Opens the socket. Default: the system.
    package var dial: Dial?
    /// Receives the result of each attempt: nil for success.
    package var observer: (@Sendable (SkeinError?) -> Void)?

    package init(timeout: Duration, tls: TLS? = nil, sourceAddress: String? = nil) {
        self.timeout = timeout
        self.tls = tls
        self.sourceAddress = sourceAddress
    }
}

/// Opens a socket on a loop, instead of the system: a simulated network.
package typealias Dial = @Sendable (Endpoint, any EventLoop) -> EventLoopFuture<any Channel>

/// Options common to all connections of a session.
package struct Dialer: Sendable {
    package let tls: TLSClient
    package let resolver: DNSResolver?
    private let dial: Dial?
    /// Receives the result of each connection attempt: nil for success.
    package var observer: (@Sendable (SkeinError?) -> Void)?
    /// The name in the server's certificate, for a server at an address that DNS has named.
    package var serverName: String?
    /// The other members of the alias that a client belongs to, those first that are likely to answer.
    package var alternatives: (@Sendable () -> [Alternative])?

    /// A member that can take another one's place.
    package struct Alternative: Sendable {
        package let url: String
        package let dialer: Dialer

        package init(url: String, dialer: Dialer) {
            self.url = url
            self.dialer = dialer
        }
    }

    package init(tls: TLSClient, resolver: DNSResolver?, dial: Dial?) {
        self.tls = tls
        self.resolver = resolver
        self.dial = dial
    }

    /// The options of a connection with a time limit.
    package func options(timeout: Duration) -> ConnectOptions {
        var options = ConnectOptions(timeout: timeout)
        options.resolver = resolver
        options.dial = dial
        // A client that can turn to another member reports when its session is ready, and not before.
        options.observer = alternatives == nil ? observer : nil
        return options
    }

    /// Connects, and to another member of the alias when this one cannot be connected to.
    /// - Parameter attempt: connects to the member that the client is made for (nil), or to another one.
    package func connect<Connection: Sendable>(
        on loop: any EventLoop, _ attempt: @escaping @Sendable (Alternative?) -> EventLoopFuture<Connection>
    ) -> EventLoopFuture<Connection> {
        guard let alternatives else { return attempt(nil) }
        @Sendable func tried(_ other: Alternative?) -> EventLoopFuture<Connection> {
            let connection = attempt(other)
            let observer = other.map { $0.dialer.observer } ?? observer
            connection.whenComplete { result in
                switch result {
                case .success: observer?(nil)
                case .failure(let error): observer?(error as? SkeinError)
                }
            }
            return connection
        }
        @Sendable func next(_ rest: ArraySlice<Alternative>, _ error: any Error) -> EventLoopFuture<Connection> {
            guard let other = rest.first, Self.isUnreachable(error) else { return loop.makeFailedFuture(error) }
            return tried(other).flatMapError { next(rest.dropFirst(), $0) }
        }
        // As many attempts as requests have.
        return tried(nil).flatMapError { next(alternatives().prefix(2), $0) }
    }

    /// Whether a server could not be connected to, so that nothing was asked of it.
    package static func isUnreachable(_ error: any Error) -> Bool {
        switch (error as? SkeinError)?.code {
        case .connectionFailed, .dnsNotFound, .tlsHandshakeFailed, .timeout, .connectionClosed, .noResponse,
            .socketError:
            true
        default: false
        }
    }
}

/// The route of a connection through a proxy.
package enum ProxyRoute: Hashable, Sendable {
    /// Without a proxy.
    case direct
    /// The connection ends at the proxy, which gets whole requests.
    case forward(Proxy)
    /// The proxy opens a tunnel to the endpoint.
    case tunnel(Proxy)

    /// The route to an origin.
    init(_ proxy: Proxy?, isSecure: Bool) {
        guard let proxy else {
            self = .direct
            return
        }
        self = proxy.kind == .socks5 || isSecure || proxy.tunnelsAll ? .tunnel(proxy) : .forward(proxy)
    }

    var proxy: Proxy? {
        switch self {
        case .direct: nil
        case .forward(let proxy), .tunnel(let proxy): proxy
        }
    }
}

/// A connection that is ready for its protocol's handler.
package struct Connected: Sendable {
    package let channel: any Channel
    package let tls: TLSInfo?
    package let timings: ConnectTimings
}

/// The durations of the steps.
package struct ConnectTimings: Sendable {
    /// Name resolution; nil for an address.
    package var dns: Duration?
    /// The socket, and the tunnel through a proxy.
    package var connect: Duration?
    /// The TLS handshake; nil in clear text.
    package var tls: Duration?
}

/// Connects to endpoints.
package enum Connector {
    /// Opens a connection on a loop.
    /// - Returns: the connection, without handlers of the protocol: the caller adds them at once, on the loop. Fails
    ///   with a `SkeinError`.
    package static func connect(
        to endpoint: Endpoint, on eventLoop: any EventLoop, _ options: ConnectOptions
    ) -> EventLoopFuture<Connected> {
        let connected = ConnectAttempt(endpoint, eventLoop, options).run()
        if let observer = options.observer {
            connected.whenComplete { result in
                switch result {
                case .success: observer(nil)
                case .failure(let error): observer(connectError(error, endpoint, options.timeout))
                }
            }
        }
        return connected
    }

    /// The error for a failed connection attempt.
    static func connectError(_ error: any Error, _ endpoint: Endpoint, _ timeout: Duration) -> SkeinError {
        func make(_ code: SkeinError.Code, _ message: String) -> SkeinError {
            SkeinError(code, peer: endpoint.description, because: message, cause: error)
        }
        switch error {
        case let error as SkeinError: return error
        case ChannelError.connectTimeout:
            return make(.timeout, "no connection within \(timeout); is the address right and the port reachable?")
        case let error as NIOConnectionError:
            if let failure = error.connectionErrors.first { return connectError(failure.error, endpoint, timeout) }
            if let failure = (error.dnsAError ?? error.dnsAAAAError) as? SkeinError { return failure }
            return make(.dnsNotFound, "the name has no address; check its spelling and the resolver")
        case is SocketAddressError:
            return make(.dnsNotFound, "the name could not be resolved; check its spelling and the resolver")
        case let error as IOError: return make(code(error), explanation(error))
        default: return make(.connectionFailed, "\(error)")
        }
    }

    /// The error of an established connection that failed.
    package static func socketError(_ error: any Error, peer: String) -> SkeinError {
        switch error {
        case let error as SkeinError: error
        case let error as IOError: SkeinError(.socketError, peer: peer, because: explanation(error), cause: error)
        default: SkeinError(.socketError, peer: peer, because: "\(error)", cause: error)
        }
    }

    private static func code(_ error: IOError) -> SkeinError.Code {
        switch error.errnoCode {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: .overloaded
        default: .connectionFailed
        }
    }

    private static func explanation(_ error: IOError) -> String {
        switch error.errnoCode {
        case ECONNREFUSED: "the connection was refused; is the server running and listening there?"
        case ECONNRESET, EPIPE: "the peer reset the connection"
        case ENOENT: "the socket does not exist"
        case EACCES, EPERM: "access to the address is not permitted"
        case EMFILE, ENFILE: "too many open files; lower the concurrency or raise the limit (ulimit -n)"
        case EHOSTUNREACH, ENETUNREACH: "the network or host is unreachable"
        case ETIMEDOUT: "the connection timed out"
        default: String(cString: strerror(error.errnoCode))
        }
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
