// Requests to an alias: a member is picked for each attempt, and another one when it fails.

import NIOCore
import SkeinCore
import SkeinTransport
import SkeinWire

extension HTTPClient {
    /// Starts a request to an alias.
    func startBalanced(_ request: consuming HTTPRequest, callback: Callback?) -> Corequest<HTTPResponse> {
        let state: AliasState
        do throws(SkeinError) {
            state = try aliases.find(request.url.origin.authority)
        } catch {
            return fail(request, error, callback: callback)
        }
        guard state.count > 1 else { return startOnOnly(state, request, callback) }
        let request = request
        let service = service
        return CorequestTask.start(
            context.session, { await state.send(request, next: service) },
            failed: { error, response in
                response.stream?.cancel()
                return service.fail(request, error)
            }, callback: callback)
    }

    /// With one member there is nothing to choose and nobody to turn to: no task is needed.
    private func startOnOnly(
        _ state: AliasState, _ request: consuming HTTPRequest, _ callback: Callback?
    ) -> Corequest<HTTPResponse> {
        let shard = context.session.pickShard()
        switch state.begin(at: shard.now) {
        case .none(let error): return fail(request, error, callback: callback)
        case .attempt(let attempt):
            return startBare(attempt.target.request(request)) { response in
                state.end(attempt, AliasState.outcome(response), at: shard.now)
                callback?(response)
            }
        }
    }
}

extension AliasState {
    /// Sends a request to one member after the other until one answers, or no more attempts may be made.
    func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let shard = next.context.session.pickShard()
        let key = FastRandom.hash(request.url.target)
        let isReplayable = request.body.isReplayable
        let mayRepeat = request.method.isIdempotent && isReplayable
        let mayHedge = request.method == .get || request.method == .head
        var tried: [Balancer.MemberID] = []
        while true {
            let attempt: Attempt
            switch begin(key: key, tried: tried, isFirst: tried.isEmpty, at: shard.now) {
            case .none(let error): return next.fail(request, error)
            case .attempt(let begun): attempt = begun
            }
            tried.append(attempt.id)
            let response: HTTPResponse
            if tried.count == 1, mayHedge, let delay = hedgeDelay {
                response = await hedged(request, attempt, key, delay, shard, next)
            } else {
                response = await sendOnce(request, attempt, shard, next)
            }
            let wasNotSent = response.failure.map { Self.couldNotConnect($0) } ?? false
            guard wasNotSent ? isReplayable : mayRepeat && shouldRepeat(response),
                tried.count < configuration.retries.attempts, !Task.isCancelled, self.mayRetry(at: shard.now)
            else { return response }
            response.stream?.cancel()
        }
    }

    private func sendOnce(
        _ request: HTTPRequest, _ attempt: Attempt, _ shard: Shard, _ next: HTTPService
    ) async -> HTTPResponse {
        let response = await next.send(attempt.target.request(request))
        end(attempt, Self.outcome(response), at: shard.now)
        return response
    }

    /// Sends a request to a second member, too, when the first does not answer for a while, and takes the first good response.
    private func hedged(
        _ request: HTTPRequest, _ attempt: Attempt, _ key: UInt64, _ delay: Duration, _ shard: Shard,
        _ next: HTTPService
    ) async -> HTTPResponse {
        await withTaskGroup(of: HTTPResponse?.self) { group in
            group.addTask { await self.sendOnce(request, attempt, shard, next) }
            group.addTask {
                do { try await shard.sleep(until: .after(delay)) } catch { return nil }
                guard self.mayHedge(at: shard.now),
                    case .attempt(let second) = self.begin(key: key, tried: [attempt.id], isFirst: false, at: shard.now)
                else { return nil }
                return await self.sendOnce(request, second, shard, next)
            }
            var chosen: HTTPResponse?
            while let response = await group.next() {
                guard let response else { continue }
                if let chosen, Self.isGood(chosen) {
                    response.stream?.cancel()
                    continue
                }
                chosen?.stream?.cancel()
                chosen = response
                // A second attempt that was not begun yet is not needed for a failure: the next member is tried at once.
                group.cancelAll()
            }
            return chosen ?? next.fail(request, .cancelledWhileWaiting(request))
        }
    }

    // MARK: What a response says about its member

    static func outcome(_ response: HTTPResponse) -> Balancer.Outcome {
        if let failure = response.failure {
            switch failure.code {
            case .controlledShutdown, .shuttingDown: return .cancelled
            // The request was wrong, or its answer not what the caller wanted.
            case .exception, .invalidContent, .unacceptableContentType, .contentTooLarge, .redirectError,
                .unknownAuthentication:
                return .success
            case .socketPanic: return .refused(after: nil)
            default: return .failure
            }
        }
        switch response.statusCode {
        case 429, 503: return .refused(after: RetryLayer.retryAfter(response))
        case 500...599: return .failure
        default: return .success
        }
    }

    /// Whether nothing of the request can have reached the member.
    static func couldNotConnect(_ failure: SkeinError) -> Bool {
        failure.code == .connectionFailed || failure.code == .dnsNotFound || failure.code == .tlsHandshakeFailed
    }

    private static func isGood(_ response: HTTPResponse) -> Bool {
        response.failure == nil && response.statusCode < 500
    }

    private func shouldRepeat(_ response: HTTPResponse) -> Bool {
        if let failure = response.failure { return isTemporaryNetworkError(failure) }
        return configuration.retries.statuses.contains(response.statusCode)
    }
}
