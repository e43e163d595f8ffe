// Sends frames: heads at once, content by schedule and flow control.

import SkeinCore
import NIOCore

extension HTTP2Engine {
    /// Bytes in ``output`` above which content waits for the socket.
    private static let fullOutput = 64 << 10
    /// Pending bytes of a stream below which its owner is asked for more.
    private static let lowWater = 32 << 10

    // MARK: Heads

    /// Opens a stream with a request. ``canOpen`` must be true.
    /// - Parameters:
    ///   - defaults: fields that are sent unless `headers` has them.
    ///   - bodyLength: `none` ends our side of the stream.
    ///   - hasTrailers, protocolName: keep our side open without content.
    /// - Throws: `HeaderProblem` when a field, the method or the target is invalid; nothing is written then.
    package mutating func open(
        method: HTTPMethod, scheme: String, authority: String, path: String, headers: Headers,
        defaults: Headers = Headers(), contentType: String? = nil, bodyLength: BodyLength,
        hasTrailers: Bool = false, protocolName: String? = nil
    ) throws(HeaderProblem) -> HTTP2Stream {
        if let problem = headers.problemAsText { throw problem }
        guard !method.rawValue.isEmpty, method.rawValue.utf8.allSatisfy(Bytes.isToken) else {
            throw HeaderProblem(name: "method", fault: .forbiddenByte)
        }
        guard !path.isEmpty, path.utf8.allSatisfy(Bytes.isTarget) else {
            throw HeaderProblem(name: "request target", fault: .forbiddenByte)
        }
        packer.begin()
        packer.add(":method", method.rawValue)
        packer.add(":scheme", scheme)
        packer.add(":authority", headers.known.contains(.host) ? headers["host"] ?? authority : authority)
        packer.add(path: path)
        if let protocolName { packer.add(":protocol", protocolName) }
        packer.add(headers, omitting: [.host, .contentLength])
        for index in defaults.fields.indices where !headers.contains(defaults.name(at: index)) {
            packer.add(
                defaults.fields[index].known.lowercaseName ?? defaults.lowercaseName(at: index),
                defaults.value(at: index))
        }
        if let contentType, !headers.known.contains(.contentType) { packer.add("content-type", contentType) }
        switch bodyLength {
        case .none: if method.announcesEmptyBody { packer.add(length: 0) }
        case .known(let length): packer.add(length: length)
        case .streamed: break
        }
        let isLast = bodyLength == .none && !hasTrailers && protocolName == nil
        let id = nextOfOurs
        nextOfOurs += 2
        writeHeaders(packer.end(), id, isLast: isLast)
        let slot = insert(id, isOurs: true, receiving: .head, sending: isLast ? .ended : .body)
        streams[slot].isHead = method == .head
        return HTTP2Stream(id: id, slot: slot)
    }

    /// Responds to a request.
    /// - Parameters:
    ///   - length: the Content-Length; nil for none.
    ///   - isLast: whether neither content nor trailers follow.
    /// - Throws: `HeaderProblem` when a field is invalid; nothing is written then.
    package mutating func respond(
        _ status: HTTPStatus, headers: Headers, contentType: String?, length: Int?, date: String?, isLast: Bool,
        on stream: HTTP2Stream
    ) throws(HeaderProblem) {
        if let problem = headers.problemAsText { throw problem }
        guard let slot = streams.slot(of: stream), streams[slot].sending == .head else { return }
        packer.begin()
        packer.add(":status", status == .ok ? "200" : String(status.code))
        if let date, !headers.known.contains(.date) { packer.add(date: date) }
        packer.add(headers, omitting: .contentLength)
        if let contentType, !headers.known.contains(.contentType) { packer.add("content-type", contentType) }
        if let length { packer.add(length: length) }
        if !status.isInformational { streams[slot].sending = .body }
        writeHeaders(packer.end(), stream.id, isLast: isLast)
        if isLast { endSending(slot) }
    }

    /// Promises the response to a request made by the server. Returns nil when the client does not accept pushes.
    /// - Throws: `HeaderProblem` when a field is invalid; nothing is written then.
    package mutating func promise(
        path: String, scheme: String, authority: String, headers: Headers, on parent: HTTP2Stream
    ) throws(HeaderProblem) -> HTTP2Stream? {
        if let problem = headers.problemAsText { throw problem }
        guard path.hasBytePrefix("/"), path.utf8.allSatisfy(Bytes.isTarget) else {
            throw HeaderProblem(name: "pushed path", fault: .forbiddenByte)
        }
        guard role == .server, peer.isPushEnabled, leaving == .no, !peerLeaves, !hasFailed, parent.id & 1 == 1,
            streams.oursCount < peer.maximumConcurrentStreams, let slot = streams.slot(of: parent),
            streams[slot].sending != .ended
        else { return nil }
        packer.begin()
        packer.add(":method", "GET")
        packer.add(":scheme", scheme)
        packer.add(":authority", authority)
        packer.add(path: path)
        packer.add(headers, omitting: [.host, .contentLength])
        let id = nextOfOurs
        nextOfOurs += 2
        writeBlock(packer.end(), .pushPromise, parent.id, [], promised: id)
        let place = insert(id, isOurs: true, receiving: .ended, sending: .head)
        return HTTP2Stream(id: id, slot: place)
    }

