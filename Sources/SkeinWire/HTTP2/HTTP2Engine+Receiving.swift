// Parses frames: sizes, order, and valid streams (RFC 9113, sections 4 to 6).

import NIOCore

extension HTTP2Engine {
    /// The result of a parsing step.
    enum Progress {
        case event(Event)
        case more
        /// More bytes are needed.
        case starved
    }

    mutating func readNext() throws(HTTP2Error) -> Progress {
        switch reading {
        case .frame: return try readFrame()
        case .data(let rest): return deliverData(rest)
        case .skip(let count):
            let skipped = min(count, input.readableBytes)
            input.moveReaderIndex(forwardBy: skipped)
            guard skipped == count else {
                reading = .skip(count - skipped)
                return .starved
            }
            reading = .frame
            return .more
        case .preface:
            switch HTTP2Preface.match(input) {
            case .no: throw HTTP2Error(.protocolError, "the connection does not begin with the preface")
            case .perhaps: return .starved
            case .yes:
                input.moveReaderIndex(forwardBy: HTTP2Preface.bytes.utf8CodeUnitCount)
                reading = .frame
                return .more
            }
        }
    }

    mutating func readFrame() throws(HTTP2Error) -> Progress {
        guard let header = FrameHeader(peeking: input) else { return .starved }
        if !hasPeerSettings, header.type != .settings || header.flags.contains(.acknowledgement) {
            throw HTTP2Error(.protocolError, "the first frame is not SETTINGS; does the peer speak HTTP/2?")
        }
        guard header.length <= limits.frameSize else {
            throw HTTP2Error(.frameSizeError, "a frame of \(header.length) bytes is larger than \(limits.frameSize)")
        }
        if let openBlock, header.type != .continuation || header.stream != openBlock.stream {
            throw HTTP2Error(.protocolError, "a frame came in the middle of a header block")
        }
        if header.type == .data { return try beginData(header) }
        guard input.readableBytes >= FrameHeader.size + header.length else { return .starved }
        input.moveReaderIndex(forwardBy: FrameHeader.size)
        guard var payload = input.readSlice(length: header.length) else { return .starved }
        switch header.type {
        case .headers: return try headers(header, &payload)
        case .continuation: return try continuation(header, payload)
        case .windowUpdate: try windowUpdate(header, payload)
        case .resetStream: return try resetStream(header, payload)
        case .settings: return try settings(header, payload)
        case .ping: return try ping(header, payload)
        case .goAway: return try goAway(header, payload)
        case .priority: try priority(header, payload)
        case .priorityUpdate: try priorityUpdate(header, payload)
        case .pushPromise: return try pushPromise(header, &payload)
        default: try spendIdleFrame("unknown")
        }
        return .more
    }

    /// Counts a frame without useful content.
    mutating func spendIdleFrame(_ kind: String) throws(HTTP2Error) {
        guard idleFrames.spend(at: now) else { throw HTTP2Error(.enhanceYourCalm, "too many \(kind) frames") }
    }

    /// Whether no stream of this number was ever opened.
    func isIdle(_ id: UInt32) -> Bool {
        let isOurs = (id & 1 == 1) == (role == .client)
        return isOurs ? id >= nextOfOurs : id > highestOfPeer
    }

    // MARK: DATA

