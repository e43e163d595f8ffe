// The client's side of one connection of SMTP (RFC 5321) or LMTP (RFC 2033), without I/O: everything that moves its state is here.

import SkeinCore

/// A connection to a server that takes mail.
struct SMTPClientMachine {
    /// Whether the connection becomes TLS (STARTTLS, RFC 3207).
    enum TLSUse: Sendable, Hashable {
        /// It stays as it is, which is in clear text, or in TLS from its first byte.
        case asItIs
        /// If the server offers it.
        case opportunistic
        /// Or the connection is of no use.
        case required
    }

    struct Settings: Sendable {
        /// What the client calls itself.
        var name = "localhost"
        var isLMTP = false
        var tls = TLSUse.opportunistic
        /// Whether nobody else can read the connection: it is TLS already, or does not leave this machine.
        var isProtected = false
        var credentials: MailCredentials?
        var mechanism: SMTPMechanism?
        /// Whether content goes in chunks of known length where the server takes them (RFC 3030).
        var usesChunking = true
    }

    /// What the connection is doing, which says how long it may take.
    enum Phase: Sendable, Hashable, CaseIterable {
        case greeting, hello, startTLS, handshake, authentication, idle, mail, recipients, data, content, final, reset,
            leaving
        case closed
    }

    enum Event {
        case received(SMTPReply)
        /// The handshake has ended well.
        case secured
        /// A message is to be sent; only in the phase `idle`.
        case send(SMTPEnvelope)
        /// The last byte of the content was written.
        case contentWritten
        /// The content cannot be read: nothing of it may be taken for a whole message.
        case contentFailed(SkeinError)
        case timedOut
        case lost(SkeinError)
        case leave
    }

    enum Action {
        case write(String)
        /// TLS begins; bytes that came behind the reply are not the server's word, since they were not protected.
        case startTLS
        /// The connection takes messages.
        case ready
        /// The content is to be written: as lines with dots doubled and a dot at the end, or as it is.
        case writeContent(dotStuffed: Bool)
        /// The end of a transaction, with what became of each recipient.
        case finish([SMTPResult], SMTPOutcome.Fate)
        /// The connection cannot be used: it never became ready.
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

    // MARK: Until it takes messages

    private mutating func hello() -> [Action] {
        phase = .hello
        let word = settings.isLMTP ? "LHLO" : usesHELO ? "HELO" : "EHLO"
        return [.write("\(word) \(settings.name)\r\n")]
    }

    private mutating func receiveHello(_ reply: SMTPReply) -> [Action] {
        guard reply.isPositive else {
            // A server that knows no extensions (RFC 5321, section 3.2).
            if !usesHELO, !settings.isLMTP, !reply.isTemporary {
                usesHELO = true
                return hello()
            }
            return end(Self.refusal(reply), reply: reply) + [.close]
        }
        // What was offered before TLS does not count after it (RFC 3207, section 4.2).
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

    /// - Parameter reply: what the server has said last, when that is the reason.
    mutating func end(_ error: SkeinError, reply: SMTPReply?) -> [Action] {
        let wasInUse = phase != .idle && phase != .reset && phase != .leaving
        phase = .closed
        guard var transaction else { return wasInUse ? [.fail(error)] : [] }
        self.transaction = nil
        let isOpen = transaction.results.contains { $0 == nil }
        let fate: SMTPOutcome.Fate
        if case .mail? = transaction.expected.first, reply != nil || !transaction.isContentWritten {
            // A server that had grown tired of waiting has said nothing about the message.
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

/// A server's no to a connection or a message.
struct SMTPRefusal: Error {
    let reply: SMTPReply
}
