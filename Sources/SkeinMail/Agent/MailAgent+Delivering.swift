// How a message gets from the spool to a server.

import NIOCore
import SkeinCore

extension MailAgent {
    /// Begins what the schedule wants to begin.
    func pump() {
        guard !isStopping, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        for (destination, entry) in schedule.start(at: CivilTime.milliseconds) {
            guard let message = messages[entry.id], message.serial == entry.serial else {
                _ = schedule.ended(destination, .void, at: CivilTime.milliseconds)
                continue
            }
            messages[entry.id]?.running += 1
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

    /// What is sent of a message to one destination.
    struct Part: Sendable {
        let file: SpoolFile
        /// The places of the recipients in the envelope.
        let recipients: [Int]
    }

    func deliver(_ entry: DeliverySchedule.Entry, to destination: ByteKey) async -> DeliverySchedule.Verdict {
        let (relay, logger) = (configuration.relay, logger)
        let loaded: Result<Part, SkeinError>? = try? await onDisk { [spool] in
            do throws(SkeinError) {
                let file = try SpoolFile(spool.path(.queue, entry.id))
                let recipients = file.marks.indices.filter { index in
                    file.marks[index] == .pending
                        && Self.destination(of: file.envelope.recipients[index], file.envelope, relay)
                            .equalsBytes(destination.text)
                }
                return .success(Part(file: file, recipients: recipients))
            } catch {
                Self.giveUp(entry.id, in: .queue, spool, error, logger)
                return .failure(error)
            }
        }
        guard case .success(let part)? = loaded else {
            if case .failure(let error)? = loaded, error.code == .bodyError || error.isMissingFile {
                // Somebody has taken it away, or it was put aside.
                release(entry.id, isGone: true)
            } else {
                // The disk, or the limit of open files: the message is still there.
                var entry = entry
                entry.due = CivilTime.milliseconds + 60_000
                schedule.add(entry, to: destination)
                release(entry.id, isGone: false)
            }
            return .void
        }
        guard !part.recipients.isEmpty else {
            await finish(entry, part, [:], destination)
            return .void
        }
        var results: [Int: SMTPResult] = [:]
        var verdict = DeliverySchedule.Verdict.good
        for start in stride(from: 0, to: part.recipients.count, by: 50) {
            let recipients = Array(part.recipients[start..<min(start + 50, part.recipients.count)])
            let (said, how) = await transfer(part.file, recipients, to: destination)
            for (index, result) in zip(recipients, said) { results[index] = result }
            verdict = how
            guard case .good = how else { break }
        }
        await finish(entry, part, results, destination)
        return verdict
    }

    /// Sends a message to recipients of one destination.
    func transfer(
        _ file: SpoolFile, _ recipients: [Int], to destination: ByteKey
    ) async -> ([SMTPResult], DeliverySchedule.Verdict) {
        var envelope = SMTPEnvelope(
            sender: file.envelope.sender, recipients: recipients.map { file.envelope.recipients[$0] }, size: file.size)
        envelope.isEightBit = file.envelope.isEightBit
        envelope.needsUTF8 = file.envelope.needsUTF8
        envelope.notify = file.envelope.notify
        func all(_ result: SMTPResult) -> [SMTPResult] { recipients.map { _ in result } }
        // A connection that waited may have ended without a word: then nothing was sent, and another one is made.
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
            guard let content = content(of: file) else {
                connections.giveBack(connection, to: destination)
                return (
                    all(
                        .refused(SMTPReply(code: 554, lines: ["5.3.0 the message in the spool is not what was stored"]))
                    ), .good
                )
            }
            guard let outcome = try? await connection.send(envelope, content).get() else { continue }
            if isReused, !isFresh, !connection.isIdle, !outcome.isUncertain, outcome.results.allSatisfy(\.isLost) {
                continue
            }
            connections.giveBack(connection, to: destination)
            if outcome.isUncertain {
                counters.uncertain += 1
                logger.warning(
                    "\(connection.peer) has ended the connection behind the message: it may have taken it, and will get it again"
                )
            }
            return (outcome.results, Self.verdict(outcome))
        }
        return (all(.deferred(SMTPReply(code: 451, lines: ["4.4.2 the connection was lost"]))), .good)
    }

    /// The bytes to send; nil when they are not what was stored.
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
            // A server that turns everybody away may be there again; a domain that takes no mail will not.
            if skein.code == .dnsNotFound { return .refused(refusal.reply) }
            return .deferred(SMTPReply(code: 450, lines: ["4.4.1 \(skein.message)"]))
        }
        let code = skein.code == .dnsNotFound ? "4.4.3" : skein.code == .unknownAuthentication ? "4.7.8" : "4.4.1"
        return .deferred(SMTPReply(code: 450, lines: ["\(code) \(skein.peer.map { "\($0): " } ?? "")\(skein.message)"]))
    }

    /// What the answers say about the destination.
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
    /// Whether it is what is said when the connection has ended.
    fileprivate var isLost: Bool {
        guard case .deferred(let reply) = self else { return false }
        return reply.code == 421 || reply.enhancedCode?.equalsBytes("4.4.2") == true
    }
}

extension SMTPReply {
    /// Whether the server wants to see whether it is tried again.
    var isGreylisting: Bool {
        isTemporary
            && lines.contains { line in
                ["greylist", "graylist", "grey-list", "gray-list", "grey list"].contains {
                    line.asciiLowercased.containsBytes($0)
                }
            }
    }
}
