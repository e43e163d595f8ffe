// Limits for the data of HTTP/1.1 peers.

/// Limits of the HTTP/1.1 codec. Each is checked while bytes arrive.
public struct HTTP1Limits: Sendable, Hashable {
    /// Bytes of a request line, a status line or one field line. Default: 16 KiB.
    public var line: Int
    /// Field lines of a header section. Default: 128.
    public var fieldCount: Int
    /// Bytes of a whole head: start line and header section. Default: 64 KiB.
    public var headerBlock: Int
    /// Bytes of all chunk extensions of one message. Default: 4 KiB.
    public var chunkExtensions: Int
    /// Bytes of the trailer section. Default: 8 KiB.
    public var trailers: Int

    /// The limits, each with its default.
    public init(
        line: Int = 16 << 10, fieldCount: Int = 128, headerBlock: Int = 64 << 10, chunkExtensions: Int = 4 << 10,
        trailers: Int = 8 << 10
    ) {
        self.line = line
        self.fieldCount = fieldCount
        self.headerBlock = headerBlock
        self.chunkExtensions = chunkExtensions
        self.trailers = trailers
    }

    /// The limits of a client, as in curl: lines of 100 KiB, 5000 fields, 300 KiB in all.
    public static let responses = HTTP1Limits(line: 100 << 10, fieldCount: 5000, headerBlock: 300 << 10)
}
