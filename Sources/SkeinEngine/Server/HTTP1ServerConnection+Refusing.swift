// The ends of a connection that do not come from a handler: malformed requests, limits, shutdown.

import SkeinWire

extension HTTP1ServerConnection {
    /// A malformed request: it is answered with its own status, and the connection ends.
    func reject(_ error: HTTP1Error) {
        if let request = machine.request {
            current?.body?.fail(SkeinError(.bodyError, because: "the request is malformed: \(error)", cause: error))
            // A response may be half written; nothing can be said any more.
            guard request.exchange.isPending else { return cutOff() }
            task?.cancel()
            task = nil
        }
        refuse(decoder.status(of: error), "\(error)")
    }

    /// A client that sends a body as slowly as nobody does.
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

    /// Answers without a handler and ends the connection.
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

    /// Ends our side and waits a moment for the client to end its own, so that a reset does not destroy the last answer
    /// (RFC 9112, section 9.6).
    func linger() {
        guard context != nil else { return }
        machine.linger(at: shard.now)
        current = nil
        gate.open(nioChannel)
        armTimer()
        output.whenTaken { self.perform(self.machine.outputTaken(at: self.shard.now)) }
    }

    /// Ends the connection at once.
    func cutOff() { context?.close(promise: nil) }

    /// The server is shutting down: finish what is under way, begin nothing.
    func drain() {
        perform(machine.drain(isBetweenRequests: decoder.isBetweenRequests, at: shard.now))
        armTimer()
    }
}
