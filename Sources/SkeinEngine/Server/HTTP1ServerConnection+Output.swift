// Output and flow control of the connection: a reused buffer, one write per tick, and back-pressure in both directions.

import NIOCore
import SkeinTransport
import SkeinWire

extension HTTP1ServerConnection {
    // MARK: Writing

    func write(piece: ByteBuffer, chunked: Bool) async throws {
        guard machine.request != nil, let scope = current?.scope else { throw ChannelError.ioOnClosedChannel }
        scope.bytesSent += piece.readableBytes
        if bodyIsChunked { HTTP1Encoder.writeChunk(piece, into: &output.bytes) } else { output.write(piece) }
        madeProgress()
        output.flush()
        if output.isWritable { return }
        let begun = shard.now
        try await output.untilWritable()
        waited += shard.now - begun
        if rate.isTooSlow(scope.bytesSent, within: waited) {
            cutOff()
            throw ChannelError.ioOnClosedChannel
        }
    }

    /// Writes a region of a file, and waits until the kernel has sent it. Returns false on failure.
    func write(_ region: FileRegion) async -> Bool {
        guard let context, machine.request != nil, let scope = current?.scope else { return false }
        madeProgress()
        let begun = shard.now
        regionIsUnderWay = true
        defer { regionIsUnderWay = false }
        do {
            try await context.writeAndFlush(NIOAny(region)).get()
        } catch {
            return false
        }
        scope.bytesSent += region.readableBytes
        waited += shard.now - begun
        return !rate.isTooSlow(scope.bytesSent, within: waited)
    }

    func writeBodyEnd(chunked: Bool, trailers: Headers?) {
        guard bodyIsChunked, context != nil else { return }
        do {
            try HTTP1Encoder.writeLastChunk(trailers: trailers ?? self.trailers, into: &output.bytes)
            output.flush()
        } catch {
            configuration.logger.error("a trailer cannot be sent: \(error)")
            cutOff()
        }
    }

    // MARK: Calls from the handler before its response

    var isSecure: Bool { encryption != nil }
    var nioChannel: (any Channel)? { output.channel }
    var tls: TLSInfo? {
        encryption.map { TLSInfo($0.tlsVersion, $0.tlsVersion == nil ? nil : "http/1.1", $0.peerCertificate) }
    }

    func inform(_ status: HTTPStatus, _ headers: Headers) {
        shard.run {
            guard let request = self.machine.request, request.exchange.isPending,
                let current = self.current, current.scope.head.version != .http1_0, self.output.isWritable
            else { return }
            do {
                try HTTP1Encoder.writeResponseHead(
                    status: status, headers: headers, framing: .bodiless, connection: .asIs, date: nil,
                    into: &self.output.bytes)
                self.output.flush()
            } catch {
                self.configuration.logger.warning("an interim response was not sent: \(error)")
            }
        }
    }

    func endsWithClient() {
        leavesWithClient = true
        if machine.hasClientFinished { armLeaving() }
    }

    /// A client that has ended its side may still read: fast responses are sent, long-running ones are cancelled.
    func armLeaving() {
        guard leavesWithClient, let scope = current?.scope else { return }
        shard.eventLoop.scheduleTask(in: .seconds(5)) { [weak self] in
            if let self, self.current?.scope === scope { self.cutOff() }
        }
    }

    func push(_ path: String, _ headers: Headers) { inform(103, EarlyHints.preload(path)) }

    // MARK: Back-pressure

    func holdReading(_ reason: ReadGate.Reason) {
        gate.hold(reason, nioChannel)
        machine.pause(at: shard.now)
    }

    func goOnReading(_ reason: ReadGate.Reason) {
        guard gate.release(reason, nioChannel) else { return }
        machine.resume(at: shard.now)
        armTimer()
    }

    /// The handler reads the content: resume reading, and send 100 (Continue) if the client waits for it.
    func streamWantsMore() {
        shard.run {
            if self.machine.contentIsWanted(at: self.shard.now) {
                self.armTimer()
                HTTP1Encoder.writeContinue(into: &self.output.bytes)
                self.output.flush()
            }
            self.goOnReading(.consumer)
        }
    }

    func streamWasCancelled() {
        shard.run { self.goOnReading(.consumer) }
    }
}
