// Connection-level frames: settings, pings, and shutdown (RFC 9113, sections 6.5, 6.7 and 6.8).

import NIOCore

/// The payloads of our pings, which identify their acknowledgements.
enum PingPayload {
    static let measurement: UInt64 = 0x736B_6569_6E00_0001
    static let shutdown: UInt64 = 0x736B_6569_6E00_0002
    static let owner: UInt64 = 0x736B_6569_6E00_0003
}

extension HTTP2Engine {
    /// Writes the preface and the settings.
    mutating func introduce() {
        if role == .client { output.writeStaticString(HTTP2Preface.bytes) }
        writeSettings(ourSettings)
        if windows.connection > receiveWindow.size {
            let increment = windows.connection - receiveWindow.size
            writeWindowUpdate(0, increment)
            _ = receiveWindow.grow(increment)
        }
    }

    private var ourSettings: [(UInt16, Int)] {
        typealias Parameter = HTTP2Settings.Parameter
        var parameters: [(UInt16, Int)] = [
            (Parameter.initialWindowSize, windows.stream), (Parameter.maximumHeaderListSize, limits.headerList),
        ]
        if limits.frameSize != 16_384 { parameters.append((Parameter.maximumFrameSize, limits.frameSize)) }
        switch role {
        case .client:
            parameters.append((Parameter.enablePush, acceptsPush ? 1 : 0))
            if acceptsPush { parameters.append((Parameter.maximumConcurrentStreams, limits.concurrentStreams)) }
        case .server:
            parameters.append((Parameter.maximumConcurrentStreams, limits.concurrentStreams))
            parameters.append((Parameter.noRFC7540Priorities, 1))
            if allowsExtendedConnect { parameters.append((Parameter.enableConnectProtocol, 1)) }
        }
        return parameters
    }

    /// The value of the HTTP2-Settings field with which a client asks for an upgrade (RFC 7540, section 3.2.1).
    package var upgradeSettings: ByteBuffer { HTTP2Settings.payload(ourSettings) }

    // MARK: SETTINGS

    mutating func settings(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) -> Progress {
        guard header.stream == 0 else { throw HTTP2Error(.protocolError, "SETTINGS on a stream") }
        try spendIdleFrame("SETTINGS")
        if header.flags.contains(.acknowledgement) {
            guard header.length == 0 else { throw HTTP2Error(.frameSizeError, "an acknowledgement with a payload") }
            return .more
        }
        try apply(payload)
        hasPeerSettings = true
        FrameHeader(.settings, flags: .acknowledgement, length: 0).write(to: &output)
        return .event(.settings)
    }

    mutating func apply(_ payload: ByteBuffer) throws(HTTP2Error) {
        let before = peer
        try peer.apply(payload, from: role == .client ? .server : .client)
        if peer.headerTableSize != before.headerTableSize { packer.limitTable(to: peer.headerTableSize) }
        let change = peer.initialWindowSize - before.initialWindowSize
        guard change != 0 else { return }
        for stream in streams.open {
            guard streams[stream.slot].sendWindow.grow(change) else {
                throw HTTP2Error(.flowControlError, "new settings make a window larger than 2^31-1")
            }
            scheduleIfReady(stream.slot)
        }
    }

    // MARK: PING

    mutating func ping(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) -> Progress {
        guard header.stream == 0 else { throw HTTP2Error(.protocolError, "PING on a stream") }
        guard header.length == 8, let number = payload.getInteger(at: payload.readerIndex, as: UInt64.self) else {
            throw HTTP2Error(.frameSizeError, "a PING is not eight bytes long")
        }
        guard header.flags.contains(.acknowledgement) else {
            try spendIdleFrame("PING")
            FrameHeader(.ping, flags: .acknowledgement, length: 8).write(to: &output)
            output.writeInteger(number)
            return .more
        }
        switch number {
        case PingPayload.measurement: growWindows()
        case PingPayload.shutdown: finishShutdown()
        case PingPayload.owner: return .event(.pong)
        default: try spendIdleFrame("unasked PING")
        }
        return .more
    }

    private mutating func growWindows() {
        guard let growth = windows.endMeasurement() else { return }
        writeSettings([(HTTP2Settings.Parameter.initialWindowSize, windows.stream)])
        for stream in streams.open { _ = streams[stream.slot].receiveWindow.grow(growth.stream) }
        guard growth.connection > 0 else { return }
        writeWindowUpdate(0, growth.connection)
        _ = receiveWindow.grow(growth.connection)
    }

    /// Sends a PING; its acknowledgement is a ``Event/pong``.
    package mutating func ping() { writePing(PingPayload.owner) }

    // MARK: The end

    mutating func goAway(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) -> Progress {
        guard header.stream == 0 else { throw HTTP2Error(.protocolError, "GOAWAY on a stream") }
        var payload = payload
        guard let (number, code) = payload.readMultipleIntegers(as: (UInt32, UInt32).self) else {
            throw HTTP2Error(.frameSizeError, "a GOAWAY is shorter than eight bytes")
        }
        try spendIdleFrame("GOAWAY")
        peerLeaves = true
        let last = number & 0x7FFF_FFFF
        let error = HTTP2ErrorCode(rawValue: code)
        let debug = payload.readString(length: min(256, payload.readableBytes)) ?? ""
        for stream in streams.open where streams[stream.slot].isOurs && stream.id > last {
            forget(stream.slot)
            lately.insert(stream.id)
            events.append(
                .reset(
                    stream,
                    StreamReset(code: error, reason: "the peer goes away", byPeer: true, isUnprocessed: true)))
        }
        events.append(.goAway(error, debug))
        return .more
    }

    /// Accepts no more streams: the peer is told, and streams that it opens until then are still handled.
    package mutating func beginShutdown() {
        guard leaving == .no, !hasFailed else { return }
        guard role == .server else {
            leaving = .above(highestOfPeer)
            return writeGoAway(.noError, last: highestOfPeer)
        }
        leaving = .announced
        writeGoAway(.noError, last: UInt32(FlowWindow.maximum))
        writePing(PingPayload.shutdown)
    }

    /// The peer has been told: new streams from now on are ignored.
    package mutating func finishShutdown() {
        guard leaving == .announced else { return }
        leaving = .above(highestOfPeer)
        writeGoAway(.noError, last: highestOfPeer)
    }

    /// Ends the connection with an error, for the owner's own reasons.
    package mutating func fail(_ error: HTTP2Error) {
        guard !hasFailed else { return }
        hasFailed = true
        input = ByteBuffer()
        writeGoAway(error.code, last: highestOfPeer, error.reason)
    }

    // MARK: Upgrade from HTTP/1.1 (RFC 7540, section 3.2)

    /// As a client whose upgrade was accepted: the stream for the response to the upgraded request.
    package mutating func adoptUpgradedRequest(isHead: Bool) -> HTTP2Stream {
        let slot = insert(1, isOurs: true, receiving: .head, sending: .ended)
        streams[slot].isHead = isHead
        nextOfOurs = 3
        return HTTP2Stream(id: 1, slot: slot)
    }

    /// As a server that accepts an upgrade: the stream for the response to the upgraded request.
    package mutating func acceptUpgrade(settings: ByteBuffer, isHead: Bool) throws(HTTP2Error) -> HTTP2Stream {
        try apply(settings)
        let slot = insert(1, isOurs: false, receiving: .ended, sending: .head)
        streams[slot].isHead = isHead
        highestOfPeer = 1
        return HTTP2Stream(id: 1, slot: slot)
    }
}