    mutating func beginData(_ header: FrameHeader) throws(HTTP2Error) -> Progress {
        guard header.stream != 0 else { throw HTTP2Error(.protocolError, "DATA on stream 0") }
        var padding = 0
        if header.flags.contains(.padded) {
            guard header.length > 0 else { throw HTTP2Error(.frameSizeError, "padded DATA of no length") }
            guard let length = input.getInteger(at: input.readerIndex + FrameHeader.size, as: UInt8.self) else {
                return .starved
            }
            guard Int(length) < header.length else {
                throw HTTP2Error(.protocolError, "the padding is longer than the frame")
            }
            padding = Int(length) + 1
        }
        input.moveReaderIndex(forwardBy: FrameHeader.size + (padding > 0 ? 1 : 0))
        try takeFromConnectionWindow(header.length)
        let isLast = header.flags.contains(.endStream)
        let length = header.length - padding
        if length == 0, !isLast { try spendIdleFrame("empty DATA") } else { idleFrames.earn(1) }
        let rest = DataRest(id: header.stream, left: length, padding: max(0, padding - 1), isLast: isLast)
        guard let slot = streams.slot(of: header.stream) else {
            if isIdle(header.stream) { throw HTTP2Error(.protocolError, "DATA on an idle stream") }
            guard lately.contains(header.stream) else {
                throw HTTP2Error(.streamClosed, "DATA on a stream that has ended")
            }
            reading = .skip(rest.left + rest.padding)
            return .more
        }
        reading = .skip(rest.left + rest.padding)
        switch streams[slot].receiving {
        case .head: try resetStream(slot, .protocolError, "DATA before the head")
        case .ended: try resetStream(slot, .streamClosed, "DATA after the end")
        case .body:
            streams[slot].receiveWindow.take(header.length)
            // An empty frame is not progress.
            if length > 0 || isLast { streams[slot].progress = now }
            guard streams[slot].receiveWindow.size >= 0 else {
                try resetStream(slot, .flowControlError, "more DATA than the window of the stream allows")
                return .more
            }
            if let expected = streams[slot].expected {
                let left = expected - length
                guard left >= 0, !isLast || left == 0 else {
                    try resetStream(slot, .protocolError, "the content is not as long as announced")
                    return .more
                }
                streams[slot].expected = left
            }
            if padding > 0 { giveBack(padding, slot) }
            reading = .data(rest)
            // Even an empty frame may be the last.
            if rest.left == 0 { return finishData(rest) }
        }
        return .more
    }

    mutating func deliverData(_ rest: DataRest) -> Progress {
        let count = min(rest.left, input.readableBytes)
        guard count > 0, let piece = input.readSlice(length: count) else { return .starved }
        var rest = rest
        rest.left -= count
        guard rest.left > 0 else { return finishData(rest, piece) }
        reading = .data(rest)
        guard let slot = streams.slot(of: rest.id) else { return .more }
        return .event(.data(HTTP2Stream(id: rest.id, slot: slot), piece, isLast: false))
    }

    mutating func finishData(_ rest: DataRest, _ piece: ByteBuffer = ByteBuffer()) -> Progress {
        reading = rest.padding > 0 ? .skip(rest.padding) : .frame
        guard let slot = streams.slot(of: rest.id) else { return .more }
        if rest.isLast { endReceiving(slot) }
        guard rest.isLast || piece.readableBytes > 0 else { return .more }
        return .event(.data(HTTP2Stream(id: rest.id, slot: slot), piece, isLast: rest.isLast))
    }

    /// The peer has ended its side of a stream.
    mutating func endReceiving(_ slot: Int) {
        streams[slot].receiving = .ended
        if streams[slot].sending == .ended { endStream(slot) }
    }

    /// Both sides have ended.
    mutating func endStream(_ slot: Int) {
        resets.earn(1)
        streams.remove(slot)
    }

    // MARK: Stream frames

    mutating func windowUpdate(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) {
        guard header.length == 4, let number = payload.getInteger(at: payload.readerIndex, as: UInt32.self) else {
            throw HTTP2Error(.frameSizeError, "a WINDOW_UPDATE is not four bytes long")
        }
        try spendIdleFrame("WINDOW_UPDATE")
        let increment = Int(number & 0x7FFF_FFFF)
        if header.stream == 0 {
            guard increment > 0 else { throw HTTP2Error(.protocolError, "a WINDOW_UPDATE of 0") }
            guard sendWindow.grow(increment) else {
                throw HTTP2Error(.flowControlError, "the connection's window is larger than 2^31-1")
            }
        } else if let slot = streams.slot(of: header.stream) {
            guard increment > 0 else { return try resetStream(slot, .protocolError, "a WINDOW_UPDATE of 0") }
            guard streams[slot].sendWindow.grow(increment) else {
                return try resetStream(slot, .flowControlError, "the stream's window is larger than 2^31-1")
            }
            scheduleIfReady(slot)
        } else if isIdle(header.stream) {
            throw HTTP2Error(.protocolError, "WINDOW_UPDATE on an idle stream")
        }
    }

