// The interface of a connection to its exchanges, for all versions of HTTP.

import SkeinTransport

/// A connection that carries exchanges. Called on the loop.
protocol ExchangeCarrier: AnyObject {
    /// The TLS parameters of the connection.
    var tls: TLSInfo? { get }
    /// The time that it took to establish the connection, until the first exchange has recorded it.
    var connectTimings: ConnectTimings? { get set }
    /// The consumer of the exchange's body is ready for more.
    func resume(_ exchange: HTTPExchange)
    /// The exchange was abandoned.
    func abandon(_ exchange: HTTPExchange)
}
