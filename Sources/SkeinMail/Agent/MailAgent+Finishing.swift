// Handles the result of a delivery: records it, schedules a retry, or completes the message.

import SkeinCore

extension MailAgent {
    /// Records the results for the recipients of a destination, and continues with the message.
    func finish(
        _ entry: DeliverySchedule.Entry, _ part: Part, _ results: [Int: SMTPResult], _ destination: ByteKey
    ) async {
        let now = CivilTime.milliseconds
        var pending = part.recipients.filter { index in
            if case .deferred? = results[index] { true } else { results[index] == nil }
        }
        log(entry.id, part.file.envelope, results)
        var retry: Int?
        let attempts = Int(entry.attempts) + 1
        if !pending.isEmpty {
            var policy = RetryPolicy()
            policy.backoff = Backoff(first: configuration.firstRetry, longest: configuration.longestRetry)
            let isGreylisted = results.values.contains { $0.reply.isGreylisting }
            switch policy.decision(
                attempts: attempts, isGreylisted: isGreylisted, expires: part.file.envelope.expires, now: now)
            {
            case .at(let moment): retry = moment
            case .never: counters.expired += pending.count
            }
        }
        if retry == nil { pending = [] }
        // A message that was delivered to all at the first attempt, without observers, is deleted without marks.
        let isLast = retry == nil && ledger.isLast(entry.id)
        let isWhole =
            isLast && part.file.isUnobserved && results.count == part.file.marks.count
            && results.values.allSatisfy(\.isDelivered)
        let due = retry
        do {
            if !isWhole { try await onDisk { try Self.write(part, results, due: due, attempts: attempts, now) } }
        } catch {
            logger.error(
                "\(entry.id): the delivery results cannot be written, and deliveries may be repeated: \(error)")
        }
        if let retry {
            counters.deferred += pending.count
            var entry = entry
            entry.due = retry
            entry.attempts = UInt16(clamping: attempts)
            schedule.add(entry, to: destination)
        }
        if ledger.end(entry.id, isDone: retry == nil) == .settle {
            await settle(entry.id, isDelivered: isWhole ? part.file : nil)
        }
    }

    /// Marks recipients and records responses. On a thread.
    static func write(
        _ part: Part, _ results: [Int: SMTPResult], due: Int?, attempts: Int, _ now: Int
    ) throws(SkeinError) {
        let file = part.file
        var changes: [Int: SpoolFile.Mark] = [:]
        var notes: [SpoolFile.Note] = []
        for index in part.recipients {
            switch results[index] {
            case .delivered: changes[index] = .delivered
            case .refused(let reply):
                changes[index] = .failed
                notes.append(.init(moment: now, recipient: file.envelope.recipients[index], text: "\(reply)"))
            case .deferred(let reply):
                if due == nil { changes[index] = .failed }
                notes.append(.init(moment: now, recipient: file.envelope.recipients[index], text: "\(reply)"))
            case nil: if due == nil { changes[index] = .failed }
            }
        }
        if !changes.isEmpty { try file.mark(changes) }
        // If the message was released meanwhile, it is to be retried at once.
        if due == nil || !file.wasLetGo { try file.schedule(attempts: attempts, due: due ?? file.due) }
        file.note(notes, areLast: due == nil || changes.count == part.recipients.count)
        if !changes.isEmpty { try file.synchronize() }
    }

    /// Handles a delivery to an unreachable destination whose lifetime is over.
    func expire(_ entry: DeliverySchedule.Entry, at destination: ByteKey) async {
        switch ledger.start(entry.id, serial: entry.serial) {
        case .begin: break
        case .wait: return schedule.add(entry, to: destination)
        case .void: return
        }
        guard let part = try? await load(entry.id, destination) else {
            schedule.add(entry, to: destination)
            _ = ledger.end(entry.id, isDone: false)
            return
        }
        let reply = SMTPReply(
            code: 450, lines: ["4.4.7 the destination could not be reached until the message expired"])
        await finish(
            entry, part, Dictionary(uniqueKeysWithValues: part.recipients.map { ($0, .deferred(reply)) }), destination)
    }

    /// Completes a message: every recipient has it, or has failed.
    func settle(_ id: MailID, isDelivered whole: SpoolFile? = nil) async {
        let (name, logger) = (configuration.name, logger)
        do {
            let failed = try await onDisk { [spool] in try spool.settle(id, isDelivered: whole, name: name, logger) }
            counters.failed += failed
            ledger.settled(id)
        } catch {
            // Without room for the report, the message stays until there is some.
            logger.error("\(id) cannot be finished; the next attempt is in five minutes: \(error)")
            ledger.unsettled(id)
            Task {
                try? await Task.sleep(for: .seconds(300))
                if !self.isStopping, self.ledger.settleAgain(id) { await self.settle(id) }
            }
        }
    }

    func log(_ id: MailID, _ envelope: SpooledEnvelope, _ results: [Int: SMTPResult]) {
        for (index, result) in results {
            switch result {
            case .delivered:
                counters.delivered += 1
                logger.info("\(id) to \(envelope.recipients[index]) delivered: \(result.reply)")
            case .deferred: logger.info("\(id) to \(envelope.recipients[index]) waits: \(result.reply)")
            case .refused: logger.warning("\(id) to \(envelope.recipients[index]) failed: \(result.reply)")
            }
        }
    }
}

extension SMTPResult {
    fileprivate var isDelivered: Bool { if case .delivered = self { true } else { false } }
}