    mutating func resetStream(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) -> Progress {
        guard header.stream != 0 else { throw HTTP2Error(.protocolError, "RST_STREAM on stream 0") }
        guard header.length == 4, let number = payload.getInteger(at: payload.readerIndex, as: UInt32.self) else {
            throw HTTP2Error(.frameSizeError, "a RST_STREAM is not four bytes long")
        }
        guard !isIdle(header.stream) else { throw HTTP2Error(.protocolError, "RST_STREAM on an idle stream") }
        try spendReset()
        guard let slot = streams.slot(of: header.stream) else { return .more }
        let code = HTTP2ErrorCode(rawValue: number)
        let stream = HTTP2Stream(id: header.stream, slot: slot)
        forget(slot)
        return .event(
            .reset(
                stream,
                StreamReset(
                    code: code, reason: "the peer reset the stream", byPeer: true,
                    isUnprocessed: code == .refusedStream)))
    }

    /// Only a client can cause wasted work on a server by resets.
    mutating func spendReset() throws(HTTP2Error) {
        guard role == .server else { return }
        guard resets.spend(at: now) else { throw HTTP2Error(.enhanceYourCalm, "too many streams are reset") }
    }

    mutating func priority(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) {
        guard header.stream != 0 else { throw HTTP2Error(.protocolError, "PRIORITY on stream 0") }
        try spendIdleFrame("PRIORITY")
        guard header.length == 5, let parent = payload.getInteger(at: payload.readerIndex, as: UInt32.self) else {
            try refuse(header.stream, .frameSizeError, "a PRIORITY frame is not five bytes long")
            return
        }
        if parent & 0x7FFF_FFFF == header.stream {
            try refuse(header.stream, .protocolError, "a stream depends on itself")
        }
    }

    /// Resets a stream that may be open, closed or unknown.
    mutating func refuse(_ id: UInt32, _ code: HTTP2ErrorCode, _ reason: String) throws(HTTP2Error) {
        if let slot = streams.slot(of: id) { return try resetStream(slot, code, reason) }
        guard !isIdle(id) else { throw HTTP2Error(code, reason) }
        try spendReset()
        lately.insert(id)
        writeReset(id, code)
    }

    /// RFC 9218, section 7.1.
    mutating func priorityUpdate(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) {
        guard header.stream == 0 else { throw HTTP2Error(.protocolError, "PRIORITY_UPDATE on a stream") }
        guard role == .server else { throw HTTP2Error(.protocolError, "PRIORITY_UPDATE from a server") }
        guard header.length >= 4, let number = payload.getInteger(at: payload.readerIndex, as: UInt32.self) else {
            throw HTTP2Error(.frameSizeError, "a PRIORITY_UPDATE is shorter than four bytes")
        }
        try spendIdleFrame("PRIORITY_UPDATE")
        let id = number & 0x7FFF_FFFF
        guard id != 0 else { throw HTTP2Error(.protocolError, "PRIORITY_UPDATE for stream 0") }
        guard let slot = streams.slot(of: id) else { return }
        let field = payload.getString(at: payload.readerIndex + 4, length: header.length - 4) ?? ""
        setPriority(StreamPriority(field: field), slot)
    }

    // MARK: Windows

    mutating func takeFromConnectionWindow(_ bytes: Int) throws(HTTP2Error) {
        receiveWindow.take(bytes)
        guard receiveWindow.size >= 0 else {
            throw HTTP2Error(.flowControlError, "more DATA than the window of the connection allows")
        }
        windows.received(bytes)
        // The connection window is opened at once: a slow reader must only block its own stream.
        unannounced += bytes
        guard unannounced >= windows.connection / 2 else { return }
        writeWindowUpdate(0, unannounced)
        _ = receiveWindow.grow(unannounced)
        unannounced = 0
    }

    /// The owner has consumed content: the peer may send more.
    package mutating func consumed(_ bytes: Int, on stream: HTTP2Stream) {
        guard bytes > 0, let slot = streams.slot(of: stream) else { return }
        giveBack(bytes, slot)
    }

    mutating func giveBack(_ bytes: Int, _ slot: Int) {
        streams[slot].unannounced += bytes
        guard streams[slot].receiving == .body, streams[slot].unannounced >= windows.stream / 2 else { return }
        writeWindowUpdate(streams[slot].id, streams[slot].unannounced)
        _ = streams[slot].receiveWindow.grow(streams[slot].unannounced)
        streams[slot].unannounced = 0
        if windows.beginMeasurement() { writePing(PingPayload.measurement) }
    }
}
