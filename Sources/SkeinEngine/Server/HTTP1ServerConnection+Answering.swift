// From a handler's answer to the bytes of the response.

extension HTTP1ServerConnection {
    /// Sends a handler's answer.
    func answer(_ response: ServerResponse) {
        guard case .answering(var answering) = phase, !answering.isAnswered else { return }
        if let problem = problem(with: response) { return answer(self.response(for: problem)) }
        if let upgrade = response.upgrade { return handOver(to: upgrade, response) }
        let head = answering.head
        let persists = willPersist(answering) && !response.closesConnection
        let plan = ResponsePlan(response, to: head.method)
        let framing = Self.framing(plan, to: head)
        do {
            try HTTP1Encoder.writeResponseHead(
                status: response.status, headers: response.headers, contentType: response.body.contentType,
                framing: framing, connection: !persists ? .close : head.version == .http1_0 ? .keepAlive : .asIs,
                date: owner.dateField(), into: &output.bytes)
        } catch {
            return answer(self.response(for: error))
        }
        answering.owesContinue = false
        answering.isAnswered = true
        answering.isEndless = response.isEndless
        answering.scope.answered(response.status)
        phase = .answering(answering)
        switch plan.content {
        case .nothing: finishAnswer(answering, persists)
        case .bytes(let bytes) where bytes.readableBytes <= BodyPieces.size:
            output.bytes.writeImmutableBuffer(bytes)
            answering.scope.bytesSent = bytes.readableBytes
            finishAnswer(answering, persists)
        case .bytes(let bytes):
            send(
                BodyPieces.of(bytes), length: bytes.readableBytes, framing, trailers: nil, answering, persists)
        case .stream(let length, let makeChunks):
            if let stretch = response.stretch, encryption == nil { return send(stretch, answering, persists) }
            send(makeChunks, length: length, framing, trailers: plan.trailers, answering, persists)
        }
    }

    private static func framing(_ plan: ResponsePlan, to head: RequestHead) -> HTTP1Encoder.ResponseFraming {
        switch plan.announcement {
        case .nothing: .bodiless
        case .length(let length): .length(length)
        // Trailers alone have no place in HTTP/1.1.
        case .trailers: .length(0)
        case .open: head.version == .http1_0 ? .untilClose : .chunked
        }
    }

    /// Whether the connection goes on after this answer: both want it, and the rest of the content is here or worth reading.
    func willPersist(_ answering: Answering) -> Bool {
        guard answering.head.keepAlive, !owner.isDraining, !peerHasFinished,
            served < owner.context.maximumRequestsPerConnection
        else { return false }
        if answering.isReceived { return true }
        guard !answering.owesContinue, case .known(let length) = answering.head.bodyLength else { return false }
        return length - answering.received <= 256 << 10
    }

    func send(
        _ makeChunks: @escaping @Sendable () -> AsyncThrowingChunks, length: Int?,
        _ framing: HTTP1Encoder.ResponseFraming,
        trailers: Headers?, _ answering: Answering, _ persists: Bool
    ) {
        output.flush()
        bodyIsChunked = if case .chunked = framing { true } else { false }
        self.trailers = trailers
        waited = .zero
        task = Task(executorPreference: shard.executor) {
            switch await makeChunks().send(to: self, length: length, peer: "the response") {
            case .sent: self.finishAnswer(answering, persists && self.endsItself(framing))
            case .unwanted: break
            case .failed(let fault):
                // The client can tell from the missing end that the content is not whole.
                self.configuration.logger.error("a response body failed: \(fault)")
                self.cutOff()
            }
        }
    }

    /// Lets the kernel send a stretch of a file, a part at a time, so that a slow client can be told from a stalled one.
    private func send(_ stretch: FileStretch, _ answering: Answering, _ persists: Bool) {
        output.write()
        waited = .zero
        task = Task(executorPreference: shard.executor) {
            let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: stretch.file.descriptor)
            var rest = stretch.range
            var isOpen = true
            while isOpen, !rest.isEmpty {
                let part = rest.lowerBound..<min(rest.lowerBound + BodyPieces.size, rest.upperBound)
                rest = part.upperBound..<rest.upperBound
                isOpen = await self.write(
                    FileRegion(fileHandle: handle, readerIndex: part.lowerBound, endIndex: part.upperBound))
            }
            // The file closes its descriptor itself.
            _ = try? handle.takeDescriptorOwnership()
            if isOpen { self.finishAnswer(answering, persists) } else { self.cutOff() }
        }
    }

    func endsItself(_ framing: HTTP1Encoder.ResponseFraming) -> Bool {
        if case .untilClose = framing { false } else { true }
    }

    /// The answer is written: the connection goes on with the next request, or ends.
    func finishAnswer(_ answering: Answering, _ persists: Bool) {
        task = nil
        owner.record(answering.scope)
        guard case .answering(var current) = phase else { return }
        guard persists, !peerHasFinished else {
            current.body?.fail(
                SkeinError(.channelClosed, because: "the request was answered before its content was read"))
            return linger()
        }
        if current.isReceived { return finishExchange(current) }
        current.body?.cancel()  // answered early: what is still to come is skipped
        current.isDone = true
        phase = .answering(current)
        goOnReading(.consumer)
        if !isAdvancing { output.flush() }
    }

    func finishExchange(_ answering: Answering) {
        phase = .idle
        goOnReading(.consumer)
        guard !isAdvancing else { return }  // the loop that called us goes on by itself
        if decoder.hasBufferedBytes {
            // Answers to pipelined requests that are ready in one tick leave in one write.
            output.flushSoon()
            phase = .head
            advance()
        } else {
            output.flush()
            keepTime()
        }
    }
}
