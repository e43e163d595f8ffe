// Why a connection is not read. Each reason is taken back by whoever gave it, and reading goes on when none is left.

import NIOCore

/// The reasons for which a connection is not read.
package struct ReadGate {
    package struct Reason: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Whoever reads the content is slower than the peer.
        package static let consumer = Reason(rawValue: 1)
        /// The peer has sent more of what comes later than is kept.
        package static let backlog = Reason(rawValue: 2)
        /// The peer does not take what it is sent.
        package static let output = Reason(rawValue: 4)
    }

    private(set) var reasons: Reason = []

    package init() {}

    /// Whether the connection is read.
    package var isOpen: Bool { reasons.isEmpty }

    package func isHeld(for reason: Reason) -> Bool { reasons.contains(reason) }

    /// Stops reading for a reason.
    /// - Returns: whether the connection was read until now.
    @discardableResult
    package mutating func hold(_ reason: Reason, _ channel: (any Channel)?) -> Bool {
        let wasOpen = isOpen
        reasons.insert(reason)
        if wasOpen { Self.set(channel, reads: false) }
        return wasOpen
    }

    /// Takes a reason back.
    /// - Returns: whether the connection is read from now on, and was not until now.
    @discardableResult
    package mutating func release(_ reason: Reason, _ channel: (any Channel)?) -> Bool {
        guard !isOpen else { return false }
        reasons.subtract(reason)
        if isOpen { Self.set(channel, reads: true) }
        return isOpen
    }

    /// Takes every reason back: the connection is given back, or goes to its end.
    @discardableResult
    package mutating func open(_ channel: (any Channel)?) -> Bool { release(reasons, channel) }

    private static func set(_ channel: (any Channel)?, reads isOn: Bool) {
        try? channel?.syncOptions?.setOption(.autoRead, value: isOn)
    }
}