    private mutating func writeHeaders(_ block: ByteBuffer, _ id: UInt32, isLast: Bool) {
        writeBlock(block, .headers, id, isLast ? .endStream : [])
    }

    /// Writes a header block in as many frames as needed.
    private mutating func writeBlock(
        _ block: ByteBuffer, _ type: FrameType, _ id: UInt32, _ flags: FrameFlags, promised: UInt32? = nil
    ) {
        let overhead = promised == nil ? 0 : 4
        var block = block
        var length = min(block.readableBytes, peer.maximumFrameSize - overhead)
        var isWhole = length == block.readableBytes
        FrameHeader(type, flags: isWhole ? flags.union(.endHeaders) : flags, stream: id, length: length + overhead)
            .write(to: &output)
        if let promised { output.writeInteger(promised) }
        while true {
            if isWhole {
                output.writeBuffer(&block)
                return
            }
            if var slice = block.readSlice(length: length) { output.writeBuffer(&slice) }
            length = min(block.readableBytes, peer.maximumFrameSize)
            isWhole = length == block.readableBytes
            FrameHeader(.continuation, flags: isWhole ? .endHeaders : [], stream: id, length: length)
                .write(to: &output)
        }
    }

    // MARK: Content

    /// Sends content, now or when possible. No effect when the stream has ended.
    /// - Parameter isLast: whether it ends our side of the stream.
    package mutating func send(_ bytes: ByteBuffer, isLast: Bool, on stream: HTTP2Stream) {
        guard let slot = streams.slot(of: stream), streams[slot].sending == .body else { return }
        let count = bytes.readableBytes
        let mayGoNow =
            schedule.isEmpty && count <= peer.maximumFrameSize && count <= streams[slot].sendWindow.size
            && count <= sendWindow.size && output.readableBytes < Self.fullOutput
        if streams[slot].outgoing == nil, count == 0 || mayGoNow {
            guard count > 0 || isLast else { return }
            return writeData(bytes, slot, isLast: isLast)
        }
        let outgoing = outgoing(slot)
        if count > 0 {
            outgoing.pieces.append(bytes)
            outgoing.bytes += count
        }
        if isLast { outgoing.isComplete = true }
        scheduleIfReady(slot)
    }

    /// Ends our side of a stream with trailers, after its content.
    /// - Throws: `HeaderProblem` when a field is invalid.
    package mutating func finish(_ trailers: Headers?, on stream: HTTP2Stream) throws(HeaderProblem) {
        guard let trailers, !trailers.isEmpty else { return send(ByteBuffer(), isLast: true, on: stream) }
        if let problem = trailers.problemAsText { throw problem }
        guard let slot = streams.slot(of: stream), streams[slot].sending == .body else { return }
        guard streams[slot].outgoing == nil else {
            let outgoing = outgoing(slot)
            outgoing.trailers = trailers
            outgoing.isComplete = true
            return scheduleIfReady(slot)
        }
        writeTrailers(trailers, slot)
    }

    /// Resets a stream; its owner is not notified.
    package mutating func cancel(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        guard let slot = streams.slot(of: stream) else { return }
        writeReset(stream.id, code)
        lately.insert(stream.id)
        forget(slot)
    }

    /// The pending bytes of a stream.
    package func waitingBytes(on stream: HTTP2Stream) -> Int {
        streams.slot(of: stream).flatMap { streams[$0].outgoing?.bytes } ?? 0
    }

    /// Requests a ``Event/drained`` when few pending bytes are left on a stream.
    /// - Returns: false when there are few already.
    package mutating func notifyWhenDrained(_ stream: HTTP2Stream) -> Bool {
        guard let slot = streams.slot(of: stream), let outgoing = streams[slot].outgoing,
            outgoing.bytes > Self.lowWater
        else { return false }
        outgoing.ownerWaits = true
        return true
    }

    /// Whether content can be sent within the windows.
    package var hasSendable: Bool { !schedule.isEmpty && sendWindow.size > 0 }

    /// Whether content may be sent on a stream.
    package func isSending(_ stream: HTTP2Stream) -> Bool {
        streams.slot(of: stream).map { streams[$0].sending == .body } ?? false
    }

    /// Whether the receiving side of a stream is open.
    package func isReceiving(_ stream: HTTP2Stream) -> Bool {
        streams.slot(of: stream).map { streams[$0].receiving != .ended } ?? false
    }

    /// Moves pending content to the output until that is full, one frame of each stream in turn.
    package mutating func fill(at now: NIODeadline) {
        guard !schedule.isEmpty else { return }
        self.now = now
        while output.readableBytes < Self.fullOutput, sendWindow.size > 0, let slot = schedule.next() {
            streams[slot].isScheduled = false
            sendNextFrame(slot)
        }
    }

