// What has become of a message: written down, tried again, or brought to its end.

import SkeinCore

extension MailAgent {
    /// Writes down what has become of the recipients of a destination, and goes on with the message.
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
        // A message that all have got at once, and of which nobody is told, goes without marks.
        let isLast = retry == nil && messages[entry.id]?.pending == 1
        let isWhole =
            isLast && part.file.isUnobserved && results.count == part.file.marks.count
            && results.values.allSatisfy(\.isDelivered)
        let due = retry
        do {
            if !isWhole { try await onDisk { try Self.write(part, results, due: due, attempts: attempts, now) } }
        } catch {
            logger.error("\(entry.id): what was done cannot be written down, and may be done again: \(error)")
        }
        if let retry {
            counters.deferred += pending.count
            var entry = entry
            entry.due = retry
            entry.attempts = UInt16(clamping: attempts)
            schedule.add(entry, to: destination)
        } else {
            messages[entry.id]?.pending -= 1
        }
        if messages[entry.id]?.pending == 0, messages[entry.id]?.running == 1 {
            await settle(entry.id, isDelivered: isWhole ? part.file : nil)
        } else {
            release(entry.id, isGone: false)
        }
    }

    /// Marks recipients and notes what was said. On a thread.
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
        try file.schedule(attempts: attempts, due: due ?? file.due)
        file.note(notes, areLast: due == nil)
        if !changes.isEmpty { try file.synchronize() }
    }

    /// What waits for a destination that cannot be reached, and has no time left.
    func expire(_ entry: DeliverySchedule.Entry, at destination: ByteKey) async {
        guard let message = messages[entry.id], message.serial == entry.serial else { return }
        messages[entry.id]?.running += 1
        guard !taking.contains(entry.id), let part = try? await load(entry.id, destination) else {
            return release(entry.id, isGone: false)
        }
        let reply = SMTPReply(
            code: 450, lines: ["4.4.7 the destination could not be reached until the message expired"])
        await finish(
            entry, part, Dictionary(uniqueKeysWithValues: part.recipients.map { ($0, .deferred(reply)) }), destination)
    }

    /// One thing less is done with a message.
    /// - Parameter isGone: whether its file is not the agent's any more; what else is done with it goes on to its end.
    func release(_ id: MailID, isGone: Bool) {
        guard let message = messages[id], message.running > 0 else { return }
        messages[id]?.isGone = message.isGone || isGone
        messages[id]?.running -= 1
        if message.running == 1, message.isGone || isGone || message.pending == 0 { messages[id] = nil }
    }

    /// The end of a message: everybody has got it, or will not.
    func settle(_ id: MailID, isDelivered whole: SpoolFile? = nil) async {
        let (name, logger) = (configuration.name, logger)
        do {
            let failed = try await onDisk { [spool] in try spool.settle(id, isDelivered: whole, name: name, logger) }
            counters.failed += failed
            release(id, isGone: true)
        } catch {
            // Without room for the report, the message stays until there is some.
            logger.error("\(id) cannot be brought to its end, and is looked at again in five minutes: \(error)")
            messages[id]?.running = 0
            Task {
                try? await Task.sleep(for: .seconds(300))
                guard let message = self.messages[id], message.running == 0, message.pending == 0, !self.isStopping
                else { return }
                self.messages[id]?.running = 1
                await self.settle(id)
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
