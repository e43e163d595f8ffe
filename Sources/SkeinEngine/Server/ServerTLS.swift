// TLS of the server: certificates by host name, and their reload at run time.

import NIOSSL
import SkeinTransport
import Synchronization

/// TLS settings for `.tls` addresses.
public struct ServerTLSConfiguration: Sendable {
    /// A certificate with its key.
    public struct Certificate: Sendable {
        /// A PEM file with the certificate and its intermediates.
        public var certificateFile: String
        /// A PEM file with its private key.
        public var keyFile: String

        /// A certificate with its key.
        public init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// Whether clients must present a certificate.
    public enum ClientCertificates: Sendable {
        /// No client certificate is requested.
        case none
        /// Clients must present a certificate issued by a root of this PEM file.
        case required(rootsFile: String)
    }

    /// The certificates, one or more. A client that names a host (SNI, RFC 6066, section 3) gets the matching one, by
    /// the names in the certificates; others get the first.
    public var certificates: [Certificate]
    /// The minimum version. Default: TLS 1.2.
    public var minimumVersion = ClientTLSConfiguration.Version.tls12
    /// Whether clients must present a certificate. Default: not requested.
    public var clientCertificates = ClientCertificates.none
    /// A file to which TLS secrets are appended (SSLKEYLOGFILE). Default: none.
    public var keyLogFile: String?

    /// Settings with the given certificates.
    public init(certificates: [Certificate]) { self.certificates = certificates }
}

/// The TLS context of a running server; a reload replaces it for new connections.
final class ServerTLS: Sendable {
    private let options: ServerTLSConfiguration
    private let protocols: [String]
    private let current: Mutex<NIOSSLContext>

    /// - Throws: code 713 with the error in a file.
    init(_ options: ServerTLSConfiguration, speaksHTTP2: Bool) throws(SkeinError) {
        self.options = options
        protocols = speaksHTTP2 ? ["h2", "http/1.1"] : ["http/1.1"]
        current = Mutex(try Self.context(options, protocols))
    }

    var context: NIOSSLContext { current.withLock { $0 } }

    /// Reloads the files.
    /// - Throws: code 713; the old certificates stay in use.
    func reload() throws(SkeinError) {
        let context = try Self.context(options, protocols)
        current.withLock { $0 = context }
    }

    private struct Identity: Sendable {
        let names: [String]
        let chain: [NIOSSLCertificateSource]
        let key: NIOSSLPrivateKeySource

        /// Whether a name of the certificate matches the host, also by wildcard (RFC 6125, section 6.4.3).
        func covers(_ host: String) -> Bool {
            names.contains { name in
                guard name.hasBytePrefix("*.") else { return name == host }
                guard let dot = host.firstByte(".") else { return false }
                return host[dot...] == name.dropFirst()
            }
        }
    }

    private static func context(_ options: ServerTLSConfiguration, _ protocols: [String]) throws(SkeinError)
        -> NIOSSLContext
    {
        var identities: [Identity] = []
        for certificate in options.certificates {
            let chain = try PEM.certificates(certificate.certificateFile)
            identities.append(
                Identity(
                    names: PeerCertificate(chain[0]).names.map { $0.lowercased() },
                    chain: chain.map { .certificate($0) }, key: .privateKey(try PEM.key(certificate.keyFile))))
        }
        guard let first = identities.first else {
            throw SkeinError(.tlsHandshakeFailed, because: "TLS needs a certificate; set tls.certificates")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: first.chain, privateKey: first.key)
        configuration.applicationProtocols = protocols
        configuration.minimumTLSVersion = options.minimumVersion.version
        if case .required(let file) = options.clientCertificates {
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates(try PEM.certificates(file))
        }
        if let path = options.keyLogFile { configuration.keyLogCallback = try PEM.keyLog(path) }
        if identities.count > 1 {
            configuration.sslContextCallback = { [identities] hello, promise in
                let host = hello.serverHostname?.lowercased() ?? ""
                var override = NIOSSLContextConfigurationOverride()
                if let identity = identities.first(where: { $0.covers(host) }) {
                    override.certificateChain = identity.chain
                    override.privateKey = identity.key
                }
                promise.succeed(override)
            }
        }
        return try configuration.makeContext()
    }
}
