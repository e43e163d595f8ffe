// The ends of a connection that do not come from a handler: malformed requests, limits, shutdown.

import SkeinWire

extension HTTP1ServerConnection {
    /// A malformed request: respond with the error's status, and close the connection.
    func reject(_ error: HTTP1Error) {
        if let request = machine.request {
            current?.body?.fail(SkeinError(.bodyError, because: "the request is malformed: \(error)", cause: error))
            // A response may be partly written; no other response is possible.
            guard request.exchange.isPending else { return cutOff() }
            task?.cancel()
            task = nil
        }
        refuse(decoder.status(of: error), "\(error)")
    }

    /// A client that sends a body below the minimum rate.
    func refuseSlow() {
        guard let current, let request = machine.request else { return }
        current.body?.fail(
            ServerError(
                .requestTimeout, "the client sent fewer than \(configuration.minimumBodyRate) bytes a second"))
        guard request.exchange.isPending else { return cutOff() }
        task?.cancel()
        task = nil
        refuse(.requestTimeout, "the request's content arrives too slowly", to: current.scope)
    }

    /// Responds without a handler and closes the connection.
    func refuse(
        _ status: HTTPStatus, _ message: String, to known: RequestScope? = nil
    ) {
        owner.statistics.refused.add(1)
        let scope = known ?? RequestScope(nil, owner: owner, peer: peer)
        scope.answered(status)
        owner.record(scope)
        let text = "\(message)\n"
        try? HTTP1Encoder.writeResponseHead(
            status: status, headers: ["Content-Type": "text/plain; charset=utf-8"], framing: .length(text.utf8.count),
            connection: .close, date: owner.dateField(), into: &output.bytes)
        if scope.head.method != .head { output.bytes.writeString(text) }
        linger()
    }

    /// Ends our side and waits briefly for the client's end, so that a TCP reset does not destroy the last response
    /// (RFC 9112, section 9.6).
    func linger() {
        guard context != nil else { return }
        machine.linger(at: shard.now)
        current = nil
        gate.open(nioChannel)
        armTimer()
        output.whenTaken { self.perform(self.machine.outputTaken(at: self.shard.now)) }
    }

    /// Closes the connection at once.
    func cutOff() { context?.close(promise: nil) }

    /// The server shuts down: complete requests in flight, accept no new ones.
    func drain() {
        perform(machine.drain(isBetweenRequests: decoder.isBetweenRequests, at: shard.now))
        armTimer()
    }
}
