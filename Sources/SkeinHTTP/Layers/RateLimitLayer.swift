// Limits the rate of requests to a server.

import SkeinCore
import SkeinWire

/// Limits the rate of requests to each origin; further requests wait.
public struct RateLimitLayer: HTTPLayer {
    private let interval: Duration
    private let burst: Int
    private let longestWait: Duration
    /// The moment at which each origin's rate allows the next request.
    private let origins = OriginStates<ContinuousClock.Instant?>(nil) { $0.map { $0 < .now } ?? true }

    /// A limit.
    /// - Parameters:
    ///   - count: requests in a period.
    ///   - period: the period. Default: one second.
    ///   - burst: requests that may be sent at once after a pause. Default: 1, which spaces them evenly.
    ///   - longestWait: a request that would have to wait longer fails with code 703. Default: 30 s.
    public init(
        _ count: Int, per period: Duration = .seconds(1), burst: Int = 1, longestWait: Duration = .seconds(30)
    ) {
        interval = period / max(1, count)
        self.burst = max(1, burst)
        self.longestWait = longestWait
    }

    /// Waits until the rate allows the request, and sends it.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let now = ContinuousClock.now
        let wait = origins.change(request.url.origin) { paid -> Duration? in
            let from = max(paid ?? now, now)
            let wait = from - now - interval * (burst - 1)
            guard wait <= longestWait else { return nil }
            paid = from + interval
            return wait
        }
        guard let wait else {
            return next.fail(
                request,
                SkeinError(
                    .overloaded, peer: request.url.origin.description,
                    because: "the rate limit allows no more requests within \(longestWait); send fewer requests"))
        }
        if wait > .zero {
            do {
                try await Task.sleep(for: wait)
            } catch {
                return next.fail(request, .cancelledWhileWaiting(request))
            }
        }
        return await next.send(request)
    }
}

extension SkeinError {
    /// The task was cancelled while its request waited in a layer.
    static func cancelledWhileWaiting(_ request: HTTPRequest) -> SkeinError {
        SkeinError(
            .cancelled, peer: request.url.origin.description, because: "the request was cancelled while it waited")
    }
}
