// Tries again what failed in passing.

import SkeinCore
import SkeinWire
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Sends a request again when it failed for a reason that may pass: a network error, or a status such as 503.
///
/// Requests are sent again if their method is idempotent (RFC 9110, section 9.2.2) and their content can be made again. Each
/// attempt has the request's timeout; `withDeadline` or the waiting method's `timeout` holds for all of them.
public struct RetryLayer: HTTPLayer {
    /// Attempts after the first. Default: 3.
    public var maximum = 3
    /// The wait before the second attempt; it doubles each time, and between half of it and all of it is waited. Default: 100 ms.
    public var firstWait = Duration.milliseconds(100)
    /// The longest wait; a server that asks for more with Retry-After gets no more attempts. Default: 10 s.
    public var longestWait = Duration.seconds(10)
    /// The statuses that are tried again. Default: 408, 425, 429, 502, 503 and 504.
    public var statuses: Set<Int> = [408, 425, 429, 502, 503, 504]
    /// Whether requests of other methods, such as POST, are sent again, too. Default: false.
    public var retriesUnsafeMethods = false
    private let budget: RetryBudget

    /// The defaults.
    /// - Parameters:
    ///   - maximum: attempts after the first.
    ///   - budget: attempts that may be made again for each request, on the average: beyond it, a peer that is down is not asked
    ///     more often than before. Ten are free. Default: 0.2.
    public init(maximum: Int = 3, budget: Double = 0.2) {
        self.maximum = maximum
        self.budget = RetryBudget(share: budget)
    }

    /// Sends a request until it succeeds, fails for good, or has been sent often enough.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        budget.deposit()
        let mayRetry = (retriesUnsafeMethods || request.method.isIdempotent) && request.body.isReplayable
        let backoff = Backoff(first: firstWait, longest: longestWait)
        for attempt in 0..<(mayRetry ? maximum : 0) {
            let response = await next.send(request)
            let asked = Self.retryAfter(response)
            // A server that wants more patience than there is, is not asked again.
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
