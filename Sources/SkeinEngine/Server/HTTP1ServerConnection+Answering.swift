// Encodes a handler's response.

import NIOCore
import SkeinHTTP
import SkeinWire

extension HTTP1ServerConnection {
    /// Sends a handler's response.
    func answer(_ response: ServerResponse) {
        guard let current, let request = machine.request, request.exchange.isPending else { return }
        if let problem = problem(with: response) { return answer(self.response(for: problem)) }
        if let upgrade = response.upgrade { return handOver(to: upgrade, response) }
        let head = current.scope.head
        let plan = ResponsePlan(response, to: head.method)
        let framing = Self.framing(plan, to: head)
        let persists = machine.persists(
            closes: response.closesConnection || owner.isDraining || !plan.isHeadAlone && framing.endsWithConnection)
        do {
            try HTTP1Encoder.writeResponseHead(
                status: response.status, headers: response.headers, contentType: response.body.contentType,
                framing: framing, connection: !persists ? .close : head.version == .http1_0 ? .keepAlive : .asIs,
                date: owner.dateField(), into: &output.bytes)
        } catch {
            return answer(self.response(for: error))
        }
        machine.beginResponse(persists: persists, isEndless: response.isEndless)
        current.scope.answered(response.status)
        switch plan.content {
        case .nothing: finishResponse(current.scope)
        case .bytes(let bytes) where bytes.readableBytes <= BodyPieces.size:
            output.bytes.writeImmutableBuffer(bytes)
            current.scope.bytesSent = bytes.readableBytes
            finishResponse(current.scope)
        case .bytes(let bytes):
            send(BodyPieces.of(bytes), length: bytes.readableBytes, framing, trailers: nil, current.scope)
        case .stream(let length, let makeChunks):
            if let fileRange = response.fileRange, encryption == nil { return send(fileRange, current.scope) }
            send(makeChunks, length: length, framing, trailers: plan.trailers, current.scope)
        }
    }

    private static func framing(_ plan: ResponsePlan, to head: RequestHead) -> HTTP1Encoder.ResponseFraming {
        switch plan.announcement {
        case .nothing: .bodiless
        case .length(let length): .length(length)
        // In HTTP/1.1, trailers need chunked content.
        case .trailers: .length(0)
        case .open: head.version == .http1_0 ? .untilClose : .chunked
        }
    }

    func send(
        _ makeChunks: @escaping @Sendable () -> AsyncThrowingChunks, length: Int?,
        _ framing: HTTP1Encoder.ResponseFraming,
        trailers: Headers?, _ scope: RequestScope
    ) {
        output.flush()
        bodyIsChunked = if case .chunked = framing { true } else { false }
        self.trailers = trailers
        waited = .zero
        task = Task(executorPreference: shard.executor) {
            switch await makeChunks().send(to: self, length: length, peer: "the response") {
            case .sent: self.finishResponse(scope)
            case .unwanted: break
            case .failed(let fault):
                // The missing end tells the client that the content is incomplete.
                if self.context != nil, !Task.isCancelled {
                    self.configuration.logger.error("a response body failed: \(fault)")
                }
                self.cutOff()
            }
        }
    }

    /// Sends a range of a file by the kernel, part by part, so that a slow client can be distinguished from a stalled
    /// one.
    private func send(_ fileRange: FileRange, _ scope: RequestScope) {
        output.write()
        waited = .zero
        task = Task(executorPreference: shard.executor) {
            let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: fileRange.file.descriptor)
            var rest = fileRange.range
            var isOpen = true
            while isOpen, !rest.isEmpty {
                let part = rest.lowerBound..<min(rest.lowerBound + BodyPieces.size, rest.upperBound)
                rest = part.upperBound..<rest.upperBound
                isOpen = await self.write(
                    FileRegion(fileHandle: handle, readerIndex: part.lowerBound, endIndex: part.upperBound))
            }
            // The file closes its descriptor itself.
            _ = try? handle.takeDescriptorOwnership()
            if isOpen { self.finishResponse(scope) } else { self.cutOff() }
        }
    }

    /// The response is written: the next request follows, or the connection ends.
    private func finishResponse(_ scope: RequestScope) {
        task = nil
        owner.record(scope)
        switch machine.endResponse(at: shard.now) {
        case .request: nextRequest()
        case .discard:
            current?.body?.cancel()
            goOnReading(.consumer)
            if !isAdvancing { output.flush() }
        case .linger:
            current?.body?.fail(
                SkeinError(.connectionClosed, because: "the request was answered before its content was read"))
            linger()
        case .nothing: break
        }
    }

    /// Request and response are complete.
    func nextRequest() {
        current = nil
        leavesWithClient = false
        goOnReading(.consumer)
        guard !isAdvancing else { return }  // the calling loop continues
        if decoder.hasBufferedBytes {
            // Responses to pipelined requests that are ready in one tick are sent in one write.
            output.flushSoon()
            advance()
        } else {
            output.flush()
            keepTime()
        }
    }
}

extension HTTP1Encoder.ResponseFraming {
    fileprivate var endsWithConnection: Bool { if case .untilClose = self { true } else { false } }
}
