// The client's side of one SMTP (RFC 5321) or LMTP (RFC 2033) connection, without I/O: all state transitions are here.

import SkeinCore

/// A connection to a mail server.
struct SMTPClientMachine {
    /// Whether STARTTLS is used (RFC 3207).
    enum TLSUse: Sendable, Hashable {
        /// No STARTTLS: the connection stays in clear text, or uses TLS from its first byte.
        case asItIs
        /// If the server offers it.
        case opportunistic
        /// The connection fails without it.
        case required
    }

    struct Settings: Sendable {
        /// The name in EHLO.
        var name = "localhost"
        var isLMTP = false
        var tls = TLSUse.opportunistic
        /// Whether the connection is safe from eavesdroppers: it uses TLS already, or is local.
        var isProtected = false
        var credentials: MailCredentials?
        var mechanism: SMTPMechanism?
        /// Whether content is sent in chunks of known length if the server supports it (RFC 3030).
        var usesChunking = true
    }

    /// The phase of the connection, which determines its time limit.
    enum Phase: Sendable, Hashable, CaseIterable {
        case greeting, hello, startTLS, handshake, authentication, idle, mail, recipients, data, content, final, reset,
            leaving
        case closed
    }

    enum Event {
        case received(SMTPReply)
        /// The TLS handshake succeeded.
        case secured
        /// A message is to be sent; only in the phase `idle`.
        case send(SMTPEnvelope)
        /// The last byte of the content was written.
        case contentWritten
        /// The content cannot be read: no part of it may be accepted as a complete message.
        case contentFailed(SkeinError)
        case timedOut
        case lost(SkeinError)
        case leave
    }

    enum Action {
        case write(String)
        /// Start TLS; bytes received after the reply are discarded, since they were not protected.
        case startTLS
        /// The connection can send messages.
        case ready
        /// Write the content: with dots doubled and a final dot, or unchanged.
        case writeContent(dotStuffed: Bool)
        /// The end of a transaction, with the result for each recipient.
        case finish([SMTPResult], SMTPOutcome.Fate)
        /// The connection failed before it was ready.
        case fail(SkeinError)
        case close
    }

    var phase = Phase.greeting
    private(set) var extensions = SMTPExtensions()
    private(set) var isSecure = false
    let settings: Settings
    private var usesHELO = false
    private var authentication: SMTPAuthentication?
    var transaction: Transaction?

    init(_ settings: Settings) { self.settings = settings }

    mutating func receive(_ event: Event) -> [Action] {
        switch (phase, event) {
        case (.idle, .send(let envelope)): return begin(envelope)
        case (_, .send(let envelope)):
            // It has ended, or is about to, and nothing was sent.
            let reply = SMTPReply(code: 451, lines: ["4.4.2 the server has ended the connection"])
            return [.finish(envelope.recipients.map { _ in .deferred(reply) }, .notBegun)]
        case (.closed, _): return []
        case (_, .lost(let error)): return end(error, reply: nil)
        case (_, .timedOut):
            let what = "the server has been silent for too long (\(phase))"
            return end(SkeinError(.timeout, because: what), reply: nil) + [.close]
        case (.idle, .leave):
            phase = .leaving
            return [.write("QUIT\r\n")]
        case (_, .leave):
            return end(SkeinError(.shuttingDown, because: "the client is shut down"), reply: nil) + [.close]
        case (.handshake, .secured):
            isSecure = true
            return hello()
        case (_, .contentWritten): return contentWritten()
        case (_, .contentFailed(let error)): return end(error, reply: nil) + [.close]
        case (_, .received(let reply)): return receive(reply)
        case (_, .secured): return []
        }
    }

    private mutating func receive(_ reply: SMTPReply) -> [Action] {
        // The server is about to close the connection (RFC 5321, section 3.8).
        if reply.code == 421, phase != .leaving { return end(Self.refusal(reply), reply: reply) + [.close] }
        switch phase {
        case .greeting:
            guard reply.code == 220 else { return end(Self.refusal(reply), reply: reply) + [.close] }
            return hello()
        case .hello: return receiveHello(reply)
        case .startTLS:
            if reply.code == 220 {
                phase = .handshake
                return [.startTLS]
            }
            guard settings.tls == .opportunistic else {
                return end(
                    SkeinError(
                        .tlsHandshakeFailed, because: "TLS is required, but the server does not begin it: \(reply)"),
                    reply: nil) + [.close]
            }
            return authenticate()
        case .authentication: return receiveAuthentication(reply)
        case .mail, .recipients, .data, .content, .final: return receiveInTransaction(reply)
        case .reset:
            guard reply.isPositive, let transaction else { return end(Self.refusal(reply), reply: reply) + [.close] }
            self.transaction = nil
            phase = .idle
            return [.finish(transaction.known, .certain), .ready]
        case .leaving:
            return end(SkeinError(.connectionClosed, because: "the connection has ended"), reply: nil) + [.close]
        case .idle, .handshake, .closed:
            return end(
                SkeinError(.responseHeaderError, because: "the server sent an unsolicited reply: \(reply)"),
                reply: nil)
                + [.close]
        }
    }

