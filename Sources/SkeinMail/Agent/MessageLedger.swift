// The messages of an agent and their state: a value without clock and files.
//
// A message is taken in, delivered to each of its destinations, and completed. A person may release it again at any
// time, which moves its file to the new ones: then it is taken in again, but not while it is being delivered, and
// deliveries scheduled earlier are void.

import SkeinCore

/// The messages of an agent.
struct MessageLedger {
    /// The action for a delivery that is due.
    enum Start: Equatable {
        case begin
        /// The message is being taken in; wait until that is done.
        case wait
        /// It was scheduled before the message was taken in again, or the message is gone.
        case void
    }

    /// The action after a delivery.
    enum End: Equatable {
        case nothing
        /// The message is complete, and has no other activity: `settled` or `unsettled` follows.
        case settle
    }

    private struct Message {
        let serial: UInt32
        /// Deliveries in progress, and the completion of the message.
        var running = 0
        /// Destinations with a pending recipient.
        var pending: Int
        /// Whether its file was removed.
        var isGone = false
    }

    private var messages: [MailID: Message] = [:]
    private var taking: Set<MailID> = []
    private var lastSerial: UInt32 = 0

    /// The number of messages.
    var count: Int { messages.count }

    func isKnown(_ id: MailID) -> Bool { messages[id] != nil }

    /// Whether a message has no activity, so that it can be taken in.
    func isFree(_ id: MailID) -> Bool { messages[id]?.running ?? 0 == 0 && !taking.contains(id) }

    // MARK: Intake

    /// Files are about to be read; no delivery of these messages starts meanwhile.
    mutating func beginTaking(_ ids: [MailID]) { taking.formUnion(ids) }

    /// They were read, and valid ones were taken in.
    mutating func endTaking(_ ids: [MailID]) { taking.subtract(ids) }

    /// A message is taken in.
    /// - Parameter destinations: the number of its destinations.
    /// - Returns: the number of the intake for its deliveries; nil when there are no destinations, so that it is
    ///   completed.
    mutating func take(_ id: MailID, destinations: Int) -> UInt32? {
        lastSerial &+= 1
        messages[id] = Message(serial: lastSerial, running: destinations == 0 ? 1 : 0, pending: destinations)
        return destinations == 0 ? nil : lastSerial
    }

    // MARK: Delivery

    /// A delivery is due.
    mutating func start(_ id: MailID, serial: UInt32) -> Start {
        guard let message = messages[id], message.serial == serial, !message.isGone else { return .void }
        guard !taking.contains(id) else { return .wait }
        // Concurrent deliveries are to different destinations, and none starts while the message is completed.
        guard message.running < message.pending else { return .void }
        messages[id]?.running += 1
        return .begin
    }

    /// Whether the current delivery is to the last pending destination.
    func isLast(_ id: MailID) -> Bool { messages[id]?.pending == 1 }

    /// A delivery has ended.
    /// - Parameters:
    ///   - isDone: whether no recipient of the destination is pending any more.
    ///   - isGone: whether the file was removed.
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

    /// The file is gone, or is not handled any more.
    mutating func settled(_ id: MailID) { messages[id] = nil }

    /// There was no room to record the completion.
    mutating func unsettled(_ id: MailID) { messages[id]?.running = 0 }

    /// The completion is tried again, unless the message has been taken in again since.
    mutating func settleAgain(_ id: MailID) -> Bool {
        guard let message = messages[id], message.running == 0, message.pending == 0, !taking.contains(id) else {
            return false
        }
        messages[id]?.running = 1
        return true
    }
}
