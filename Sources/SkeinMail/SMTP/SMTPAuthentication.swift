// SMTP authentication (RFC 4954), without I/O.

import Crypto
import SkeinCore
import SkeinTransport

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Credentials for a mail server.
public enum MailCredentials: Sendable, Hashable {
    /// A name and a password.
    case password(user: String, password: String)
    /// A name and an OAuth 2.0 token (XOAUTH2, as defined by Google and Microsoft).
    case token(user: String, token: String)
}

/// A mechanism of AUTH.
public enum SMTPMechanism: String, Sendable, CaseIterable {
    /// A challenge-response scheme that also authenticates the server (RFC 7677).
    case scramSHA256 = "SCRAM-SHA-256"
    /// A challenge-response scheme (RFC 2195).
    case cramMD5 = "CRAM-MD5"
    /// The password is sent (RFC 4616).
    case plain = "PLAIN"
    /// The password is sent, in the form of servers older than PLAIN.
    case login = "LOGIN"
    /// A token is sent.
    case xoauth2 = "XOAUTH2"

    /// Whether an eavesdropper could reuse the transmitted data.
    var sendsSecret: Bool { self == .plain || self == .login || self == .xoauth2 }
}

/// One authentication exchange.
struct SMTPAuthentication {
    private enum State {
        case user(String, String)
        case password(String)
        case digest(user: String, password: String)
        case scram(SCRAMClient<SHA256>)
        case scramFinal(SCRAMClient<SHA256>)
        case refusedToken
        case done
    }

    let mechanism: SMTPMechanism
    /// The argument of AUTH.
    let command: String
    private var state: State

    /// Chooses the best mechanism that the server offers.
    /// - Parameters:
    ///   - offered: the mechanisms of the server.
    ///   - isProtected: whether the connection is protected from eavesdroppers.
    ///   - wanted: the only mechanism to use; nil for the best one.
    /// - Throws: code 706 when no allowed mechanism is offered.
    init(
        _ credentials: MailCredentials, offered: [String], isProtected: Bool, wanted: SMTPMechanism?
    ) throws(SkeinError) {
        let fitting: [SMTPMechanism] =
            switch credentials {
            // Over TLS, PLAIN is the most widely tested; without TLS the password must not be sent.
            case .password:
                isProtected ? [.scramSHA256, .plain, .login, .cramMD5] : [.scramSHA256, .cramMD5, .plain, .login]
            case .token: [.xoauth2]
            }
        let known = fitting.filter { offered.contains($0.rawValue) && (wanted == nil || $0 == wanted) }
        guard let mechanism = known.first(where: { isProtected || !$0.sendsSecret }) else {
            let list = offered.isEmpty ? "no mechanism" : offered.joined(separator: " ")
            throw SkeinError(
                .unknownAuthentication,
                because: known.isEmpty
                    ? "the server offers \(list)\(wanted.map { ", not \($0.rawValue)" } ?? "; none is supported")"
                    : "the server offers \(list), which would send the password in clear text; use TLS")
        }
        self.mechanism = mechanism
        switch (mechanism, credentials) {
        case (.plain, .password(let user, let password)):
            command = "PLAIN \(Self.encoded("\0\(user)\0\(password)"))"
            state = .done
        case (.login, .password(let user, let password)):
            command = "LOGIN"
            state = .user(user, password)
        case (.cramMD5, .password(let user, let password)):
            command = "CRAM-MD5"
            state = .digest(user: user, password: password)
        case (_, .password(let user, let password)):
            let client = SCRAMClient<SHA256>(
                user: user, password: password, binding: .unsupported, maximumRounds: 200_000)
            command = "SCRAM-SHA-256 \(Self.encoded(client.first))"
            state = .scram(client)
        case (_, .token(let user, let token)):
            command = "XOAUTH2 \(Self.encoded("user=\(user)\u{1}auth=Bearer \(token)\u{1}\u{1}"))"
            state = .refusedToken
        }
    }

    /// The response to a challenge (the text of a 334).
    /// - Throws: code 706 when it is malformed, or the server does not authenticate as required.
    mutating func answer(_ challenge: String) throws(SkeinError) -> String {
        guard let data = Data(base64Encoded: String(challenge.trimmingBlanks())) else {
            throw SkeinError(.unknownAuthentication, because: "the server's challenge is malformed")
        }
        let text = String(decoding: data, as: UTF8.self)
        switch state {
        case .user(let user, let password):
            state = .password(password)
            return Self.encoded(user)
        case .password(let password):
            state = .done
            return Self.encoded(password)
        case .digest(let user, let password):
            state = .done
            let key = SymmetricKey(data: Array(password.utf8))
            let digest = HMAC<Insecure.MD5>.authenticationCode(for: data, using: key)
            return Self.encoded("\(user) \(Hex.encode(Array(digest)))")
        case .scram(var client):
            let final = try client.answer(text)
            state = .scramFinal(client)
            return Self.encoded(final)
        case .scramFinal(let client):
            try client.verify(text)
            state = .done
            return ""
        case .refusedToken:
            // The challenge holds the reason of the refusal; an empty response leads to the final reply.
            state = .done
            return ""
        case .done:
            throw SkeinError(
                .unknownAuthentication, because: "the server does not end the \(mechanism.rawValue) exchange")
        }
    }

    /// Checks a positive reply: a server that has to authenticate must have done so.
    /// - Throws: code 706 when it has not.
    mutating func finish(_ reply: SMTPReply) throws(SkeinError) {
        switch state {
        case .scramFinal(let client):
            // SMTP does not use additional data with success (RFC 4954, section 4): the server's proof may be in the
            // text.
            guard let word = reply.lines.first?.splitAtBlanks().last, let data = Data(base64Encoded: String(word))
            else {
                throw SkeinError(
                    .unknownAuthentication, because: "the server has not proved that it knows the password")
            }
            try client.verify(String(decoding: data, as: UTF8.self))
        case .scram:
            throw SkeinError(.unknownAuthentication, because: "the server has not proved that it knows the password")
        default: break
        }
    }

    private static func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
}
