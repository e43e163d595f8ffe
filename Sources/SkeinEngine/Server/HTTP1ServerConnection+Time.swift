// The one timer of a connection, and what its firing means.

extension HTTP1ServerConnection {
    /// Sets the deadline for what the connection waits for now, after the decoder has taken what there was.
    func keepTime() {
        if decoder.bufferedBytes < Self.highWater { goOnReading(.backlog) }
        switch phase {
        case .idle where decoder.isBetweenRequests: deadline = shard.now + owner.context.keepAliveTimeout
        case .idle:
            phase = .head
            setDeadline(owner.context.headerTimeout)
        case .head: if timerAt > deadline { armTimer() }
        case .answering:
            if decoder.bufferedBytes >= Self.highWater { holdReading(.backlog) }
        case .lingering, .closed: break
        }
        if timer == nil { armTimer() }
    }

    func setDeadline(_ time: TimeAmount) {
        deadline = shard.now + time
        if timerAt > deadline { armTimer() }
    }

    func armTimer() {
        guard context != nil, deadline != .distantFuture else { return }
        if let timer { shard.timers.cancel(timer) }
        timerAt = deadline
        timer = shard.timers.schedule(self, at: deadline)
    }

    /// The deadline moves with each request; the timer is set again only when it fires too early.
    func timerFired() {
        timer = nil
        timerAt = .distantFuture
        guard deadline <= shard.now else { return armTimer() }
        switch phase {
        case .head where served == 0 && !decoder.hasBufferedBytes: cutOff()  // never said a word
        case .head: refuse(.requestTimeout, "the request's head did not arrive in time")
        case .answering(let answering):
            // A handler may take its time; a client that neither sends nor takes what it should may not.
            let isStalled =
                (!answering.isReceived && gate.isOpen && !answering.owesContinue) || output.hasWaiters
                || regionIsUnderWay
            guard isStalled else { return setDeadline(owner.context.bodyTimeout) }
            answering.body?.fail(
                ServerError(.requestTimeout, "the client sent nothing for \(configuration.bodyTimeout)"))
            cutOff()
        case .idle, .lingering, .closed: cutOff()
        }
    }
}
