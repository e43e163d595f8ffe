// One message on a connection: its commands, and the matching of replies to them.

import DequeModule
import SkeinCore

extension SMTPClientMachine {
    /// The command that a reply answers.
    enum Expected {
        case mail, recipient(Int), data
        /// The end of the content, for one recipient or for all that were accepted.
        case final(Int?)
        /// The end of a content without recipients.
        case nothing
    }

    struct Transaction {
        let envelope: SMTPEnvelope
        var expected = Deque<Expected>()
        var results: [SMTPReply?]
        var accepted: [Int] = []
        /// The number of recipients sent to the server.
        var told = 0
        var hasContentBegun = false
        var isContentWritten = false

        init(_ envelope: SMTPEnvelope) {
            self.envelope = envelope
            results = Array(repeating: nil, count: envelope.recipients.count)
        }

        /// The results known so far.
        var known: [SMTPResult] { results.compactMap { $0.map { SMTPResult($0) } } }

        mutating func refuseAll(_ reply: SMTPReply) {
            for index in results.indices where results[index] == nil { results[index] = reply }
            accepted = []
        }
    }

    mutating func begin(_ envelope: SMTPEnvelope) -> [Action] {
        if let reply = problem(envelope) {
            return [.finish(envelope.recipients.map { _ in SMTPResult(reply) }, .certain)]
        }
        var transaction = Transaction(envelope)
        transaction.expected.append(.mail)
        var text = SMTPCommand.mail(envelope, extensions)
        var actions: [Action] = []
        if extensions.pipelining {
            for index in envelope.recipients.indices { text += tellRecipient(index, &transaction) }
            // Short content is sent before the replies for the recipients are known; long content waits for them.
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

    /// With LMTP, a reply for each recipient could not be distinguished from one for none.
    private var usesChunking: Bool { settings.usesChunking && extensions.chunking && !settings.isLMTP }

    /// The reason why the server cannot accept the message, in the form of a reply.
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

    /// The content follows; its replies are expected.
    private func startContent(_ transaction: inout Transaction, dotStuffed: Bool) -> [Action] {
        transaction.hasContentBegun = true
        // With LMTP each accepted recipient gets its own reply (RFC 2033, section 4.2); the accepted ones may not be
        // known yet.
        if !settings.isLMTP { transaction.expected.append(.final(nil)) }
        return [.writeContent(dotStuffed: dotStuffed)]
    }

    mutating func contentWritten() -> [Action] {
        guard transaction != nil else { return [] }
        transaction?.isContentWritten = true
        if phase == .content { phase = .final }
        return []
    }

    mutating func receiveInTransaction(_ reply: SMTPReply) -> [Action] {
        guard var transaction else { return [] }
        guard let expected = transaction.expected.popFirst() ?? nextOfLMTP(&transaction) else {
            return end(
                SkeinError(.responseHeaderError, because: "the server sent an unsolicited reply: \(reply)"),
                reply: nil)
                + [.close]
        }
        var actions: [Action] = []
        switch expected {
        case .mail:
            if !reply.isPositive {
                transaction.refuseAll(reply.code < 400 ? Self.unexpected(reply) : reply)
                self.transaction = transaction
                return finishIfOver()
            }
            phase = transaction.hasContentBegun ? phase : .recipients
            if transaction.told == 0 { actions.append(.write(tellRecipient(0, &transaction))) }
        case .recipient(let index):
            if reply.isPositive {
                // A server that refused the sender may nevertheless accept recipients.
                if transaction.results[index] == nil { transaction.accepted.append(index) }
            } else if transaction.results[index] == nil {
                transaction.results[index] = reply.code < 400 ? Self.unexpected(reply) : reply
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
                    // No recipient was accepted (RFC 2920, section 3.1).
                    transaction.expected.append(.nothing)
                    actions.append(.write(".\r\n"))
                } else {
                    phase = .content
                    actions += startContent(&transaction, dotStuffed: true)
                }
            } else {
                // Only a refusal is valid here.
                transaction.refuseAll(reply.code < 400 ? Self.unexpected(reply) : reply)
            }
        case .final(let index):
            // A positive reply before the content was sent is invalid.
            let isEarly = phase == .content && !transaction.isContentWritten
            let reply = reply.code < 400 && (isEarly || !reply.isPositive) ? Self.unexpected(reply) : reply
            for place in transaction.accepted where index == nil || index == place {
                transaction.results[place] = reply
            }
            if isEarly {
                // The server does not want the rest, but the content is only partly written.
                transaction.refuseAll(reply)
                self.transaction = transaction
                return end(Self.refusal(reply), reply: reply) + [.close]
            }
        case .nothing: break
        }
        self.transaction = transaction
        return actions + finishIfOver()
    }

    /// With LMTP, the accepted recipient of the next reply.
    private func nextOfLMTP(_ transaction: inout Transaction) -> Expected? {
        guard settings.isLMTP, transaction.hasContentBegun,
            let index = transaction.accepted.first(where: { transaction.results[$0] == nil })
        else { return nil }
        return .final(index)
    }

    /// Ends the transaction when all replies have arrived.
    private mutating func finishIfOver() -> [Action] {
        guard let transaction, transaction.expected.isEmpty else { return [] }
        if transaction.results.contains(where: { $0 == nil }) { return [] }
        if transaction.hasContentBegun, !transaction.isContentWritten { return [] }
        if transaction.known.contains(where: { if case .delivered = $0 { true } else { false } }) {
            self.transaction = nil
            phase = .idle
            return [.finish(transaction.known, .certain), .ready]
        }
        // The server's state of this transaction must not affect the next one.
        phase = .reset
        return [.write("RSET\r\n")]
    }

    private static func unexpected(_ reply: SMTPReply) -> SMTPReply {
        SMTPReply(code: 451, lines: ["4.5.0 the server answered with \(reply), which makes no sense here"])
    }
}
