// Active health checks of an alias' members, and the return of those that could not be connected to.

import NIOCore
import SkeinCore
import SkeinTransport

extension SkeinClient {
    /// Checks each member at an interval, as long as the client and the alias exist.
    /// - Parameter number: that of the health check; another one ends this one.
    func watch(_ state: AliasState, _ check: HealthCheck, _ number: Int) {
        AliasWatch(http, state, number).check(check, session.pickShard(), backEnds)
    }
}

extension AliasWatch {
    fileprivate func check(_ check: HealthCheck, _ shard: Shard, _ backEnds: BackEnds) {
        shard.eventLoop.scheduleTask(in: TimeAmount(check.interval)) {
            guard let (client, state) = current else { return }
            for (id, target) in state.targets where state.beginsCheck(of: id) {
                if state.scheme.isHTTP {
                    client.check(target, check) { state.checked(id, isHealthy: $0, watch: number) }
                } else {
                    // A client may open a file.
                    Task.detached {
                        var isHealthy: Bool?
                        do {
                            isHealthy = try await backEnds.checker(state, target)?.isAlive(within: check.timeout)
                        } catch {
                            isHealthy = false
                        }
                        state.checked(id, isHealthy: isHealthy, watch: number)
                    }
                }
            }
            self.check(check, shard, backEnds)
        }
    }
}

extension HTTPClient {
    /// Tries each second to connect to a member that was ejected because it was unreachable, so that it is used again
    /// as soon as it is back.
    package func awaitReturn(_ attempt: AliasState.Attempt, of state: AliasState) {
        let shard = context.session.pickShard()
        guard state.isEjected(attempt.id, at: shard.now), state.beginsWaiting(for: attempt.id),
            let endpoint = attempt.target.origin?.endpoint
        else { return }
        AliasReturn(references: AliasReferences(self, state), id: attempt.id, endpoint: endpoint).tryAgain(on: shard)
    }

    /// - Parameter done: called with nil when the check says nothing of the member.
    fileprivate func check(_ target: AliasTarget, _ check: HealthCheck, _ done: @escaping @Sendable (Bool?) -> Void) {
        guard let origin = target.origin else { return done(nil) }
        if check.probe == .connect {
            var options = dialer.options(timeout: check.timeout)
            if origin.isSecure {
                var tls = context.configuration.tls
                tls.serverName = tls.serverName ?? origin.serverName
                options.tls = ConnectOptions.TLS(context.tls, tls, protocols: [])
            }
            return Connector.connect(to: origin.endpoint, on: context.session.pickShard().eventLoop, options)
                .whenComplete { result in
                    switch result {
                    case .success(let connected):
                        connected.channel.close(promise: nil)
                        done(true)
                    case .failure(let error): done(Dialer.isUnreachable(error) ? false : nil)
                    }
                }
        }
        _ = startBare(check.request(to: target, origin)) { response in
            // A check that the client's own queue refuses says nothing.
            if case .cancelled = AliasState.outcome(response) { return done(nil) }
            done(check.passes(response))
        }
    }
}

/// Tries to connect to a member each second, until that succeeds or the ejection of the member is over.
private struct AliasReturn: Sendable {
    let references: AliasReferences
    let id: Balancer.MemberID
    let endpoint: Endpoint

    func tryAgain(on shard: Shard) {
        shard.eventLoop.scheduleTask(in: .seconds(1)) {
            guard let (client, state) = references.current else { return }
            guard state.isEjected(id, at: shard.now) else { return state.endsWaiting(for: id) }
            Connector.connect(to: endpoint, on: shard.eventLoop, client.dialer.options(timeout: .seconds(1)))
                .whenComplete { result in
                    guard case .success(let connected) = result else { return tryAgain(on: shard) }
                    connected.channel.close(promise: nil)
                    state.isBack(id, at: shard.now)
                    state.endsWaiting(for: id)
                }
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
