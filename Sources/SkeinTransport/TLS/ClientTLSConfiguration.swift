// What a client can set about TLS. A value, so that connections with the same settings share what is made of them.

/// TLS as a client speaks it. The defaults verify the server's certificate and name against the system's roots.
public struct ClientTLSConfiguration: Hashable, Sendable {
    /// Whether the server has to prove who it is.
    public enum Verification: Hashable, Sendable {
        /// Its certificate has to be valid, of a trusted issuer, and for the name that was asked for (RFC 9110, section 4.3.4).
        case full
        /// Anybody may answer: encryption without knowing with whom. Each session that does so logs a warning.
        case none
    }

    /// Whose certificates are trusted.
    public enum Roots: Hashable, Sendable {
        /// The system's.
        case system
        /// Those in a PEM file, and no others.
        case file(String)
        /// Those in the PEM files of a directory, and no others.
        case directory(String)
    }

    /// A version of the protocol.
    public enum Version: String, Hashable, Sendable, CustomStringConvertible {
        /// TLS 1.0 and 1.1, which nobody should speak (RFC 8996).
        case old = "TLSv1"
        /// TLS 1.2 (RFC 5246).
        case tls12 = "TLSv1.2"
        /// TLS 1.3 (RFC 8446).
        case tls13 = "TLSv1.3"

        /// The usual name: `TLSv1.3`.
        public var description: String { rawValue }
    }

    /// Whether the server has to prove who it is. Default: yes.
    public var verify: Verification
    /// Whose certificates are trusted. Default: the system's.
    public var roots: Roots
    /// A PEM file with the certificate that the client shows, and those between it and a root. Default: none.
    public var certificateFile: String?
    /// A PEM file with its private key. Default: the certificate's file.
    public var keyFile: String?
    /// The oldest version that is accepted. Default: TLS 1.2.
    public var minimumVersion: Version
    /// The name that is asked for and that the certificate has to bear. Default: the URL's host.
    public var serverName: String?
    /// A file to which the secrets of connections are appended, for looking at them with Wireshark (SSLKEYLOGFILE). Default: none.
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
