// Whether a connection is read: the set of reasons to pause reading. The connection is read while the set is empty.

import NIOCore

/// The reasons for which the reading of a connection is paused.
package struct ReadGate {
    package struct Reason: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The consumer of the content is slower than the peer.
        package static let consumer = Reason(rawValue: 1)
        /// Too many bytes of later requests or responses are buffered.
        package static let backlog = Reason(rawValue: 2)
        /// The peer does not read what it is sent.
        package static let output = Reason(rawValue: 4)
    }

    private var reasons: Reason = []

    package init() {}

    /// Whether the connection is read.
    package var isOpen: Bool { reasons.isEmpty }

    /// Adds a reason.
    /// - Returns: whether this has paused reading.
    @discardableResult
    package mutating func hold(_ reason: Reason, _ channel: (any Channel)?) -> Bool {
        let wasOpen = isOpen
        reasons.insert(reason)
        if wasOpen { Self.set(channel, reads: false) }
        return wasOpen
    }

    /// Removes a reason.
    /// - Returns: whether this has resumed reading.
    @discardableResult
    package mutating func release(_ reason: Reason, _ channel: (any Channel)?) -> Bool {
        guard !isOpen else { return false }
        reasons.subtract(reason)
        if isOpen { Self.set(channel, reads: true) }
        return isOpen
    }

    /// Removes all reasons, before the connection is returned to a pool or closed.
    @discardableResult
    package mutating func open(_ channel: (any Channel)?) -> Bool { release(reasons, channel) }

    private static func set(_ channel: (any Channel)?, reads isOn: Bool) {
        try? channel?.syncOptions?.setOption(.autoRead, value: isOn)
    }
}
