// Compressing an answer while it is sent holds one to two megabytes for as long as the client takes; so there are only so many.

import Synchronization

/// Permits for encoders, of a server in all and of each of its connections.
final class EncoderPermits: Sendable {
    /// One encoder's. Letting go of it gives it back.
    final class Permit: Sendable {
        private let owner: EncoderPermits
        private let connection: UInt32

        fileprivate init(_ owner: EncoderPermits, _ connection: UInt32) {
            self.owner = owner
            self.connection = connection
        }

        deinit { owner.giveBack(connection) }
    }

    private struct State {
        var count = 0
        var byConnection: [UInt32: Int] = [:]
    }

    private let maximum: Int
    private let perConnection: Int
    private let state = Mutex(State())

    init(maximum: Int, perConnection: Int) {
        self.maximum = maximum
        self.perConnection = perConnection
    }

    /// A permit; nil when there are enough encoders already.
    func take(for connection: UInt32) -> Permit? {
        let isGiven = state.withLock { state in
            guard state.count < maximum, state.byConnection[connection, default: 0] < perConnection else {
                return false
            }
            state.count += 1
            state.byConnection[connection, default: 0] += 1
            return true
        }
        return isGiven ? Permit(self, connection) : nil
    }

    private func giveBack(_ connection: UInt32) {
        state.withLock { state in
            state.count -= 1
            let left = state.byConnection[connection, default: 1] - 1
            state.byConnection[connection] = left > 0 ? left : nil
        }
    }

    /// Permits that are given right now.
    var count: Int { state.withLock { $0.count } }
}
