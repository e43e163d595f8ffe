// What an exchange knows of its connection, whichever version of HTTP that speaks.

import SkeinTransport

/// A connection as the exchanges on it see it. Called on the loop.
protocol ExchangeCarrier: AnyObject {
    /// What was agreed with the server about TLS.
    var tls: TLSInfo? { get }
    /// How long it took to make the connection, until the first exchange has taken note of it.
    var connectTimings: ConnectTimings? { get set }
    /// The consumer of the exchange's body has caught up.
    func resume(_ exchange: HTTPExchange)
    /// The exchange was given up.
    func abandon(_ exchange: HTTPExchange)
}
