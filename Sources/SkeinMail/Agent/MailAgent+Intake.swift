// Takes messages from the spool into the agent.

import Logging
import SkeinCore

extension MailAgent {
    /// A message with the destinations of its pending recipients.
    struct Taken: Sendable {
        let id: MailID
        var due = 0
        var attempts = 0
        var expires = 0
        var priority = MailMessage.Priority.normal
        var destinations: [String] = []
    }

    /// Takes in the messages that are in the queue at the start.
    func scan() async {
        let names = (try? await onDisk { [spool] in spool.names(.queue) }) ?? []
        for start in stride(from: 0, to: names.count, by: 200) where !Task.isCancelled {
            let part = Array(names[start..<min(start + 200, names.count)]).filter {
                !ledger.isKnown($0) && ledger.isFree($0)
            }
            await take(part, from: .queue)
        }
    }

    /// Takes in new messages.
    /// - Returns: whether there may be more.
    func takeIn() async -> Bool {
        let limit = 500
        let skipped = unreadable
        let names = (try? await onDisk { [spool] in spool.names(.new, limit: limit) { !skipped.contains($0) } }) ?? []
        // A message in delivery that was released by a person waits for the end of the delivery.
        let free = names.filter { ledger.isFree($0) }
        await take(free, from: .new)
        return names.count == limit && !free.isEmpty
    }

    func take(_ names: [MailID], from state: MailSpool.State) async {
        guard !names.isEmpty else { return }
        let relay = configuration.relay
        // Their deliveries do not start meanwhile.
        ledger.beginTaking(names)
        defer { ledger.endTaking(names) }
        let results: [(MailID, Result<Taken?, SkeinError>)]? = try? await onDisk { [spool] in
            names.map { id in
                (id, Result { () throws(SkeinError) in try Self.take(id, from: state, spool, relay) })
            }
        }
        for (id, result) in results ?? [] {
            switch result {
            case .success(let message?): begin(message)
            case .success(nil): break  // deleted, or a duplicate by its key
            case .failure(let error): refuse(id, in: state, error)
            }
        }
    }

    private func begin(_ message: Taken) {
        guard let serial = ledger.take(message.id, destinations: message.destinations.count) else {
            Task { await self.settle(message.id) }
            return
        }
        for destination in message.destinations {
            let entry = DeliverySchedule.Entry(
                id: message.id, due: message.due, expires: UInt32(clamping: message.expires / 1000), serial: serial,
                attempts: UInt16(clamping: message.attempts), priority: UInt8(message.priority.rawValue))
            schedule.add(entry, to: ByteKey(destination))
        }
    }

    /// Logs an invalid file, once; a file that is not a message is moved aside.
    private func refuse(_ id: MailID, in state: MailSpool.State, _ error: SkeinError) {
        guard !error.isMissingFile else { return }
        if error.code == .bodyError {
            logger.error("\(id) is moved to failed: \(error)")
            _ = spool.move(id, from: state, to: .failed)
        } else if unreadable.count < 10_000, unreadable.insert(id).inserted {
            logger.error("\(id) cannot be queued; the next attempt is in an hour: \(error)")
        }
    }

    /// Moves a message into the queue, and reads its destinations. On a thread.
    static func take(
        _ id: MailID, from state: MailSpool.State, _ spool: MailSpool, _ relay: String?
    ) throws(SkeinError) -> Taken? {
        let file = try SpoolFile(spool.path(state, id), readingAhead: 4 << 10)
        let envelope = file.envelope
        if state == .new {
            // Of two messages with one key, the first one counts.
            if envelope.isKeyed, file.attempts == 0, file.due != 0, spool.isKnown(id, besides: .new) {
                _ = spool.remove(id, from: .new, bytes: file.storedLength)
                return nil
            }
            guard spool.move(id, from: .new, to: .queue) else { return nil }
        }
        var taken = Taken(
            id: id, due: file.due, attempts: file.attempts, expires: envelope.expires, priority: envelope.priority)
        // A clock that was set back must not delay a message for longer than the longest delay.
        let now = CivilTime.milliseconds
        if file.attempts > 0 || envelope.notBefore == envelope.created {
            taken.due = min(taken.due, now + 5 * 3600 * 1000)
        }
        var seen: Set<ByteKey> = []
        for (index, mark) in file.marks.enumerated() where mark == .pending {
            let destination = destination(of: envelope.recipients[index], envelope, relay)
            if seen.insert(ByteKey(destination)).inserted { taken.destinations.append(destination) }
        }
        return taken
    }

    /// The destination of a recipient: a URL or a domain.
    static func destination(of recipient: String, _ envelope: SpooledEnvelope, _ relay: String?) -> String {
        if let relay = envelope.relay ?? relay { return relay }
        return recipient.lastByte("@").map { String(recipient.text(after: $0)) } ?? recipient
    }
}
