// Requests to an alias: a member is picked for each attempt, and another one when it fails.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire
import Synchronization

extension HTTPClient {
    /// Starts a request to an alias.
    func startBalanced(_ request: consuming HTTPRequest, callback: Callback?) -> Corequest<HTTPResponse> {
        let state: AliasState
        do throws(SkeinError) {
            state = try aliases.find(request.url.origin.authority)
        } catch {
            return fail(request, error, callback: callback)
        }
        guard state.scheme.isHTTP else { return fail(request, state.isNotHTTP, callback: callback) }
        let shard = context.session.pickShard()
        if let pick = state.beginOnOnly(at: shard.now) { return start(pick, of: state, request, callback, on: shard) }
        let balanced = BalancedRequest(
            request: request, state: state, client: self, shard: shard,
            key: state.configuration.policy == .consistentHash ? FastRandom.hash(request.url.target) : 0,
            begun: shard.now)
        let service = service
        return CorequestTask.start(
            context.session, { await balanced.send() },
            failed: { error, response in
                response.stream?.cancel()
                return service.fail(balanced.request, error)
            }, callback: callback)
    }

    /// With one member there is no choice and no fallback, so no task is needed.
    private func start(
        _ pick: AliasState.Pick, of state: AliasState, _ request: consuming HTTPRequest, _ callback: Callback?,
        on shard: Shard
    ) -> Corequest<HTTPResponse> {
        switch pick {
        case .none(let error): return fail(request, error, callback: callback)
        case .attempt(let attempt):
            return startBare(attempt.target.request(request)) { response in
                state.end(attempt, AliasState.outcome(response), since: response.began, at: shard.now)
                callback?(response)
            }
        }
    }
}

/// One request to an alias, with all its attempts.
private struct BalancedRequest: Sendable {
    let request: HTTPRequest
    let state: AliasState
    let client: HTTPClient
    let shard: Shard
    /// The key for consistent hashing.
    let key: UInt64
    let begun: NIODeadline

    /// Sends the request to one member after the other until one responds, or the limit of attempts is reached.
    func send() async -> HTTPResponse {
        // An upgrade handler can be used once.
        let mayRepeat = request.method.isIdempotent && request.upgrade == nil
        let mayHedge = mayRepeat && request.body.bytes != nil && (request.method == .get || request.method == .head)
        var tried: [Balancer.MemberID] = []
        while true {
            let attempt: AliasState.Attempt
            switch state.begin(key: key, tried: tried, isFirst: tried.isEmpty, at: shard.now) {
            case .none(let error):
                guard await mayAppear() else { return client.service.fail(request, error) }
                continue
            case .attempt(let begun): attempt = begun
            }
            tried.append(attempt.id)
            let response: HTTPResponse
            if tried.count == 1, mayHedge, let delay = state.hedgeDelay {
                response = await hedged(attempt, after: delay)
            } else {
                response = await sendOnce(attempt)
            }
            let wasNotSent = AliasState.couldNotConnect(response)
            if request.isForwarded, response.failure?.code == .timeout { return response }
            guard wasNotSent || mayRepeat && state.shouldRepeat(response), request.body.isReplayable,
                tried.count < state.configuration.retries.attempts, !Task.isCancelled, state.mayRetry(at: shard.now)
            else { return response }
            response.stream?.cancel()
        }
    }

    /// Waits a moment for DNS to name a member.
    /// - Returns: false when there is nothing to wait for, or it takes too long.
    private func mayAppear() async -> Bool {
        guard state.awaitsDiscovery, shard.now - begun < TimeAmount(client.context.configuration.connectTimeout) else {
            return false
        }
        return (try? await shard.sleep(until: .after(.milliseconds(20)))) != nil
    }

