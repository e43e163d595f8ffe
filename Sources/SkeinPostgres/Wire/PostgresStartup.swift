// The start-up phase until the first ReadyForQuery, with authentication ("Start-up" in the protocol's message flow).

import Crypto
import NIOCore
import SkeinCore
import SkeinSQL
import SkeinTransport

/// The start-up exchange, without I/O.
struct PostgresStartup {
    /// The action after a message.
    enum Action {
        case none
        case ready
    }

    private enum State {
        case authenticating
        case proving(SCRAMClient<SHA256>)
        case proved
        case authenticated
    }

    private let user: String
    private let password: String?
    private let configuration: PostgresConfiguration
    private let tls: TLSInfo?
    private var state = State.authenticating
    /// The process ID and the secret key for cancel requests.
    private(set) var key: (process: UInt32, secret: UInt32)?
    /// The parameters reported by the server.
    private(set) var parameters: [String: String] = [:]

    init(_ configuration: PostgresConfiguration, tls: TLSInfo?) {
        self.configuration = configuration
        self.tls = tls
        user = configuration.user
        password = configuration.password
    }

    func begin(into output: inout ByteBuffer) {
        var settings = [
            ("user", user), ("database", configuration.database), ("client_encoding", "UTF8"),
            ("application_name", configuration.applicationName), ("DateStyle", "ISO"),
        ]
        settings += configuration.settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        PostgresWriter.startup(settings, into: &output)
    }

    /// - Throws: the reason why the session cannot start.
    mutating func receive(_ message: PostgresMessage, into output: inout ByteBuffer) throws(SkeinError) -> Action {
        switch message {
        case .error(let error):
            let code: SkeinError.Code = error.sqlState.hasBytePrefix("28") ? .unknownAuthentication : .connectionFailed
            throw SkeinError(code, because: "the server refuses the session: \(error)", cause: error)
        case .notice, .negotiateProtocolVersion: return .none
        case .parameterStatus(let name, let value):
            parameters[name] = value
            return .none
        default: break
        }
        switch (state, message) {
        case (.authenticating, .authenticationOK), (.proved, .authenticationOK):
            if case .authenticating = state { try refuseUnbound() }
            state = .authenticated
        case (.authenticating, .authenticationCleartext):
            guard tls != nil || configuration.isLocal || configuration.tls == .disable else {
                throw weak("the server asks for the password in clear text over a connection without TLS")
            }
            try refuseUnbound()
            PostgresWriter.password(try need(), into: &output)
        case (.authenticating, .authenticationMD5(let salt)):
            try refuseUnbound()
            let inner = Self.md5(Array("\(try need())\(user)".utf8))
            PostgresWriter.password("md5" + Self.md5(Array(inner.utf8) + salt), into: &output)
        case (.authenticating, .authenticationSASL(let mechanisms)): try beginSASL(mechanisms, &output)
        case (.proving(var client), .authenticationSASLContinue(let challenge)):
            PostgresWriter.saslResponse(try client.answer(challenge), into: &output)
            state = .proving(client)
        case (.proving(let client), .authenticationSASLFinal(let last)):
            try client.verify(last)
            state = .proved
        case (.authenticating, .authenticationUnsupported(let kind)):
            throw SkeinError(
                .unknownAuthentication,
                because: "the server asks for an authentication method (number \(kind)) that is not supported; "
                    + "supported are scram-sha-256, md5, password, cert and peer")
        case (.authenticated, .backendKey(let process, let secret)): key = (process, secret)
        case (.authenticated, .ready): return .ready
        default:
            throw SkeinError(.responseHeaderError, because: "the server sent a message out of order: \(message)")
        }
        return .none
    }

    private mutating func beginSASL(_ mechanisms: [String], _ output: inout ByteBuffer) throws(SkeinError) {
        let binding: SCRAMClient<SHA256>.Binding
        let mechanism: String
        if let certificate = tls?.peerCertificate, configuration.channelBinding != .disable {
            if mechanisms.contains("SCRAM-SHA-256-PLUS") {
                binding = .serverEndPoint(ServerEndPoint.binding(certificate))
                mechanism = "SCRAM-SHA-256-PLUS"
            } else {
                guard configuration.channelBinding != .require else {
                    throw weak("the server does not offer channel binding, which is required")
                }
                binding = .notOffered
                mechanism = "SCRAM-SHA-256"
            }
        } else {
            guard configuration.channelBinding != .require else {
                throw weak("channel binding is required, but needs TLS")
            }
            binding = .unsupported
            mechanism = "SCRAM-SHA-256"
        }
        guard mechanisms.contains(mechanism) else {
            throw weak("the server offers only the mechanisms \(mechanisms.joined(separator: ", "))")
        }
        let client = SCRAMClient<SHA256>(user: "", password: try need(), binding: binding)
        PostgresWriter.saslInitial(mechanism, client.first, into: &output)
        state = .proving(client)
    }

    /// If channel binding is required, no other authentication is performed, not even with a hash.
    private func refuseUnbound() throws(SkeinError) {
        guard configuration.channelBinding != .require else {
            throw weak("channel binding is required, but the server's authentication method does not support it")
        }
    }

    private func need() throws(SkeinError) -> String {
        guard let password else {
            throw SkeinError(
                .unknownAuthentication,
                because: "the server asks for a password; put it into the URL or into PGPASSWORD")
        }
        return password
    }

    private func weak(_ message: String) -> SkeinError { SkeinError(.unknownAuthentication, because: message) }

    private static func md5(_ bytes: [UInt8]) -> String { Hex.encode(Insecure.MD5.hash(data: bytes)) }
}
