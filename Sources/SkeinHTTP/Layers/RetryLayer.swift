// Retries transient failures.

import SkeinCore
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Sends a request again after a transient failure: a network error, or a status such as 503.
///
/// Requests are sent again if their method is idempotent (RFC 9110, section 9.2.2) and their content is replayable. The
/// request's timeout applies to each attempt; `withDeadline` or the waiting method's `timeout` limits all of them.
public struct RetryLayer: HTTPLayer {
    /// Attempts after the first. Default: 3.
    public var maximum = 3
    /// The wait before the second attempt; it doubles each time, with a random factor between 0.5 and 1. Default: 100
    /// ms.
    public var firstWait = Duration.milliseconds(100)
    /// The longest wait; after a Retry-After with a longer time, there are no more attempts. Default: 10 s.
    public var longestWait = Duration.seconds(10)
    /// The statuses that are tried again. Default: 408, 425, 429, 502, 503 and 504.
    public var statuses: Set<Int> = [408, 425, 429, 502, 503, 504]
    /// Whether requests of other methods, such as POST, are sent again, too. Default: false.
    public var retriesUnsafeMethods = false
    private let budget: RetryBudget

    /// The defaults.
    /// - Parameters:
    ///   - maximum: attempts after the first.
    ///   - budget: retries allowed for each request, on average: beyond it, failed requests are not retried, so that a
    ///     peer that is down gets no extra load. Ten retries are free. Default: 0.2.
    public init(maximum: Int = 3, budget: Double = 0.2) {
        self.maximum = maximum
        self.budget = RetryBudget(share: budget)
    }

    /// Sends a request until it succeeds, fails permanently, or the attempts are used up.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        budget.deposit()
        let mayRetry = (retriesUnsafeMethods || request.method.isIdempotent) && request.body.isReplayable
        let backoff = Backoff(first: firstWait, longest: longestWait)
        for attempt in 0..<(mayRetry ? maximum : 0) {
            let response = await next.send(request)
            let asked = Self.retryAfter(response)
            // A server that demands a longer wait than allowed gets no retry.
            guard shouldRetry(response), asked ?? .zero <= longestWait, budget.withdraw() else { return response }
            let pause = asked.map { max($0, .zero) } ?? backoff.delay(after: attempt + 1)
            guard Deadline.current.map({ $0.remaining > pause }) ?? true else { return response }
            response.stream?.cancel()
            do { try await Task.sleep(for: pause) } catch { return response }
        }
        return await next.send(request)
    }

    private func shouldRetry(_ response: HTTPResponse) -> Bool {
        if Task.isCancelled { return false }
        if let failure = response.failure { return isTemporaryNetworkError(failure) }
        return statuses.contains(response.statusCode)
    }

    /// Seconds or a date (RFC 9110, section 10.2.3).
    static func retryAfter(_ response: HTTPResponse) -> Duration? {
        guard let field = response.header("Retry-After") else { return nil }
        if let seconds = Int(field), seconds >= 0 { return .seconds(seconds) }
        return HTTPDate.parse(field).map { .seconds($0.timeIntervalSinceNow) }
    }
}
