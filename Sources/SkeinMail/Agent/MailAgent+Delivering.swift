// Delivers a message from the spool to a server.

import NIOCore
import SkeinCore

extension MailAgent {
    /// Starts the deliveries that the schedule allows.
    func pump() {
        guard !isStopping, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        for (destination, entry) in schedule.start(at: CivilTime.milliseconds) {
            switch ledger.start(entry.id, serial: entry.serial) {
            case .begin: break
            case .wait:
                _ = schedule.ended(destination, .void, at: CivilTime.milliseconds)
                var later = entry
                later.due = CivilTime.milliseconds + 200
                schedule.add(later, to: destination)
                continue
            case .void:
                _ = schedule.ended(destination, .void, at: CivilTime.milliseconds)
                continue
            }
            running += 1
            Task {
                let verdict = await self.deliver(entry, to: destination)
                self.running -= 1
                for expired in self.schedule.ended(destination, verdict, at: CivilTime.milliseconds) {
                    Task { await self.expire(expired, at: destination) }
                }
                self.pump()
            }
        }
    }

    /// The part of a message for one destination.
    struct Part: Sendable {
        let file: SpoolFile
        /// The indices of the recipients in the envelope.
        let recipients: [Int]
    }

    /// Opens a message, and finds the pending recipients of a destination.
    func load(_ id: MailID, _ destination: ByteKey) async throws -> Part {
        let relay = configuration.relay
        return try await onDisk { [spool] in
            let file = try SpoolFile(spool.path(.queue, id))
            let recipients = file.marks.indices.filter { index in
                file.marks[index] == .pending
                    && Self.destination(of: file.envelope.recipients[index], file.envelope, relay)
                        .equalsBytes(destination.text)
            }
            return Part(file: file, recipients: recipients)
        }
    }

    func deliver(_ entry: DeliverySchedule.Entry, to destination: ByteKey) async -> DeliverySchedule.Verdict {
        let part: Part
        do {
            part = try await load(entry.id, destination)
        } catch {
            let isGone = (error as? SkeinError).map { $0.code == .bodyError || $0.isMissingFile } ?? false
            if !isGone {
                // A disk error, or the limit of open files: the message still exists.
                logger.error("\(entry.id) cannot be read; the next attempt is in a minute: \(error)")
                var entry = entry
                entry.due = CivilTime.milliseconds + 60_000
                schedule.add(entry, to: destination)
            } else if (error as? SkeinError)?.code == .bodyError {
                logger.error("\(entry.id) is moved to failed: \(error)")
                _ = spool.move(entry.id, from: .queue, to: .failed)
            }
            _ = ledger.end(entry.id, isDone: false, isGone: isGone)
            return .void
        }
        guard !part.recipients.isEmpty else {
            await finish(entry, part, [:], destination)
            return .void
        }
        let envelope = part.file.envelope
        if CivilTime.milliseconds >= envelope.expires, envelope.isShortLived {
            let reply = SMTPReply(code: 450, lines: ["4.4.7 the message has expired before it could be sent"])
            await finish(
                entry, part, Dictionary(uniqueKeysWithValues: part.recipients.map { ($0, .deferred(reply)) }),
                destination)
            return .void
        }
        var results: [Int: SMTPResult] = [:]
        var verdict = DeliverySchedule.Verdict.good
        for start in stride(from: 0, to: part.recipients.count, by: 50) {
            let recipients = Array(part.recipients[start..<min(start + 50, part.recipients.count)])
            let (said, how) = await transfer(part.file, recipients, to: destination)
            for (index, result) in zip(recipients, said) { results[index] = result }
            verdict = how
            guard case .good = how, start + 50 < part.recipients.count else { break }
            // Results are on the disk before the next part is sent.
            let chunk = Part(file: part.file, recipients: recipients.filter { results[$0]?.isFinal == true })
            let (known, now) = (results, CivilTime.milliseconds)
            do {
                try await onDisk { try Self.write(chunk, known, due: entry.due, attempts: Int(entry.attempts), now) }
            } catch {
                logger.error("\(entry.id): the delivery results cannot be written: \(error)")
            }
            if isStopping { break }
        }
        await finish(entry, part, results, destination)
        return verdict
    }

