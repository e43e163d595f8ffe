// Classifies errors as transient or permanent.

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Whether an error is a transient network error, so that a retry makes sense.
///
/// True for resets, refused and closed connections, timeouts, unreachable networks and temporary failures of name
/// resolution; false for errors that would recur, such as a malformed response or too large a body.
/// - Parameter error: any error of a network operation.
public func isTemporaryNetworkError(_ error: any Error) -> Bool {
    switch error {
    case let error as SkeinError:
        switch error.code {
        case .socketError, .timeout, .overloaded, .dnsNotFound, .noResponse, .connectionClosed, .connectionFailed,
            .http2ConnectionClosed, .http2StreamReset:
            true
        default: error.cause.map(isTemporaryNetworkError) ?? false
        }
    case let error as IOError: temporaryErrorNumbers.contains(error.errnoCode)
    case let error as ChannelError:
        switch error {
        case .connectTimeout, .ioOnClosedChannel, .eof, .inputClosed, .outputClosed, .alreadyClosed: true
        default: false
        }
    default: false
    }
}

private let temporaryErrorNumbers: Set<CInt> = [
    EAGAIN, EINTR, ECONNRESET, ECONNREFUSED, ECONNABORTED, EPIPE, ETIMEDOUT, EHOSTUNREACH, EHOSTDOWN, ENETUNREACH,
    ENETDOWN, ENETRESET, ENOTCONN, EADDRNOTAVAIL, ENOBUFS,
]
