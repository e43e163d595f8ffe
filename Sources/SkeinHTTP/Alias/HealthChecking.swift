// Active health checks of an alias' members.

import NIOCore
import SkeinCore
import SkeinTransport

extension HTTPClient {
    /// Checks each member at an interval, as long as the client and the alias exist.
    func watch(_ state: AliasState, _ check: HealthCheck) {
        let shard = context.session.pickShard()
        let number = state.watch
        @Sendable func round() {
            shard.eventLoop.scheduleTask(in: TimeAmount(check.interval)) { [weak self, weak state] in
                guard let self, let state, !self.isOver, self.aliases[state.name] === state,
                    state.watch == number
                else { return }
                for (id, target) in state.targets { self.check(id, target, of: state, check) }
                round()
            }
        }
        round()
    }

    /// Tries each second to connect to a member that was ejected because it was unreachable, so that it is used again
    /// as soon as it is back.
    func awaitReturn(_ attempt: AliasState.Attempt, of state: AliasState) {
        let loop = context.session.pickShard().eventLoop
        guard state.isEjected(attempt.id, at: .now()), state.beginsWaiting(for: attempt.id),
            let endpoint = attempt.target.origin?.endpoint
        else { return }
        @Sendable func next() {
            loop.scheduleTask(in: .seconds(1)) { [weak self, weak state] in
                guard let self, let state else { return }
                guard !self.isOver, state.isEjected(attempt.id, at: .now()) else {
                    return state.endsWaiting(for: attempt.id)
                }
                Connector.connect(to: endpoint, on: loop, self.dialer.options(timeout: .seconds(1))).whenComplete {
                    result in
                    guard case .success(let connected) = result else { return next() }
                    connected.channel.close(promise: nil)
                    state.isBack(attempt.id, at: .now())
                    state.endsWaiting(for: attempt.id)
                }
            }
        }
        next()
    }

    private func check(_ id: Balancer.MemberID, _ target: AliasTarget, of state: AliasState, _ check: HealthCheck) {
        guard let origin = target.origin else { return }
        let url = HTTPURL(origin: origin, target: target.prefix + (check.path ?? "/"))
        let request = HTTPRequest(check.path == nil ? .head : .get, url, auth: target.auth, timeout: check.timeout)
        _ = startBare(request) { response in
            // A check refused by the client's own queue says nothing about the member.
            if case .cancelled = AliasState.outcome(response) { return }
            // Without a path, the check only needs a response of any status.
            let isHealthy = response.failure == nil && (check.path == nil || response.statusCode < 400)
            state.checked(id, isHealthy: isHealthy)
        }
    }
}
