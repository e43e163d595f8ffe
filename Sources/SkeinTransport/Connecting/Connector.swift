// Makes connections, and turns what goes wrong into the codes that callers know.

import NIOCore
import NIOPosix
import SkeinCore

/// How to connect, whatever the endpoint.
package struct ConnectOptions: Sendable {
    /// TLS inside of the connection; with it, the connection is made when the handshake is over.
    package struct TLS: Sendable {
        let client: TLSClient
        let options: ClientTLSConfiguration
        let protocols: [String]
        let question: TLSNegotiation?

        /// - Parameters:
        ///   - protocols: what is offered by ALPN, the best first.
        ///   - question: what the server is asked before, in clear text.
        package init(
            _ client: TLSClient, _ options: ClientTLSConfiguration, protocols: [String], question: TLSNegotiation? = nil
        ) {
            self.client = client
            self.options = options
            self.protocols = protocols
            self.question = question
        }
    }

    /// For the whole: name, every address of it, the handshakes of TCP, proxy and TLS.
    package var timeout: Duration
    package var tls: TLS?
    /// Who stands between. Default: nobody.
    package var route = ProxyRoute.direct
    /// Which addresses may be connected to. Default: all.
    package var addresses = AddressPolicy.all
    /// Who resolves names. Default: the system.
    package var resolver: DNSResolver?
    /// The local address to connect from. Default: the system's choice.
    package var sourceAddress: String?
    /// Who opens the socket. Default: the system.
    package var dial: Dial?
    /// Who hears how each attempt went: nil is success.
    package var observer: (@Sendable (SkeinError?) -> Void)?

    package init(timeout: Duration, tls: TLS? = nil, sourceAddress: String? = nil) {
        self.timeout = timeout
        self.tls = tls
        self.sourceAddress = sourceAddress
    }
}

/// Opens a socket on a loop, instead of the system: a simulated network.
package typealias Dial = @Sendable (Endpoint, any EventLoop) -> EventLoopFuture<any Channel>

/// What all connections of a session are made with.
package struct Dialer: Sendable {
    package let tls: TLSClient
    package let resolver: DNSResolver?
    private let dial: Dial?
    /// Who hears how each attempt to connect went: nil is success.
    package var observer: (@Sendable (SkeinError?) -> Void)?

    package init(tls: TLSClient, resolver: DNSResolver?, dial: Dial?) {
        self.tls = tls
        self.resolver = resolver
        self.dial = dial
    }

    /// The options of a connection that is made within a time limit.
    package func options(timeout: Duration) -> ConnectOptions {
        var options = ConnectOptions(timeout: timeout)
        options.resolver = resolver
        options.dial = dial
        options.observer = observer
        return options
    }
}

/// How a connection gets past a proxy.
package enum ProxyRoute: Hashable, Sendable {
    /// There is none.
    case direct
    /// The connection ends at the proxy, which is sent whole requests.
    case forward(Proxy)
    /// The proxy opens a tunnel to the endpoint.
    case tunnel(Proxy)

    /// The way to an origin through a proxy, if there is one.
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

/// How long the steps to a connection took.
package struct ConnectTimings: Sendable {
    /// The name; nil for an address.
    package var dns: Duration?
    /// The socket, and the tunnel through a proxy.
    package var connect: Duration?
    /// The TLS handshake; nil in clear text.
    package var tls: Duration?
}

/// Connects to endpoints.
package enum Connector {
    /// Opens a connection on a loop.
    /// - Returns: the connection, to which no handler of the protocol has been added: whoever waits adds it at once, on the
    ///   loop. Fails with a `SkeinError`.
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

    /// The code and the sentence for a connection that could not be made.
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

    /// The error of a connection that failed after it was made.
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