    /// Sends a message to the recipients of one destination.
    func transfer(
        _ file: SpoolFile, _ recipients: [Int], to destination: ByteKey
    ) async -> ([SMTPResult], DeliverySchedule.Verdict) {
        var envelope = SMTPEnvelope(
            sender: file.envelope.sender, recipients: recipients.map { file.envelope.recipients[$0] }, size: file.size)
        envelope.isEightBit = file.envelope.isEightBit
        envelope.needsUTF8 = file.envelope.needsUTF8 || envelope.hasUTF8
        envelope.notify = file.envelope.notify
        if envelope.notify != nil, !file.envelope.messageID.isEmpty { envelope.envelopeID = file.envelope.messageID }
        func all(_ result: SMTPResult) -> [SMTPResult] { recipients.map { _ in result } }
        // An idle connection may have been closed: then nothing was sent, and a new one is opened.
        for isFresh in [false, true] {
            let connection: SMTPConnection
            do {
                if !isFresh, let waiting = connections.reuse(destination) {
                    connection = waiting
                } else {
                    let servers = try await routes.servers(of: destination.text, on: loop)
                    if case .folder(let folder)? = servers.first?.target {
                        let path = try await onDisk { try file.export(to: folder) }
                        return (all(.delivered(SMTPReply(code: 250, lines: ["2.0.0 written to \(path)"]))), .good)
                    }
                    connection = try await connections.connect(servers)
                }
            } catch {
                let result = Self.result(of: error)
                if case .refused = result { return (all(result), .good) }
                return (all(result), .unreachable)
            }
            let isReused = connection.count > 0
            let broken = SMTPResult.refused(
                SMTPReply(code: 554, lines: ["5.3.0 the message in the spool is not what was stored"]))
            guard let content = content(of: file) else {
                connections.giveBack(connection, to: destination)
                return (all(broken), .good)
            }
            guard let outcome = try? await connection.send(envelope, content).get() else { continue }
            connections.giveBack(connection, to: destination)
            if (content as? FileContent)?.isBroken == true { return (all(broken), .good) }
            switch outcome.fate {
            case .notBegun where isReused && !isFresh: continue
            case .uncertain:
                counters.uncertain += 1
                logger.warning(
                    "\(connection.peer) closed the connection after the message: it may have accepted it, and will get it again"
                )
            case .certain, .notBegun: break
            }
            return (outcome.results, Self.verdict(outcome))
        }
        return (all(.deferred(SMTPReply(code: 451, lines: ["4.4.2 the connection was lost"]))), .good)
    }

    /// The bytes to send; nil when the checksum is wrong.
    func content(of file: SpoolFile) -> (any SMTPContent)? {
        guard let short = file.shortContent else { return FileContent(file, pool) }
        var check = SpoolFile.Check()
        check.update(short)
        guard file.isIntact(check) else { return nil }
        var whole = ByteBuffer()
        whole.reserveCapacity(file.size)
        whole.writeString(file.envelope.prefix)
        whole.writeBytes(short)
        return MemoryContent([whole])
    }

    static func result(of error: any Error) -> SMTPResult {
        let skein = error as? SkeinError ?? SkeinError(.exception, because: "\(error)")
        if let refusal = skein.cause as? SMTPRefusal {
            // An unreachable server may come back; a domain without mail servers will not.
            if skein.code == .dnsNotFound { return .refused(refusal.reply) }
            return .deferred(SMTPReply(code: 450, lines: ["4.4.1 \(skein.message)"]))
        }
        let code = skein.code == .dnsNotFound ? "4.4.3" : skein.code == .unknownAuthentication ? "4.7.8" : "4.4.1"
        return .deferred(SMTPReply(code: 450, lines: ["\(code) \(skein.peer.map { "\($0): " } ?? "")\(skein.message)"]))
    }

    /// The result for the destination, from the responses.
    static func verdict(_ outcome: SMTPOutcome) -> DeliverySchedule.Verdict {
        let isThrottled = outcome.results.allSatisfy { result in
            guard case .deferred(let reply) = result, !reply.isGreylisting else { return false }
            return reply.code == 421
                || ["4.3.", "4.4.", "4.7."].contains { reply.enhancedCode?.hasBytePrefix($0) == true }
        }
        return isThrottled ? .throttled : .good
    }
}

extension SMTPResult {
    /// Whether there is no further attempt.
    fileprivate var isFinal: Bool { if case .deferred = self { false } else { true } }
}

extension SMTPReply {
    /// Whether the server greylists.
    var isGreylisting: Bool {
        isTemporary
            && lines.contains { line in
                ["greylist", "graylist", "grey-list", "gray-list", "grey list"].contains {
                    line.asciiLowercased.containsBytes($0)
                }
            }
    }
}
