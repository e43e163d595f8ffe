// Streamed compression needs one to two megabytes for as long as the client reads; so its number is limited.

import Synchronization

/// Permits for encoders, with a limit for the server and for each connection.
final class EncoderPermits: Sendable {
    /// The permit of one encoder. It is returned when it is released.
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

    /// A permit; nil when the limit is reached.
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

    /// The permits in use.
    var count: Int { state.withLock { $0.count } }
}
