// TLS settings of a client. A value, so that connections with equal settings share a context.

/// TLS settings of a client. The defaults verify the server's certificate and name against the system's roots.
public struct ClientTLSConfiguration: Hashable, Sendable {
    /// The verification of the server.
    public enum Verification: Hashable, Sendable {
        /// The certificate must be valid, from a trusted issuer, and match the requested name (RFC 9110, section
        /// 4.3.4).
        case full
        /// No verification: the connection is encrypted, but the server may be anyone. Each session that does so logs a
        /// warning.
        case none
    }

    /// The trust roots.
    public enum Roots: Hashable, Sendable {
        /// The system's roots.
        case system
        /// The roots in a PEM file only.
        case file(String)
        /// The roots in the PEM files of a directory only.
        case directory(String)
    }

    /// A version of the protocol.
    public enum Version: String, Hashable, Sendable, CustomStringConvertible {
        /// TLS 1.0 and 1.1, which are deprecated (RFC 8996).
        case old = "TLSv1"
        /// TLS 1.2 (RFC 5246).
        case tls12 = "TLSv1.2"
        /// TLS 1.3 (RFC 8446).
        case tls13 = "TLSv1.3"

        /// The usual name: `TLSv1.3`.
        public var description: String { rawValue }
    }

    /// The verification of the server. Default: full.
    public var verify: Verification
    /// The trust roots. Default: the system's.
    public var roots: Roots
    /// A PEM file with the client certificate and its intermediates. Default: none.
    public var certificateFile: String?
    /// A PEM file with its private key. Default: the certificate's file.
    public var keyFile: String?
    /// The minimum version. Default: TLS 1.2.
    public var minimumVersion: Version
    /// The name for SNI and for the verification of the certificate. Default: the URL's host.
    public var serverName: String?
    /// A file to which TLS secrets are appended, for analysis with Wireshark (SSLKEYLOGFILE). Default: none.
    public var keyLogFile: String?

    /// Settings, each with its default.
    public init(
        verify: Verification = .full, roots: Roots = .system, certificateFile: String? = nil, keyFile: String? = nil,
        minimumVersion: Version = .tls12, serverName: String? = nil, keyLogFile: String? = nil
    ) {
        self.verify = verify
        self.roots = roots
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.minimumVersion = minimumVersion
        self.serverName = serverName
        self.keyLogFile = keyLogFile
    }
}
