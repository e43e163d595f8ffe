// Which messages an agent has, and what is done with each: a value without clock and files.
//
// A message is taken in, delivered to each of its destinations, and brought to its end. A person may let it go again at any time, which
// puts its file among the new ones: then it is taken in anew, but never while something is done with it, and what was planned before is void.

import SkeinCore

/// The messages of an agent.
struct MessageLedger {
    /// What to do with a delivery that is due.
    enum Start: Equatable {
        case begin
        /// The message is being taken in; whether this is still planned is known when that is over.
        case wait
        /// It was planned before the message was taken in anew, or the message is gone.
        case void
    }

    /// What to do when a delivery has ended.
    enum End: Equatable {
        case nothing
        /// The message has come to its end, and nothing else is done with it: `settled` or `unsettled` follows.
        case settle
    }

    private struct Message {
        let serial: UInt32
        /// Deliveries under way, and the end of the message.
        var running = 0
        /// Destinations of which a recipient is pending.
        var pending: Int
        /// Whether its file was taken away.
        var isGone = false
    }

    private var messages: [MailID: Message] = [:]
    private var taking: Set<MailID> = []
    private var lastSerial: UInt32 = 0

    /// Messages that it has.
    var count: Int { messages.count }

    func isKnown(_ id: MailID) -> Bool { messages[id] != nil }

    /// Whether nothing is done with a message, so that it can be taken in.
    func isFree(_ id: MailID) -> Bool { messages[id]?.running ?? 0 == 0 && !taking.contains(id) }

    // MARK: Taking in

    /// Files are about to be read; nothing begins with these messages meanwhile.
    mutating func beginTaking(_ ids: [MailID]) { taking.formUnion(ids) }

    /// They were read, and those that are the agent's were taken.
    mutating func endTaking(_ ids: [MailID]) { taking.subtract(ids) }

    /// A message is the agent's.
    /// - Parameter destinations: to how many destinations it is to be delivered.
    /// - Returns: the number that its deliveries bear; nil when there is none, so that the message is to be settled.
    mutating func take(_ id: MailID, destinations: Int) -> UInt32? {
        lastSerial &+= 1
        messages[id] = Message(serial: lastSerial, running: destinations == 0 ? 1 : 0, pending: destinations)
        return destinations == 0 ? nil : lastSerial
    }

    // MARK: Delivering

    /// A delivery is due.
    mutating func start(_ id: MailID, serial: UInt32) -> Start {
        guard let message = messages[id], message.serial == serial, !message.isGone else { return .void }
        guard !taking.contains(id) else { return .wait }
        // Each delivery under way is to a destination of its own, and none begins while the message is brought to its end.
        guard message.running < message.pending else { return .void }
        messages[id]?.running += 1
        return .begin
    }

    /// Whether a delivery under way is to the last destination that is pending.
    func isLast(_ id: MailID) -> Bool { messages[id]?.pending == 1 }

    /// A delivery has ended.
    /// - Parameters:
    ///   - isDone: whether nobody of the destination is pending any more.
    ///   - isGone: whether the file was taken away.
    mutating func end(_ id: MailID, isDone: Bool, isGone: Bool = false) -> End {
        guard var message = messages[id], message.running > 0 else { return .nothing }
        if isDone { message.pending = max(0, message.pending - 1) }
        message.isGone = message.isGone || isGone
        if message.running == 1, message.pending == 0, !message.isGone {
            messages[id] = message
            return .settle
        }
        message.running -= 1
        messages[id] = message.running == 0 && message.isGone ? nil : message
        return .nothing
    }

    // MARK: The end

    /// The file is gone, or nobody looks at it any more.
    mutating func settled(_ id: MailID) { messages[id] = nil }

    /// There was no room for what has to be written at the end.
    mutating func unsettled(_ id: MailID) { messages[id]?.running = 0 }

    /// It is tried again, unless the message has been taken in anew since.
    mutating func settleAgain(_ id: MailID) -> Bool {
        guard let message = messages[id], message.running == 0, message.pending == 0, !taking.contains(id) else {
            return false
        }
        messages[id]?.running = 1
        return true
    }
}
