// Makes connections, and turns what goes wrong into the codes that callers know.

import NIOCore
import NIOPosix
import SkeinCore

/// Connects to endpoints.
package enum Connector {
    /// Opens a connection on a loop.
    /// - Parameters:
    ///   - timeout: for the whole: name, every address of it, and the handshake of TCP.
    ///   - configure: adds handlers before the channel becomes active.
    /// - Returns: the channel; fails with a `SkeinError`.
    package static func connect(
        to endpoint: Endpoint, on eventLoop: any EventLoop, timeout: Duration,
        configure: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(timeout))
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer(configure)
        let channel: EventLoopFuture<any Channel>
        switch endpoint {
        case .unix(let path): channel = bootstrap.connect(unixDomainSocketPath: path)
        case .host(let host, let port):
            let noDelay = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
            if let address = try? SocketAddress(ipAddress: host, port: port) {
                channel = noDelay.connect(to: address)
            } else {
                channel = noDelay.connect(host: host, port: port)
            }
        }
        return channel.flatMapErrorThrowing { throw connectError($0, endpoint, timeout) }
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
            return make(.dnsNotFound, "the name could not be resolved; check its spelling and the resolver")
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
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: .socketPanic
        default: .connectionFailed
        }
    }

    private static func explanation(_ error: IOError) -> String {
        switch error.errnoCode {
        case ECONNREFUSED: "the connection was refused; is the server running and listening there?"
        case ECONNRESET, EPIPE: "the peer reset the connection"
        case ENOENT: "there is no such socket"
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
