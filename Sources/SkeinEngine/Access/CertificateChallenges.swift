// Challenges of a certificate authority, which prove the control of a name (RFC 8555, section 8.3; RFC 8737).

import NIOSSL
import SkeinCore
import SkeinHTTP
import Synchronization

/// The responses to challenges: http-01, served at `/.well-known/acme-challenge/` before all other handling, also in
/// clear text; and tls-alpn-01, served on the engine's TLS addresses.
public final class CertificateChallenges: Sendable {
    private static let path = "/.well-known/acme-challenge/"

    private let answers = Mutex(ByteDictionary<String>())
    private let contexts = Mutex(ByteDictionary<NIOSSLContext>())

    /// No challenges.
    public init() {}

    /// The response to a challenge.
    /// - Parameter token: the token of the challenge; setting nil ends it.
    public subscript(token: String) -> String? {
        get { answers.withLock { $0[token] } }
        set { answers.withLock { $0[token] = newValue } }
    }

    // MARK: By TLS

    /// The ALPN protocol of the validation (RFC 8737, section 3).
    static let protocolName = "acme-tls/1"

    /// Sets the certificate that an authority gets for a host.
    /// - Parameters:
    ///   - certificate: in PEM; nil ends the challenge.
    /// - Throws: code 713 for an invalid certificate or key.
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

    /// Whether new connections must be checked for authorities.
    var isTLSPending: Bool { contexts.withLock { !$0.isEmpty } }

    func context(for host: String) -> NIOSSLContext? { contexts.withLock { $0[host.lowercased()] } }

    // MARK: By HTTP

    /// The response to a challenge request; nil for other requests.
    func answer(_ request: ServerRequest) -> ServerResponse? {
        guard request.method == .get, request.path.hasBytePrefix(Self.path) else { return nil }
        return self[String(request.path.droppingBytes(first: Self.path.utf8.count))].map {
            ServerResponse(body: .text($0, contentType: "application/octet-stream"))
        }
    }
}
