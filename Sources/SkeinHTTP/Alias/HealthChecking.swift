// Active health checks of an alias' members, and the return of those that could not be connected to.

import NIOCore
import SkeinCore
import SkeinTransport

extension SkeinClient {
    /// Checks each member at an interval, as long as the client and the alias exist.
    func watch(_ state: AliasState, _ check: HealthCheck) {
        let (shard, http, number) = (session.pickShard(), http, state.watch)
        @Sendable func round() {
            shard.eventLoop.scheduleTask(in: TimeAmount(check.interval)) { [weak http, weak state, backEnds] in
                guard let http, let state, http.isInUse(state), state.watch == number else { return }
                for (id, target) in state.targets {
                    if state.scheme.isHTTP {
                        http.check(id, target, of: state, check)
                    } else if let backEnd = backEnds.checker(state, target) {
                        Task { state.checked(id, isHealthy: await backEnd.isAlive(within: check.timeout)) }
                    }
                }
                round()
            }
        }
        round()
    }
}

extension HTTPClient {
    /// Whether an alias is still registered, and the client not at its end.
    func isInUse(_ state: AliasState) -> Bool { !isOver && aliases[state.name] === state }

    /// Tries each second to connect to a member that was ejected because it was unreachable, so that it is used again
    /// as soon as it is back.
    func awaitReturn(_ attempt: AliasState.Attempt, of state: AliasState) {
        let shard = context.session.pickShard()
        let loop = shard.eventLoop
        guard state.isEjected(attempt.id, at: shard.now), state.beginsWaiting(for: attempt.id),
            let endpoint = attempt.target.origin?.endpoint
        else { return }
        @Sendable func next() {
            loop.scheduleTask(in: .seconds(1)) { [weak self, weak state] in
                guard let self, let state else { return }
                guard !self.isOver, state.isEjected(attempt.id, at: shard.now) else {
                    return state.endsWaiting(for: attempt.id)
                }
                Connector.connect(to: endpoint, on: loop, self.dialer.options(timeout: .seconds(1))).whenComplete {
                    result in
                    guard case .success(let connected) = result else { return next() }
                    connected.channel.close(promise: nil)
                    state.isBack(attempt.id, at: shard.now)
                    state.endsWaiting(for: attempt.id)
                }
            }
        }
        next()
    }

    fileprivate func check(_ id: Balancer.MemberID, _ target: AliasTarget, of state: AliasState, _ check: HealthCheck) {
        guard let origin = target.origin else { return }
        if check.probe == .connect {
            var options = dialer.options(timeout: check.timeout)
            if origin.isSecure {
                var tls = context.configuration.tls
                tls.serverName = tls.serverName ?? origin.serverName
                options.tls = ConnectOptions.TLS(context.tls, tls, protocols: [])
            }
            return Connector.connect(to: origin.endpoint, on: context.session.pickShard().eventLoop, options)
                .whenComplete { result in
                    if case .success(let connected) = result { connected.channel.close(promise: nil) }
                    state.checked(id, isHealthy: (try? result.get()) != nil)
                }
        }
        _ = startBare(check.request(to: target, origin)) { response in
            // A check that the client's own queue refuses says nothing.
            if case .cancelled = AliasState.outcome(response) { return }
            state.checked(id, isHealthy: check.passes(response))
        }
    }
}

extension HealthCheck {
    fileprivate func request(to target: AliasTarget, _ origin: HTTPOrigin) -> HTTPRequest {
        func url(_ path: String) -> HTTPURL { HTTPURL(origin: origin, target: target.prefix + path) }
        switch probe {
        case .standard, .connect: return HTTPRequest(.head, url("/"), auth: target.auth, timeout: timeout)
        case .get(let path): return HTTPRequest(.get, url(path), auth: target.auth, timeout: timeout)
        case .grpc(let service):
            // A message of one field, 1: the name of the service (grpc/health/v1/health.proto).
            var message = ByteBuffer()
            if !service.isEmpty {
                message.writeInteger(UInt8(0x0A))
                message.writeVarint(service.utf8.count)
                message.writeString(service)
            }
            var content = ByteBuffer()
            content.writeMultipleIntegers(UInt8(0), UInt32(message.readableBytes))
            content.writeBuffer(&message)
            var request = HTTPRequest(
                .post, url("/grpc.health.v1.Health/Check"), headers: ["TE": "trailers"],
                body: .bytes(content, contentType: "application/grpc"), auth: target.auth, timeout: timeout)
            request.http2 = .priorKnowledge
            return request
        }
    }

    fileprivate func passes(_ response: HTTPResponse) -> Bool {
        guard response.failure == nil else { return false }
        switch probe {
        case .standard, .connect: return true
        case .get: return response.statusCode < 400
        case .grpc:
            // SERVING is 1 in field 1. A trailers-only response has its status among the headers.
            let status = response.trailers?["grpc-status"] ?? response.headers["grpc-status"]
            return status == "0" && Array(response.content.readableBytesView.dropFirst(5)) == [0x08, 0x01]
        }
    }
}

extension ByteBuffer {
    /// Writes a number as protocol buffers do: seven bits a byte, the lowest first.
    fileprivate mutating func writeVarint(_ value: Int) {
        var rest = UInt64(value)
        while rest >= 0x80 {
            writeInteger(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(rest))
    }
}
