// What a certificate authority asks for to see that a name leads to this server (RFC 8555, section 8.3; RFC 8737).

import NIOSSL
import SkeinCore
import SkeinHTTP
import Synchronization

/// The answers to challenges: http-01, which an engine gives at `/.well-known/acme-challenge/` before anything else is asked, in clear text
/// too; and tls-alpn-01, which it gives on its addresses with TLS.
public final class CertificateChallenges: Sendable {
    private static let path = "/.well-known/acme-challenge/"

    private let answers = Mutex(ByteDictionary<String>())
    private let contexts = Mutex(ByteDictionary<NIOSSLContext>())

    /// No challenges.
    public init() {}

    /// The answer to a challenge.
    /// - Parameter token: of the challenge; setting nil ends it.
    public subscript(token: String) -> String? {
        get { answers.withLock { $0[token] } }
        set { answers.withLock { $0[token] = newValue } }
    }

    // MARK: By TLS

    /// The protocol by which an authority asks (RFC 8737, section 3).
    static let protocolName = "acme-tls/1"

    /// Sets the certificate that an authority gets to see of a host.
    /// - Parameters:
    ///   - certificate: in PEM, with its key; nil ends the challenge.
    /// - Throws: code 713 for what is no certificate with its key.
    package func set(_ host: String, certificate: String?, key: String) throws(SkeinError) {
        guard let certificate else { return contexts.withLock { $0[host.lowercased()] = nil } }
        do {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem)))
            configuration.applicationProtocols = [Self.protocolName]
            let context = try NIOSSLContext(configuration: configuration)
            contexts.withLock { $0[host.lowercased()] = context }
        } catch {
            throw SkeinError(.tlsHandshakeFailed, because: "the certificate of a challenge cannot be used: \(error)")
        }
    }

    /// Whether connections have to be looked at for authorities.
    var isTLSPending: Bool { contexts.withLock { !$0.isEmpty } }

    func context(for host: String) -> NIOSSLContext? { contexts.withLock { $0[host.lowercased()] } }

    // MARK: By HTTP

    /// The answer to a request for a challenge; nil for other requests.
    func answer(_ request: ServerRequest) -> ServerResponse? {
        guard request.method == .get, request.path.hasBytePrefix(Self.path) else { return nil }
        return self[String(request.path.droppingBytes(first: Self.path.utf8.count))].map {
            ServerResponse(body: .text($0, contentType: "application/octet-stream"))
        }
    }
}
