// Sends a request: cookies, credentials, expectations; and follow-up requests.

import NIOCore
import SkeinCore
import SkeinWire

extension HTTPExchange {
    /// Sends the request, with the session's cookies and credentials for its origin.
    func send(at now: NIODeadline) {
        guard request.hasExtras || context.completesRequests || request.body.contentEncoding != nil,
            !request.isForwarded || request.auth != nil
        else {
            return pools.pool(for: request).submit(self, at: now)
        }
        let plain = request
        context.complete(&request)
        redirectState.plainRequest = plain
        switch request.headers.contains("Authorization") ? nil : credentials?.kind {
        case nil: break
        case .fixed(let value): request.headers["Authorization"] = value
        case .authenticator(let authenticator): return authorize(by: authenticator, after: nil)
        }
        pools.pool(for: request).submit(self, at: now)
    }

    private var credentials: HTTPAuth? { context.credentials(for: request, redirectedFrom: history.first?.url.origin) }

    // MARK: Asynchronous credentials

    /// Lets an authenticator add its credentials, which may take a while, and then sends the request.
    /// - Parameter answer: the 401 that demands them; nil before the first attempt.
    private func authorize(by authenticator: any HTTPAuthenticator, after answer: HTTPAnswer?) {
        let request = self.request
        let service = HTTPService.within(pools)
        Task(executorPreference: shard.executor) {
            let outcome: Result<HTTPRequest?, any Error>
            do {
                outcome = .success(
                    try await authenticator.authorize(request, after: answer.map(HTTPResponse.init), using: service))
            } catch {
                outcome = .failure(error)
            }
            self.authorized(outcome, after: answer)
        }
    }

    private func authorized(_ outcome: Result<HTTPRequest?, any Error>, after answer: HTTPAnswer?) {
        guard !isOver else { return }
        switch outcome {
        case .failure(let error):
            fail(
                error as? SkeinError
                    ?? SkeinError(
                        .unknownAuthentication, peer: peer, because: "the credentials could not be computed: \(error)",
                        cause: error))
        case .success(let authorized?):
            resetAnswer()
            request = authorized
            pools.pool(for: authorized).submit(self)
        case .success(nil) where answer == nil: pools.pool(for: request).submit(self)
        case .success(nil): keepChallenge()
        }
    }

    /// Whether the response is a challenge that an authenticator may be able to meet.
    func isChallenge(_ head: ResponseHead) -> Bool {
        guard head.status.code == 401, redirectState.challenges < 2, case .authenticator? = credentials?.kind else {
            return false
        }
        return redirectState.plainRequest?.headers.contains("Authorization") == false && request.body.isReplayable
    }

    /// No authenticator could meet the challenge: the 401 is the response.
    private func keepChallenge() {
        if timings != nil { noteFirstByte() }
        events?.onHeaders(self)
        guard request.isStreamed else { return finish(trailers: trailers) }
        let body = self.body
        self.body = ByteBuffer()
        filter = nil  // the data has passed it already
        publishStream()
        if body.readableBytes > 0 { _ = inlet?.push(body) }
        finish(trailers: trailers)
    }

    // MARK: Following

    /// The response is complete.
    func complete(trailers: Headers?) {
        guard !isOver else { return }
        if let failure = finishFilter() { return fail(failure) }
        switch followUp {
        case nil: finish(trailers: trailers)
        case .request(let next, let hop): follow(next, after: hop)
        case .challenge:
            guard case .authenticator(let authenticator)? = credentials?.kind else { return finish(trailers: trailers) }
            redirectState.challenges += 1
            redirectState.followUp = nil
            carrier = nil
            self.trailers = trailers
            authorize(by: authenticator, after: snapshot)
        }
    }

    /// Sends the follow-up request, within the remaining time.
    /// - Parameter hop: the response that led there, when it was a redirect.
    func follow(_ next: HTTPRequest, after hop: HTTPHop?) {
        if let hop {
            history.append(hop)
            redirectState.challenges = 0
        }
        resetAnswer()
        redirectState.plainRequest = nil
        request = next
        send(at: shard.now)
    }

    /// Discards a response that is not the final one.
    private func resetAnswer() {
        redirectState.followUp = nil
        redirectState.dropped = 0
        head = nil
        body = ByteBuffer()
        filter = nil
        trailers = nil
        carrier = nil
        tls = nil
        replays = 0
    }
}
