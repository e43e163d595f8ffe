// Stops a client from sending requests to a server that is down.

import SkeinCore
import SkeinWire

/// Stops sending requests to an origin that keeps failing, and probes it after a while.
public struct CircuitBreakerLayer: HTTPLayer {
    private enum Circuit: Sendable {
        case closed(failures: Int)
        case open(until: ContinuousClock.Instant)
        /// One probe request is in flight.
        case halfOpen
    }

    private let failures: Int
    private let rest: Duration
    private let circuits = OriginStates(Circuit.closed(failures: 0)) {
        if case .closed = $0 { true } else { false }
    }

    /// A breaker.
    /// - Parameters:
    ///   - failures: failures in a row, of the network or with a status of 500 and above, that open the circuit. Default: 5.
    ///   - rest: how long the circuit stays open. Default: 10 s.
    public init(failures: Int = 5, rest: Duration = .seconds(10)) {
        self.failures = max(1, failures)
        self.rest = rest
    }

    /// Sends the request, or fails it with code 714 while the circuit is open.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let origin = request.url.origin
        let wait = circuits.change(origin) { circuit -> Duration? in
            switch circuit {
            case .closed: return nil
            case .open(let end) where end <= .now:
                circuit = .halfOpen
                return nil
            case .open(let end): return end - .now
            case .halfOpen: return rest
            }
        }
        if let wait {
            return next.fail(
                request,
                SkeinError(
                    .connectionFailed, peer: origin.description,
                    because: "\(failures) requests in a row have failed; the next attempt is within \(wait)",
                    cause: CircuitOpen()))
        }
        let response = await next.send(request)
        note(response, origin)
        return response
    }

    private func note(_ response: HTTPResponse, _ origin: HTTPOrigin) {
        let isCancelled = response.failure?.code == .cancelled
        let hasFailed = response.failure != nil || response.statusCode >= 500
        circuits.change(origin) { circuit in
            switch circuit {
            case .closed where isCancelled: break
            case .halfOpen where isCancelled: circuit = .open(until: .now)
            case .closed(let count) where hasFailed:
                circuit = count + 1 >= failures ? .open(until: .now + rest) : .closed(failures: count + 1)
            case .halfOpen where hasFailed: circuit = .open(until: .now + rest)
            case .closed, .halfOpen: circuit = .closed(failures: 0)
            case .open: break
            }
        }
    }
}

/// The cause of a failure of a request that was not sent, since its circuit is open.
package struct CircuitOpen: Error {}
