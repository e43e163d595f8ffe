// Limits the concurrent requests to a server.

import DequeModule
import SkeinCore
import SkeinWire
import Synchronization

/// Limits the concurrent requests to each origin; further requests wait.
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
    ///   - maximum: concurrent requests to one origin. A streamed one counts until its head has arrived.
    ///   - maximumWaiting: requests that may wait; more fail with code 703. Default: 10 000.
    public init(_ maximum: Int, maximumWaiting: Int = 10_000) {
        self.maximum = max(1, maximum)
        self.maximumWaiting = maximumWaiting
    }

    /// Waits for a permit and sends the request.
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
                    .overloaded, peer: origin.description,
                    because: "\(maximumWaiting) requests wait for a slot already"))
        case .wait:
            guard await place(origin, id) else { return next.fail(request, .cancelledWhileWaiting(request)) }
        }
        defer { leave(origin) }
        return await next.send(request)
    }

    /// Waits for a permit. False when the task was cancelled before it got one.
    private func place(_ origin: HTTPOrigin, _ id: Int) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let entered = gates.change(origin) { gate -> Bool? in
                    if Task.isCancelled { return false }
                    if gate.running < maximum {  // a permit was returned meanwhile
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

    private func leave(_ origin: HTTPOrigin) {
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
