// The sizes of receive windows. They grow while a transfer fills them within one round trip: then the window limits the
// transfer, and not the network (the bandwidth-delay product, measured by a PING).

/// The sizes of our receive windows.
struct ReceiveWindows {
    private(set) var stream: Int
    private(set) var connection: Int
    private let maximum: Int
    /// Bytes received since the current PING.
    private var measured: Int?

    init(_ limits: HTTP2Limits) {
        stream = min(max(1, limits.streamWindow), FlowWindow.maximum)
        connection = min(max(65_535, limits.connectionWindow), FlowWindow.maximum)
        maximum = min(max(stream, limits.maximumStreamWindow), FlowWindow.maximum / 16)
    }

    /// Counts received bytes.
    @inline(__always)
    mutating func received(_ bytes: Int) {
        if let measured { self.measured = measured + bytes }
    }

    /// Whether to send a PING now, since a transfer has used half a window.
    mutating func beginMeasurement() -> Bool {
        guard measured == nil, stream < maximum else { return false }
        measured = 0
        return true
    }

    /// The PING was acknowledged.
    /// - Returns: the increments of a stream's and the connection's window.
    mutating func endMeasurement() -> (stream: Int, connection: Int)? {
        guard let bytes = measured else { return nil }
        measured = nil
        guard bytes >= stream / 3 * 2 else { return nil }
        let grown = min(maximum, stream * 2)
        let grownConnection = max(connection, min(grown * 4, FlowWindow.maximum / 4))
        defer {
            stream = grown
            connection = grownConnection
        }
        return (grown - stream, grownConnection - connection)
    }
}
