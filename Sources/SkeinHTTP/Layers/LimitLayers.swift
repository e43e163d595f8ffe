// Layers that keep a client from asking too much: of a server's patience, of a server's capacity, of a server that is down.

import DequeModule
import SkeinCore
import SkeinWire
import Synchronization

/// Lets only so many requests a time through to each origin; the others wait their turn.
public struct RateLimitLayer: HTTPLayer {
    private let interval: Duration
    private let burst: Int
    private let longestWait: Duration
    /// The moment at which each origin's requests so far are paid for.
    private let origins = OriginStates<ContinuousClock.Instant?>(nil) { $0.map { $0 < .now } ?? true }

    /// A limit.
    /// - Parameters:
    ///   - count: requests in a period.
    ///   - period: the period. Default: one second.
    ///   - burst: requests that may go at once after a pause. Default: 1, which spaces them evenly.
    ///   - longestWait: a request that would have to wait longer fails with code 703. Default: 30 s.
    public init(
        _ count: Int, per period: Duration = .seconds(1), burst: Int = 1, longestWait: Duration = .seconds(30)
    ) {
        interval = period / max(1, count)
        self.burst = max(1, burst)
        self.longestWait = longestWait
    }

    /// Waits until the request may go, and sends it.
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
                    .socketPanic, peer: request.url.origin.description,
                    because: "the rate limit lets no more through within \(longestWait); send fewer requests"))
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

/// Lets only so many requests at a time be under way to each origin; the others wait their turn.
public struct ConcurrencyLimitLayer: HTTPLayer {
    private struct Gate: Sendable {
        var running = 0
        var waiting = Deque<(id: Int, continuation: CheckedContinuation<Bool, Never>)>()
    }

    private let maximum: Int
    private let maximumWaiting: Int
    private let gates = OriginStates(Gate()) { $0.running == 0 }
    private let ids = Counter()

    /// A limit.
    /// - Parameters:
    ///   - maximum: requests under way to one origin. A streamed one counts until its head is there.
    ///   - maximumWaiting: requests that may wait; more fail with code 703. Default: 10 000.
    public init(_ maximum: Int, maximumWaiting: Int = 10_000) {
        self.maximum = max(1, maximum)
        self.maximumWaiting = maximumWaiting
    }

    /// Waits for a place and sends the request.
    public func send(_ request: HTTPRequest, next: HTTPService) async -> HTTPResponse {
        let origin = request.url.origin
        let id = ids.next()
        enum Entry { case enter, wait, full }
        let entry = gates.change(origin) { gate -> Entry in
            if gate.running < maximum {
                gate.running += 1
                return .enter
            }
            return gate.waiting.count < maximumWaiting ? .wait : .full
        }
        switch entry {
        case .enter: break
        case .full:
            return next.fail(
                request,
                SkeinError(
                    .socketPanic, peer: origin.description,
                    because: "\(maximumWaiting) requests wait for a place already"))
        case .wait:
            guard await place(origin, id) else { return next.fail(request, .cancelledWhileWaiting(request)) }
        }
        defer { leave(origin) }
        return await next.send(request)
    }

    /// Waits for a place. False when the task was cancelled before there was one.
    private func place(_ origin: Origin, _ id: Int) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let entered = gates.change(origin) { gate -> Bool? in
                    if Task.isCancelled { return false }
                    if gate.running < maximum {  // one has left since
                        gate.running += 1
                        return true
                    }
                    gate.waiting.append((id, continuation))
                    return nil
                }
                if let entered { continuation.resume(returning: entered) }
            }
        } onCancel: {
            let waiter = gates.change(origin) { gate -> CheckedContinuation<Bool, Never>? in
                guard let index = gate.waiting.firstIndex(where: { $0.id == id }) else { return nil }
                return gate.waiting.remove(at: index).continuation
            }
            waiter?.resume(returning: false)
        }
    }

    private func leave(_ origin: Origin) {
        let next = gates.change(origin) { gate -> CheckedContinuation<Bool, Never>? in
            if let next = gate.waiting.popFirst() { return next.continuation }
            gate.running -= 1
            return nil
        }
        next?.resume(returning: true)
    }

    private final class Counter: Sendable {
        private let value = Atomic<Int>(0)
        func next() -> Int { value.wrappingAdd(1, ordering: .relaxed).newValue }
    }
}

/// Stops asking an origin that keeps failing, and tries after a while whether it is back.
public struct CircuitBreakerLayer: HTTPLayer {
    private enum Circuit: Sendable {
        case closed(failures: Int)
        case open(until: ContinuousClock.Instant)
        /// One request is on its way to find out.
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
    ///   - rest: how long the origin is left alone. Default: 10 s.
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
                    because: "\(failures) requests in a row have failed; it is tried again within \(wait)"))
        }
        let response = await next.send(request)
        note(response, origin)
        return response
    }

    private func note(_ response: HTTPResponse, _ origin: Origin) {
        let isCancelled = response.failure?.code == .controlledShutdown
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

extension SkeinError {
    /// The task was cancelled while its request waited in a layer.
    static func cancelledWhileWaiting(_ request: HTTPRequest) -> SkeinError {
        SkeinError(
            .controlledShutdown, peer: request.url.origin.description, because: "it was cancelled while it waited")
    }
}