    // MARK: Setup

    private mutating func hello() -> [Action] {
        phase = .hello
        let word = settings.isLMTP ? "LHLO" : usesHELO ? "HELO" : "EHLO"
        return [.write("\(word) \(settings.name)\r\n")]
    }

    private mutating func receiveHello(_ reply: SMTPReply) -> [Action] {
        guard reply.isPositive else {
            // A server without extensions (RFC 5321, section 3.2).
            if !usesHELO, !settings.isLMTP, !reply.isTemporary {
                usesHELO = true
                return hello()
            }
            return end(Self.refusal(reply), reply: reply) + [.close]
        }
        // Extensions from before TLS are discarded (RFC 3207, section 4.2).
        extensions = usesHELO ? SMTPExtensions() : SMTPExtensions(reply)
        guard settings.tls != .asItIs, !isSecure else { return authenticate() }
        if extensions.startTLS {
            phase = .startTLS
            return [.write("STARTTLS\r\n")]
        }
        guard settings.tls == .opportunistic else {
            return end(
                SkeinError(
                    .tlsHandshakeFailed,
                    because: "TLS is required, but the server does not offer it; ?tls=none allows clear text"),
                reply: nil)
                + [.close]
        }
        return authenticate()
    }

    private mutating func authenticate() -> [Action] {
        guard let credentials = settings.credentials else { return becomeIdle() }
        do throws(SkeinError) {
            let made = try SMTPAuthentication(
                credentials, offered: extensions.authentication, isProtected: isSecure || settings.isProtected,
                wanted: settings.mechanism)
            authentication = made
            phase = .authentication
            return [.write("AUTH \(made.command)\r\n")]
        } catch {
            return end(error, reply: nil) + [.close]
        }
    }

    private mutating func receiveAuthentication(_ reply: SMTPReply) -> [Action] {
        do throws(SkeinError) {
            if reply.code == 334 {
                let answer = try authentication?.answer(reply.lines.first ?? "") ?? ""
                return [.write("\(answer)\r\n")]
            }
            guard reply.isPositive else {
                throw SkeinError(
                    reply.isTemporary ? .connectionFailed : .unknownAuthentication,
                    because: "the server does not accept the credentials: \(reply)")
            }
            try authentication?.finish(reply)
            authentication = nil
            return becomeIdle()
        } catch {
            return end(error, reply: nil) + [.close]
        }
    }

    private mutating func becomeIdle() -> [Action] {
        phase = .idle
        return [.ready]
    }

    // MARK: The end

    /// - Parameter reply: the server's last reply, if it is the reason.
    mutating func end(_ error: SkeinError, reply: SMTPReply?) -> [Action] {
        let wasInUse = phase != .idle && phase != .reset && phase != .leaving
        phase = .closed
        guard var transaction else { return wasInUse ? [.fail(error)] : [] }
        self.transaction = nil
        let isOpen = transaction.results.contains { $0 == nil }
        let fate: SMTPOutcome.Fate
        if case .mail? = transaction.expected.first, reply != nil || !transaction.isContentWritten {
            // A server that closed an idle connection has not replied to the message.
            fate = .notBegun
        } else {
            fate = reply == nil && transaction.isContentWritten && isOpen ? .uncertain : .certain
        }
        let guess = fate == .uncertain ? "; it has received the whole message, and may have accepted it" : ""
        transaction.refuseAll(reply ?? SMTPReply(code: 451, lines: ["4.4.2 \(error.message)\(guess)"]))
        return [.finish(transaction.known, fate)]
    }

    static func refusal(_ reply: SMTPReply) -> SkeinError {
        SkeinError(
            .connectionFailed, because: "the server refuses the connection: \(reply)", cause: SMTPRefusal(reply: reply))
    }
}

/// A server's refusal of a connection or a message.
struct SMTPRefusal: Error {
    let reply: SMTPReply
}
