// Authentication by TLS client certificates.

import SkeinCore
import SkeinTransport

/// Takes the identity from the client's certificate, which TLS has verified: set `clientCertificates` of ``ServerTLSConfiguration``.
public struct CertificateAuthentication: Authenticator {
    private let identify: @Sendable (PeerCertificate) -> Identity?

    /// The common name of the certificate is the user; a certificate without one has no identity.
    /// - Parameter roles: the roles by common name. Default: none.
    public init(roles: [String: Set<String>] = [:]) {
        var known = ByteDictionary<Set<String>>()
        for (name, own) in roles { known[name] = own }
        let names = known
        self.init { certificate in
            certificate.subject.map { Identity(user: $0, roles: names[$0] ?? [], proof: .certificate) }
        }
    }

    /// - Parameter identity: the identity of a verified certificate; nil to refuse it.
    public init(identity: @escaping @Sendable (PeerCertificate) -> Identity?) { identify = identity }

    /// None: certificates are requested in the TLS handshake.
    public var challenge: String? { nil }

    /// The identity of the certificate.
    public func identity(of request: ServerRequest) async throws -> Identity? {
        guard let certificate = request.tls?.peerCertificate else { return nil }
        if let identity = identify(certificate) { return identity }
        throw ServerError.unauthenticated([], "the certificate is not accepted")
    }
}
