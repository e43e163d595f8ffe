// The client's side of one connection of SMTP (RFC 5321) or LMTP (RFC 2033), without I/O: everything that moves its state is here.

import DequeModule
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
        /// Bytes that came behind the reply are not the server's word: they were not protected.
        case startTLS
        /// The connection takes messages.
        case ready
        /// The content is to be written: as lines with dots doubled and a dot at the end, or as it is.
        case writeContent(dotStuffed: Bool)
        /// The end of a transaction in which no recipient was accepted.
        case finish([SMTPResult], isUncertain: Bool)
        /// The connection cannot be used: it never became ready.
        case fail(SkeinError)
        case close
    }

    /// What a reply is about.
    private enum Expected {
        case mail, recipient(Int), data
        /// The end of the content, for one recipient or for all that were accepted.
        case final(Int?)
        /// Of a content that nobody was to get.
        case nothing
    }

    private struct Transaction {
        let envelope: SMTPEnvelope
        var expected = Deque<Expected>()
        var results: [SMTPReply?]
        var accepted: [Int] = []
        /// How many recipients the server was told of.
        var told = 0
        var hasContentBegun = false
        var isContentWritten = false

        init(_ envelope: SMTPEnvelope) {
            self.envelope = envelope
            results = Array(repeating: nil, count: envelope.recipients.count)
        }

        mutating func refuseAll(_ reply: SMTPReply) {
            for index in results.indices where results[index] == nil { results[index] = reply }
            accepted = []
        }
    }

    private(set) var phase = Phase.greeting
    private(set) var extensions = SMTPExtensions()
    private(set) var isSecure = false
    private let settings: Settings
    private var usesHELO = false
    private var authentication: SMTPAuthentication?
    private var transaction: Transaction?

    init(_ settings: Settings) { self.settings = settings }

    mutating func receive(_ event: Event) -> [Action] {
        switch (phase, event) {
        case (.closed, _): return []
        case (_, .lost(let error)): return end(error, reply: nil)
        case (_, .timedOut):
            let what = "the server has said nothing for too long (\(phase))"
            return end(SkeinError(.timeout, because: what), reply: nil) + [.close]
        case (.idle, .leave):
            phase = .leaving
            return [.write("QUIT\r\n")]
        case (_, .leave):
            return end(SkeinError(.shuttingDown, because: "the client is shut down"), reply: nil) + [.close]
        case (.idle, .send(let envelope)): return begin(envelope)
        case (.handshake, .secured):
            isSecure = true
            return hello()
        case (_, .contentWritten): return contentWritten()
        case (_, .contentFailed(let error)): return end(error, reply: nil) + [.close]
        case (_, .received(let reply)): return receive(reply)
        case (_, .send), (_, .secured): return []
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
                        .tlsHandshakeFailed, because: "the server does not begin TLS, which is required: \(reply)"),
                    reply: nil) + [.close]
            }
            return authenticate()
        case .authentication: return receiveAuthentication(reply)
        case .mail, .recipients, .data, .content, .final: return receiveInTransaction(reply)
        case .reset:
            guard reply.isPositive else { return end(Self.refusal(reply), reply: reply) + [.close] }
            phase = .idle
            return [.ready]
        case .leaving:
            return end(SkeinError(.channelClosed, because: "the connection has ended"), reply: nil) + [.close]
        case .idle, .handshake, .closed:
            return end(
                SkeinError(.responseHeaderError, because: "the server answered what was not asked: \(reply)"),
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
                    because: "the server does not offer TLS, which is required; ?tls=none goes on in clear text"),
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

    // MARK: Transactions

    private mutating func begin(_ envelope: SMTPEnvelope) -> [Action] {
        if let reply = problem(envelope) {
            return [.finish(envelope.recipients.map { _ in SMTPResult(reply) }, isUncertain: false)]
        }
        var transaction = Transaction(envelope)
        transaction.expected.append(.mail)
        var text = SMTPCommand.mail(envelope, extensions)
        var actions: [Action] = []
        if extensions.pipelining {
            for index in envelope.recipients.indices { text += tellRecipient(index, &transaction) }
            // With a short content nothing is lost when no recipient is accepted; a long one waits until it is known.
            if usesChunking, envelope.size <= 32 << 10 {
                text += Self.chunk(envelope.size)
                actions = startContent(&transaction, dotStuffed: false)
            } else if !usesChunking {
                text += "DATA\r\n"
                transaction.expected.append(.data)
            }
        }
        phase = transaction.hasContentBegun ? .content : .mail
        self.transaction = transaction
        return [.write(text)] + actions
    }

    /// With LMTP, a reply for each recipient would have to be told from one for none.
    private var usesChunking: Bool { settings.usesChunking && extensions.chunking && !settings.isLMTP }

    /// What the server cannot take, as a reply that it would give.
    private func problem(_ envelope: SMTPEnvelope) -> SMTPReply? {
        if let maximum = extensions.maximumSize, envelope.size > maximum {
            return SMTPReply(
                code: 552, lines: ["5.3.4 the message has \(envelope.size) bytes; the server takes \(maximum)"])
        }
        if envelope.needsUTF8, !extensions.smtpUTF8 {
            return SMTPReply(code: 553, lines: ["5.6.7 the server takes no addresses beyond ASCII (SMTPUTF8)"])
        }
        if envelope.isEightBit, !extensions.eightBitMIME {
            return SMTPReply(code: 554, lines: ["5.6.3 the server takes no bytes above 127 (8BITMIME)"])
        }
        guard !envelope.recipients.isEmpty, ([envelope.sender] + envelope.recipients).allSatisfy(MailAddress.isSafePath)
        else { return SMTPReply(code: 553, lines: ["5.1.3 an address cannot be written in a command"]) }
        return nil
    }

    private func tellRecipient(_ index: Int, _ transaction: inout Transaction) -> String {
        transaction.told = index + 1
        transaction.expected.append(.recipient(index))
        return SMTPCommand.recipient(transaction.envelope.recipients[index], transaction.envelope, extensions)
    }

    private static func chunk(_ size: Int) -> String { "BDAT \(size) LAST\r\n" }

    /// The content follows; what is said about it has to be waited for.
    private func startContent(_ transaction: inout Transaction, dotStuffed: Bool) -> [Action] {
        transaction.hasContentBegun = true
        // With LMTP each accepted recipient gets a reply of its own (RFC 2033, section 4.2); who is accepted may not be known yet.
        if !settings.isLMTP { transaction.expected.append(.final(nil)) }
        return [.writeContent(dotStuffed: dotStuffed)]
    }

    private mutating func contentWritten() -> [Action] {
        guard transaction != nil else { return [] }
        transaction?.isContentWritten = true
        if phase == .content { phase = .final }
        return []
    }

    private mutating func receiveInTransaction(_ reply: SMTPReply) -> [Action] {
        guard var transaction else { return [] }
        guard let expected = transaction.expected.popFirst() ?? nextOfLMTP(&transaction) else {
            return end(
                SkeinError(.responseHeaderError, because: "the server answered what was not asked: \(reply)"),
                reply: nil)
                + [.close]
        }
        var actions: [Action] = []
        switch expected {
        case .mail:
            if !reply.isPositive {
                transaction.refuseAll(reply)
                self.transaction = transaction
                return finishIfOver()
            }
            phase = transaction.hasContentBegun ? phase : .recipients
            if transaction.told == 0 { actions.append(.write(tellRecipient(0, &transaction))) }
        case .recipient(let index):
            if reply.isPositive {
                // A server that refused the sender may accept recipients all the same.
                if transaction.results[index] == nil { transaction.accepted.append(index) }
            } else if transaction.results[index] == nil {
                transaction.results[index] = reply
            }
            let next = index + 1
            if next == transaction.told, next < transaction.results.count {
                actions.append(.write(tellRecipient(next, &transaction)))
            } else if next == transaction.results.count, !transaction.accepted.isEmpty, !transaction.hasContentBegun,
                transaction.expected.isEmpty
            {
                if usesChunking {
                    phase = .content
                    actions.append(.write(Self.chunk(transaction.envelope.size)))
                    actions += startContent(&transaction, dotStuffed: false)
                } else {
                    phase = .data
                    transaction.expected.append(.data)
                    actions.append(.write("DATA\r\n"))
                }
            } else if next == transaction.results.count, case .data? = transaction.expected.first {
                phase = .data
            }
        case .data:
            if reply.code == 354 {
                if transaction.accepted.isEmpty {
                    // Nobody is to get it (RFC 2920, section 3.1).
                    transaction.expected.append(.nothing)
                    actions.append(.write(".\r\n"))
                } else {
                    phase = .content
                    actions += startContent(&transaction, dotStuffed: true)
                }
            } else {
                // Anything but a refusal makes no sense here.
                transaction.refuseAll(reply.code < 400 ? Self.unexpected(reply) : reply)
            }
        case .final(let index):
            let reply = reply.code < 400 && !reply.isPositive ? Self.unexpected(reply) : reply
            for place in transaction.accepted where index == nil || index == place {
                transaction.results[place] = reply
            }
            if phase == .content, !transaction.isContentWritten {
                // The server does not want the rest, and the connection is in the middle of it.
                transaction.refuseAll(reply)
                self.transaction = transaction
                return end(Self.refusal(reply), reply: reply) + [.close]
            }
        case .nothing: break
        }
        self.transaction = transaction
        return actions + finishIfOver()
    }

    /// With LMTP, the accepted recipient whose reply comes next.
    private func nextOfLMTP(_ transaction: inout Transaction) -> Expected? {
        guard settings.isLMTP, transaction.hasContentBegun,
            let index = transaction.accepted.first(where: { transaction.results[$0] == nil })
        else { return nil }
        return .final(index)
    }

    /// Ends the transaction when everything was answered and everything is known.
    private mutating func finishIfOver() -> [Action] {
        guard let transaction, transaction.expected.isEmpty else { return [] }
        if transaction.results.contains(where: { $0 == nil }) { return [] }
        if transaction.hasContentBegun, !transaction.isContentWritten { return [] }
        let results = transaction.results.compactMap { $0.map { SMTPResult($0) } }
        let finish = Action.finish(results, isUncertain: false)
        let isClean = results.contains { if case .delivered = $0 { true } else { false } }
        self.transaction = nil
        if isClean {
            phase = .idle
            return [finish, .ready]
        }
        // What the server still remembers of the transaction must not become part of the next.
        phase = .reset
        return [finish, .write("RSET\r\n")]
    }

    // MARK: The end

    /// - Parameter reply: what the server has said last, when that is the reason.
    private mutating func end(_ error: SkeinError, reply: SMTPReply?) -> [Action] {
        let wasInUse = phase != .idle && phase != .reset && phase != .leaving
        phase = .closed
        guard var transaction else { return wasInUse ? [.fail(error)] : [] }
        self.transaction = nil
        let isUncertain =
            reply == nil && transaction.isContentWritten && transaction.results.contains { $0 == nil }
        let lost = reply ?? SMTPReply(code: 451, lines: ["4.4.2 \(error.message)"])
        transaction.refuseAll(lost)
        return [.finish(transaction.results.compactMap { $0.map { SMTPResult($0) } }, isUncertain: isUncertain)]
    }

    private static func refusal(_ reply: SMTPReply) -> SkeinError {
        SkeinError(
            .connectionFailed, because: "the server refuses the connection: \(reply)", cause: SMTPRefusal(reply: reply))
    }

    private static func unexpected(_ reply: SMTPReply) -> SMTPReply {
        SMTPReply(code: 451, lines: ["4.5.0 the server answered the content with \(reply)"])
    }
}

/// A server's no to a connection or a message.
struct SMTPRefusal: Error {
    let reply: SMTPReply
}
