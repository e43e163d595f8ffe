// Sends a second request when the first response is slow, and uses the first to arrive.

import SkeinCore
import SkeinWire

/// Sends a request once more when there is no response for a while, and cancels the attempts that are not needed any
/// more.
///
/// For idempotent requests with replayable content; others are sent once. It reduces tail latency at the cost of more
/// load: set the wait to the p95 latency.
public struct HedgingLayer: HTTPLayer {
    private let wait: Duration
    private let maximum: Int

    /// Hedging.
    /// - Parameters:
    ///   - wait: the silence after which another attempt is made.
    ///   - maximum: attempts under way at one time. Default: 2.
    public init(after wait: Duration, maximum: Int = 2) {
        self.wait = wait
        self.maximum = max(1, maximum)
    }

    /// Sends the request, once more after each wait, and returns the first successful response.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        guard request.method.isIdempotent, request.body.isReplayable, maximum > 1 else {
            return await next.send(request)
        }
        return await withTaskGroup(of: HTTPResponse?.self) { group in
            for number in 0..<maximum {
                group.addTask {
                    if number > 0 {
                        do { try await Task.sleep(for: wait * number) } catch { return nil }
                    }
                    return await next.send(request)
                }
            }
            var chosen: HTTPResponse?
            while let response = await group.next() {
                guard let response else { continue }
                if chosen.map(Self.isGood) == true {
                    response.stream?.cancel()
                    continue
                }
                chosen?.stream?.cancel()
                chosen = response
                // The failure may affect every attempt; but waiting for the others costs nothing.
                if Self.isGood(response) || Task.isCancelled { group.cancelAll() }
            }
            return chosen ?? next.fail(request, .cancelledWhileWaiting(request))
        }
    }

    private static func isGood(_ response: HTTPResponse) -> Bool {
        response.failure == nil && response.statusCode < 500
    }
}