    private mutating func sendNextFrame(_ slot: Int) {
        guard let outgoing = streams[slot].outgoing else { return }
        var count = min(outgoing.bytes, peer.maximumFrameSize, streams[slot].sendWindow.size, sendWindow.size)
        guard count > 0 else { return }
        let isLast = count == outgoing.bytes && outgoing.isComplete && outgoing.trailers == nil
        writeDataHeader(slot, count, isLast: isLast)
        outgoing.bytes -= count
        streams[slot].progress = now
        while count > 0, var piece = outgoing.pieces.popFirst() {
            if piece.readableBytes > count, let part = piece.readSlice(length: count) {
                outgoing.pieces.prepend(piece)
                piece = part
            }
            count -= piece.readableBytes
            output.writeImmutableBuffer(piece)
        }
        guard outgoing.bytes == 0 else {
            if outgoing.ownerWaits, outgoing.bytes <= Self.lowWater { notifyDrained(slot, outgoing) }
            guard streams[slot].sendWindow.size > 0 else { return }
            let priority = streams[slot].priority
            streams[slot].isScheduled = true
            if priority.isIncremental {
                schedule.append(slot, urgency: priority.urgency)
            } else {
                schedule.prepend(slot, urgency: priority.urgency)
            }
            return
        }
        streams[slot].outgoing = nil
        streams[slot].rateMark = nil
        if outgoing.ownerWaits { notifyDrained(slot, outgoing) }
        guard outgoing.isComplete else { return }
        if let trailers = outgoing.trailers { writeTrailers(trailers, slot) } else { endSending(slot) }
    }

    private mutating func notifyDrained(_ slot: Int, _ outgoing: StreamRecord.Outgoing) {
        outgoing.ownerWaits = false
        events.append(.drained(HTTP2Stream(id: streams[slot].id, slot: slot)))
    }

    private mutating func outgoing(_ slot: Int) -> StreamRecord.Outgoing {
        if let outgoing = streams[slot].outgoing { return outgoing }
        let outgoing = StreamRecord.Outgoing()
        streams[slot].outgoing = outgoing
        return outgoing
    }

    /// Schedules a stream when it has content and an open window.
    mutating func scheduleIfReady(_ slot: Int) {
        guard let outgoing = streams[slot].outgoing, !streams[slot].isScheduled else { return }
        guard outgoing.bytes > 0, streams[slot].sendWindow.size > 0 else { return }
        streams[slot].isScheduled = true
        schedule.append(slot, urgency: streams[slot].priority.urgency)
    }

    mutating func setPriority(_ priority: StreamPriority, _ slot: Int) {
        if streams[slot].isScheduled, streams[slot].priority.urgency != priority.urgency {
            schedule.remove(slot, urgency: streams[slot].priority.urgency)
            schedule.append(slot, urgency: priority.urgency)
        }
        streams[slot].priority = priority
    }

    private mutating func writeData(_ bytes: ByteBuffer, _ slot: Int, isLast: Bool) {
        writeDataHeader(slot, bytes.readableBytes, isLast: isLast)
        output.writeImmutableBuffer(bytes)
        if isLast { endSending(slot) }
    }

    private mutating func writeDataHeader(_ slot: Int, _ count: Int, isLast: Bool) {
        FrameHeader(.data, flags: isLast ? .endStream : [], stream: streams[slot].id, length: count)
            .write(to: &output)
        streams[slot].sendWindow.take(count)
        sendWindow.take(count)
        streams[slot].sent += count
        sentBytes += count
        idleFrames.earn(3)  // careful peers answer each with two WINDOW_UPDATEs, and some with a PING
    }

    private mutating func writeTrailers(_ trailers: Headers, _ slot: Int) {
        packer.begin()
        packer.add(trailers, omitting: .forbiddenInTrailers)
        writeHeaders(packer.end(), streams[slot].id, isLast: true)
        endSending(slot)
    }

    private mutating func endSending(_ slot: Int) {
        streams[slot].sending = .ended
        if streams[slot].receiving == .ended { endStream(slot) }
    }

    // MARK: Control frames

    mutating func writeReset(_ id: UInt32, _ code: HTTP2ErrorCode) {
        FrameHeader(.resetStream, stream: id, length: 4).write(to: &output)
        output.writeInteger(code.rawValue)
    }

    mutating func writeWindowUpdate(_ id: UInt32, _ increment: Int) {
        FrameHeader(.windowUpdate, stream: id, length: 4).write(to: &output)
        output.writeInteger(UInt32(increment))
    }

    mutating func writePing(_ payload: UInt64) {
        FrameHeader(.ping, length: 8).write(to: &output)
        output.writeInteger(payload)
    }

    mutating func writeSettings(_ parameters: [(UInt16, Int)]) {
        var payload = HTTP2Settings.payload(parameters)
        FrameHeader(.settings, length: payload.readableBytes).write(to: &output)
        output.writeBuffer(&payload)
    }

    mutating func writeGoAway(_ code: HTTP2ErrorCode, last: UInt32, _ reason: String = "") {
        FrameHeader(.goAway, length: 8 + reason.utf8.count).write(to: &output)
        output.writeMultipleIntegers(last, code.rawValue)
        output.writeString(reason)
    }
}