    private func sendOnce(_ attempt: AliasState.Attempt) async -> HTTPResponse {
        var outgoing = attempt.target.request(request)
        // The timeout of a forwarded request covers all attempts together.
        if request.isForwarded, let limit = request.timeout {
            outgoing.timeout = max(.milliseconds(1), limit - .nanoseconds((shard.now - begun).nanoseconds))
        }
        let response = await client.service.send(outgoing)
        let outcome = AliasState.outcome(response)
        state.end(attempt, outcome, since: response.began, at: shard.now)
        if case .unreachable = outcome { client.awaitReturn(attempt, of: state) }
        return response
    }

    /// Sends the request to a second member, too, when the first does not answer for a while, and takes the first good response.
    private func hedged(_ attempt: AliasState.Attempt, after delay: Duration) async -> HTTPResponse {
        let second = SecondAttempt()
        return await withTaskGroup(of: HTTPResponse?.self) { group in
            group.addTask { await sendOnce(attempt) }
            group.addTask {
                do { try await shard.sleep(until: .after(delay)) } catch { return nil }
                guard second.begins(), state.mayHedge(at: shard.now),
                    case .attempt(let other) = state.begin(key: key, tried: [attempt.id], isFirst: false, at: shard.now)
                else { return nil }
                guard other.id != attempt.id else {
                    state.end(other, .cancelled, at: shard.now)  // there is no other member
                    return nil
                }
                return await sendOnce(other)
            }
            var chosen: HTTPResponse?
            while let response = await group.next() {
                guard let response else { continue }
                if let chosen, AliasState.isGood(chosen) || !AliasState.isGood(response) {
                    response.stream?.cancel()
                    continue
                }
                chosen?.stream?.cancel()
                chosen = response
                // After a failure, a second attempt in progress may still succeed; one that has not started is not
                // waited for.
                if AliasState.isGood(response) || second.isNotNeeded() { group.cancelAll() }
            }
            return chosen ?? client.service.fail(request, .cancelledWhileWaiting(request))
        }
    }
}

/// Whether a second attempt has begun, or is not needed any more.
private final class SecondAttempt: Sendable {
    private let isDecided = Mutex<Bool?>(nil)

    /// - Returns: whether it may begin.
    func begins() -> Bool { decide(true) }
    /// - Returns: whether it will not begin.
    func isNotNeeded() -> Bool { decide(false) }

    private func decide(_ begins: Bool) -> Bool {
        isDecided.withLock { decided in
            if decided == nil { decided = begins }
            return decided == begins
        }
    }
}

extension AliasState {
    var isNotHTTP: SkeinError {
        SkeinError(.exception, peer: name, because: "\(name) is an alias for \(scheme), not for HTTP")
    }

    // MARK: Outcome of an attempt

    package static func outcome(_ response: HTTPResponse) -> Balancer.Outcome {
        if let failure = response.failure {
            // A failure at a redirect target is not the member's fault.
            guard response.history.isEmpty else { return .success }
            switch failure.code {
            // The client's own queue is full, or the client shuts down.
            case .cancelled, .shuttingDown, .overloaded: return .cancelled
            // The request was invalid, or the caller rejects the response.
            case .exception, .invalidContent, .unacceptableContentType, .contentTooLarge, .redirectError,
                .unknownAuthentication:
                return .success
            default: return couldNotConnect(response) ? .unreachable : .failure
            }
        }
        switch response.statusCode {
        case 503 where RetryLayer.retryAfter(response) == nil: return .failure
        case 429, 503: return .refused(after: RetryLayer.retryAfter(response))
        case 500...599: return .failure
        default: return .success
        }
    }

    /// Whether nothing of the request can have reached the member.
    static func couldNotConnect(_ response: HTTPResponse) -> Bool {
        guard let failure = response.failure, response.history.isEmpty else { return false }
        return failure.code == .connectionFailed || failure.code == .dnsNotFound || failure.code == .tlsHandshakeFailed
    }

    fileprivate static func isGood(_ response: HTTPResponse) -> Bool {
        response.failure == nil && response.statusCode < 500
    }

    fileprivate func shouldRepeat(_ response: HTTPResponse) -> Bool {
        if let failure = response.failure { return isTemporaryNetworkError(failure) }
        return configuration.retries.statuses.contains(response.statusCode)
    }
}
