// What leaves the connection, and what is let in: one buffer that is kept, one write a tick, and pauses on both sides.

import SkeinTransport

extension HTTP1ServerConnection {
    // MARK: Writing

    func prepareOutput() {
        guard outputIsWritten else { return }
        output.clear()
        outputIsWritten = false
    }

    func writeOutput() {
        guard !outputIsWritten, output.readableBytes > 0 else { return }
        outputIsWritten = true
        context?.write(wrapOutboundOut(output), promise: nil)
    }

    func flush() {
        guard !outputIsWritten, output.readableBytes > 0 else { return }
        writeOutput()
        context?.flush()
    }

    func scheduleFlush() {
        guard !flushIsScheduled else { return }
        flushIsScheduled = true
        shard.eventLoop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    func write(piece: ByteBuffer, chunked: Bool) async throws {
        guard let context, case .answering(let answering) = phase else { throw ChannelError.ioOnClosedChannel }
        answering.scope.bytesSent += piece.readableBytes
        if bodyIsChunked {
            prepareOutput()
            HTTP1Encoder.writeChunk(piece, into: &output)
            flush()
        } else {
            writeOutput()
            context.writeAndFlush(wrapOutboundOut(piece), promise: nil)
        }
        setDeadline(owner.context.bodyTimeout)
        // Writing may have found out that the client is gone, which ends the connection before this line.
        guard self.context != nil else { throw ChannelError.ioOnClosedChannel }
        guard !context.channel.isWritable else { return }
        let begun = shard.now
        try await withUnsafeThrowingContinuation { writableWaiter = $0 }
        waited += shard.now - begun
        if pace.isTooSlow(answering.scope.bytesSent, within: waited) {
            cutOff()
            throw ChannelError.ioOnClosedChannel
        }
    }

    /// Writes a region of a file, and waits until the kernel has taken it. Returns false when that has failed.
    func write(_ region: FileRegion) async -> Bool {
        guard let context, case .answering(let answering) = phase else { return false }
        setDeadline(owner.context.bodyTimeout)
        let begun = shard.now
        regionIsUnderWay = true
        defer { regionIsUnderWay = false }
        do {
            try await context.writeAndFlush(NIOAny(region)).get()
        } catch {
            return false
        }
        answering.scope.bytesSent += region.readableBytes
        waited += shard.now - begun
        return !pace.isTooSlow(answering.scope.bytesSent, within: waited)
    }

    func writeBodyEnd(chunked: Bool) {
        guard bodyIsChunked, context != nil else { return }
        prepareOutput()
        do {
            try HTTP1Encoder.writeLastChunk(trailers: trailers, into: &output)
            flush()
        } catch {
            configuration.logger.error("a trailer cannot be sent: \(error)")
            cutOff()
        }
    }

    // MARK: What a handler may ask, and say before its answer

    var isSecure: Bool { encryption != nil }
    var nioChannel: (any Channel)? { context?.channel }
    var tls: TLSInfo? {
        encryption.map { TLSInfo($0.tlsVersion, $0.tlsVersion == nil ? nil : "http/1.1", $0.peerCertificate) }
    }

    func hint(_ headers: Headers) {
        shard.run {
            guard case .answering(let answering) = self.phase, !answering.isAnswered, answering.head.version != .http1_0
            else { return }
            self.prepareOutput()
            do {
                try HTTP1Encoder.writeResponseHead(
                    status: 103, headers: headers, framing: .bodiless, connection: .asIs, date: nil, into: &self.output)
                self.flush()
            } catch {
                self.configuration.logger.warning("an early hint was not sent: \(error)")
            }
        }
    }

    func push(_ path: String, _ headers: Headers) { hint(EarlyHints.preload(path)) }

    func wakeWriter(_ error: (any Error)? = nil) {
        guard let waiter = writableWaiter else { return }
        writableWaiter = nil
        if let error { waiter.resume(throwing: error) } else { waiter.resume() }
    }

    // MARK: Back-pressure

    func pauseReading() {
        if !isReadingPaused { pausedAt = shard.now }
        isReadingPaused = true
        try? context?.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    func resumeReading() {
        // A client that was not read could not send.
        if isReadingPaused, case .answering(var answering) = phase, !answering.isReceived {
            answering.begun = answering.begun + (shard.now - pausedAt)
            phase = .answering(answering)
        }
        isReadingPaused = false
        try? context?.channel.syncOptions?.setOption(.autoRead, value: true)
    }

    /// The handler reads the content: let it come, and tell a client that waits for our word.
    func streamWantsMore() {
        shard.run {
            guard case .answering(var answering) = self.phase else { return }
            if answering.owesContinue {
                answering.owesContinue = false
                answering.begun = self.shard.now
                self.phase = .answering(answering)
                self.prepareOutput()
                HTTP1Encoder.writeContinue(into: &self.output)
                self.flush()
            }
            if self.isReadingPaused {
                self.setDeadline(self.owner.context.bodyTimeout)
                self.resumeReading()
            }
        }
    }

    func streamWasCancelled() {
        shard.run { if self.isReadingPaused { self.resumeReading() } }
    }
}
