// Waits for the end of a client's handshake, and describes a failure in one sentence.

import NIOCore
import NIOSSL
import NIOTLS
import SkeinCore

/// The handler after the TLS handler until the handshake is over. Used on its channel's loop only.
package final class TLSHandshake: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer

    private let tls: NIOSSLClientHandler
    private let host: String
    private let verifiesHost: Bool
    private let peer: String
    private let promise: EventLoopPromise<TLSInfo>
    private var isOver = false

    /// Starts TLS on a connection.
    /// - Parameters:
    ///   - host: the requested name or address, unless the options set another one.
    ///   - isFirst: whether it is added before the existing handlers.
    package static func begin(
        on channel: any Channel, _ tls: ConnectOptions.TLS, host: String, peer: String, isFirst: Bool = false
    ) -> EventLoopFuture<TLSInfo> {
        let promise = channel.eventLoop.makePromise(of: TLSInfo.self)
        do {
            let name = IPAddress.withoutZone(tls.options.serverName ?? host)
            let isAddress = IPAddress.bytes(name) != nil
            let handler = try NIOSSLClientHandler(
                context: tls.client.context(tls.options, protocols: tls.protocols),
                serverHostname: isAddress || name.isEmpty ? nil : name)
            try channel.pipeline.syncOperations.addHandlers(
                [
                    handler,
                    TLSHandshake(
                        handler, host: name, verifiesHost: tls.options.verify != .none, peer: peer, promise: promise),
                ], position: isFirst ? .first : .last)
        } catch {
            promise.fail(error)
        }
        return promise.futureResult
    }

    /// - Parameter host: the name or address that the certificate must match.
    init(
        _ tls: NIOSSLClientHandler, host: String, verifiesHost: Bool, peer: String, promise: EventLoopPromise<TLSInfo>
    ) {
        self.tls = tls
        self.host = host
        self.verifiesHost = verifiesHost
        self.peer = peer
        self.promise = promise
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let protocolName)? = event as? TLSUserEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        // No application data was sent yet.
        guard !verifiesHost || tls.peerCertificate.map({ ServerIdentity($0).isFor(host) }) == true else {
            fail(
                SkeinError(
                    .tlsHandshakeFailed, peer: peer,
                    because: TLSFailure.wrongHost(tls.peerCertificate.map(PeerCertificate.init), host)))
            return context.close(promise: nil)
        }
        isOver = true
        let info = TLSInfo(tls.tlsVersion, protocolName, tls.peerCertificate)
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        promise.succeed(info)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !isOver {
            fail(TLSFailure.explain(error, tls.peerCertificate.map(PeerCertificate.init), host: host, peer: peer))
        }
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        fail(
            SkeinError(
                .tlsHandshakeFailed, peer: peer,
                because: "the server closed the connection in the TLS handshake; does it speak TLS on this port?"))
        context.fireChannelInactive()
    }

    private func fail(_ error: SkeinError) {
        guard !isOver else { return }
        isOver = true
        promise.fail(error)
    }
}

/// Diagnoses a certificate for error messages: BoringSSL decides about trust.
package enum TLSFailure {
    /// The failure of a client's handshake as one sentence.
    package static func explain(
        _ error: any Error, _ certificate: PeerCertificate?, host: String, peer: String
    ) -> SkeinError {
        SkeinError(.tlsHandshakeFailed, peer: peer, because: reason(error, certificate, host), cause: error)
    }

    private static func reason(_ error: any Error, _ certificate: PeerCertificate?, _ host: String) -> String {
        let text = "\(error)"
        if text.containsBytes("CERTIFICATE_VERIFY_FAILED") { return untrusted(certificate) }
        if text.containsBytes("WRONG_VERSION_NUMBER") || text.containsBytes("HTTP_REQUEST") {
            return "the server does not speak TLS on this port"
        }
        if text.containsBytes("UNSUPPORTED_PROTOCOL") || text.containsBytes("PROTOCOL_VERSION") {
            return "the server does not support an accepted TLS version; see minimumVersion"
        }
        if text.containsBytes("CERTIFICATE_REQUIRED") || text.containsBytes("BAD_CERTIFICATE") {
            return "the server requires a different client certificate, or one at all; set certificateFile and keyFile"
        }
        if text.containsBytes("ALERT_HANDSHAKE_FAILURE") || text.containsBytes("NO_APPLICATION_PROTOCOL") {
            return "the server refused the handshake (\(text))"
        }
        return "the TLS handshake failed (\(text))"
    }

    static func wrongHost(_ certificate: PeerCertificate?, _ host: String) -> String {
        let names = certificate?.names ?? []
        let list = names.isEmpty ? "no names" : names.prefix(10).joined(separator: ", ")
        return "the certificate is not for \(host) but for \(list); pass verify: .none to accept it"
    }

    private static func untrusted(_ certificate: PeerCertificate?) -> String {
        let accept = "; pass verify: .none to accept it"
        guard let certificate else { return "the server's certificate is not trusted" + accept }
        let now = CivilTime.now
        if certificate.notAfter < now {
            return "the certificate expired \(CivilTime(certificate.notAfter).date.text)" + accept
        }
        if certificate.notBefore > now {
            return "the certificate is valid only from \(CivilTime(certificate.notBefore).date.text)" + accept
        }
        let subject = certificate.subject.map { " of \($0)" } ?? ""
        if certificate.isSelfIssued {
            return "the certificate\(subject) is self-signed and not among the trusted roots" + accept
        }
        return "the certificate\(subject) was issued by \(certificate.issuer ?? "an unnamed issuer"), "
            + "which does not chain to a trusted root; is an intermediate certificate or the file of roots missing?"
            + accept
    }
}
