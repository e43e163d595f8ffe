// The state machine of a tunnel, without I/O: which side is read, which is ended, and when it is over.

/// The state of a tunnel.
struct TunnelMachine {
    enum Side: Int, CaseIterable {
        /// The client.
        case front
        /// The back end.
        case back

        var other: Side { self == .front ? .back : .front }
    }

    enum Event: Equatable {
        /// The side can be written to.
        case attached
        /// Its output was written.
        case writable
        /// Its output buffer is full.
        case full
        /// It has ended its sending side.
        case inputEnded
        /// It is closed; nothing can be written to it.
        case gone(isFailure: Bool)
        /// Nothing was transferred for too long, or the end took too long.
        case timeout
    }

    enum Action: Equatable {
        /// Write the bytes that arrived for a side earlier.
        case deliver(Side)
        case read(Side)
        case pause(Side)
        /// End the output of a side.
        case endOutput(Side)
        case close(Side)
        /// Start the timer for the end.
        case armEnd
    }

    private enum Phase {
        case waiting
        case open
        case inputEnded
        case gone
    }

    private var phases: [Phase] = [.waiting, .waiting]
    private var isOutputEnded = [false, false]

    private subscript(side: Side) -> Phase {
        get { phases[side.rawValue] }
        set { phases[side.rawValue] = newValue }
    }

    /// Whether bytes for a side can be written to it.
    func takesBytes(_ side: Side) -> Bool {
        self[side] == .open || self[side] == .inputEnded && !isOutputEnded[side.rawValue]
    }

    /// Whether a side is not attached yet.
    func isAwaited(_ side: Side) -> Bool { self[side] == .waiting }

    /// Whether both sides are closed.
    var isOver: Bool { phases.allSatisfy { $0 == .gone } }

    /// An event of a side.
    mutating func receive(_ event: Event, _ side: Side) -> [Action] {
        let other = side.other
        switch (self[side], event) {
        case (.waiting, .attached):
            self[side] = .open
            var actions: [Action] = [.deliver(side)]
            switch self[other] {
            case .waiting: actions.append(.pause(side))
            case .open: actions.append(.read(other))
            case .inputEnded: actions += [.read(other), endOutput(side)]
            case .gone: actions += [endOutput(side), .armEnd]
            }
            return actions
        case (.open, .writable), (.inputEnded, .writable): return self[other] == .open ? [.read(other)] : []
        case (.open, .full), (.inputEnded, .full): return self[other] == .open ? [.pause(other)] : []
        case (.open, .inputEnded):
            self[side] = .inputEnded
            guard self[other] != .waiting, self[other] != .gone else { return [] }
            return isOutputEnded[side.rawValue] ? [endOutput(other), .armEnd] : [endOutput(other)]
        case (.gone, _): return []
        case (_, .gone(let isFailure)):
            self[side] = .gone
            switch self[other] {
            case .gone: return []
            case .waiting: return []
            case .open, .inputEnded: return isFailure ? [.close(other)] : [endOutput(other), .armEnd]
            }
        case (_, .timeout): return Side.allCases.filter { self[$0] != .gone && self[$0] != .waiting }.map { .close($0) }
        case (.waiting, _), (.open, .attached), (.inputEnded, .attached), (.inputEnded, .inputEnded): return []
        }
    }

    private mutating func endOutput(_ side: Side) -> Action {
        isOutputEnded[side.rawValue] = true
        return .endOutput(side)
    }
}
