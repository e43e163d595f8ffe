// The one timer of a connection.

extension HTTP1ServerConnection {
    /// Sets the deadline of the current state, after the decoder has consumed its input.
    func keepTime() {
        machine.settle(isBetweenRequests: decoder.isBetweenRequests, at: shard.now)
        if decoder.bufferedBytes < Self.highWater {
            goOnReading(.backlog)
        } else if machine.request != nil {
            holdReading(.backlog)
        }
        armTimer()
    }

    /// Sets the timer to the machine's deadline. When a deadline only moves later, the timer is left alone; it is set
    /// again when it fires too early.
    func armTimer() {
        guard context != nil, timerAt > machine.deadline else { return }
        if let timer { shard.timers.cancel(timer) }
        timerAt = machine.deadline
        timer = shard.timers.schedule(self, at: timerAt)
    }

    /// The client has read some of the response, or more output was written.
    func madeProgress() {
        machine.madeProgress(at: shard.now)
        armTimer()
    }

    func timerFired() {
        timer = nil
        timerAt = .distantFuture
        let overdue = machine.timerFired(
            at: shard.now, hasBytes: decoder.hasBufferedBytes, isReading: gate.isOpen,
            isWriting: output.hasWaiters || regionIsUnderWay)
        switch overdue {
        case .nothing: armTimer()
        case .cutOff: cutOff()
        case .refuse: refuse(.requestTimeout, "the request's head did not arrive in time")
        case .stalled:
            current?.body?.fail(
                ServerError(.requestTimeout, "the client sent nothing for \(configuration.bodyTimeout)"))
            cutOff()
        }
    }
}
