// What an exchange knows of its connection, whichever version of HTTP that speaks.

/// A connection as the exchanges on it see it. Called on the loop.
protocol ExchangeCarrier: AnyObject {
    /// The consumer of the exchange's body has caught up.
    func resume(_ exchange: HTTPExchange)
    /// The exchange was given up.
    func abandon(_ exchange: HTTPExchange)
}
