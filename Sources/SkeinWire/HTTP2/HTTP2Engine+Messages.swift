// Handles header blocks: which stream a block opens, continues or ends (RFC 9113, section 8.1).

import NIOCore
import NIOHPACK

extension HTTP2Engine {
    mutating func headers(_ header: FrameHeader, _ payload: inout ByteBuffer) throws(HTTP2Error) -> Progress {
        guard header.stream != 0 else { throw HTTP2Error(.protocolError, "HEADERS on stream 0") }
        try removePadding(header, &payload)
        var dependsOnItself = false
        if header.flags.contains(.priority) {
            guard let (parent, _) = payload.readMultipleIntegers(as: (UInt32, UInt8).self) else {
                throw HTTP2Error(.frameSizeError, "HEADERS are too short for their priority")
            }
            dependsOnItself = parent & 0x7FFF_FFFF == header.stream
        }
        let block = OpenBlock(
            stream: header.stream, isLast: header.flags.contains(.endStream), promised: nil, bytes: payload)
        if dependsOnItself { throw HTTP2Error(.protocolError, "a stream depends on itself") }
        return try take(block, isWhole: header.flags.contains(.endHeaders))
    }

    mutating func pushPromise(_ header: FrameHeader, _ payload: inout ByteBuffer) throws(HTTP2Error) -> Progress {
        guard role == .client, acceptsPush else {
            throw HTTP2Error(.protocolError, "PUSH_PROMISE was not allowed")
        }
        try removePadding(header, &payload)
        guard let number = payload.readInteger(as: UInt32.self) else {
            throw HTTP2Error(.frameSizeError, "a PUSH_PROMISE is too short")
        }
        let promised = number & 0x7FFF_FFFF
        guard promised & 1 == 0, promised > highestOfPeer else {
            throw HTTP2Error(.protocolError, "a promised stream has a wrong number")
        }
        guard header.stream & 1 == 1, !isIdle(header.stream) else {
            throw HTTP2Error(.protocolError, "PUSH_PROMISE on a stream that was not asked for")
        }
        let block = OpenBlock(stream: header.stream, isLast: false, promised: promised, bytes: payload)
        return try take(block, isWhole: header.flags.contains(.endHeaders))
    }

    mutating func continuation(_ header: FrameHeader, _ payload: ByteBuffer) throws(HTTP2Error) -> Progress {
        guard var block = openBlock else {
            throw HTTP2Error(.protocolError, "a CONTINUATION without HEADERS before it")
        }
        openBlock = nil
        block.frames += 1
        guard block.frames <= limits.headerFrames,
            block.bytes.readableBytes + payload.readableBytes <= limits.headerBlock
        else { throw HTTP2Error(.enhanceYourCalm, "a header block is larger than the limit") }
        block.bytes.writeImmutableBuffer(payload)
        return try take(block, isWhole: header.flags.contains(.endHeaders))
    }

    private func removePadding(_ header: FrameHeader, _ payload: inout ByteBuffer) throws(HTTP2Error) {
        guard header.flags.contains(.padded) else { return }
        guard let length = payload.readInteger(as: UInt8.self) else {
            throw HTTP2Error(.frameSizeError, "a padded frame of no length")
        }
        guard Int(length) <= payload.readableBytes else {
            throw HTTP2Error(.protocolError, "the padding is longer than the frame")
        }
        payload.moveWriterIndex(to: payload.writerIndex - Int(length))
    }

    private mutating func take(_ block: OpenBlock, isWhole: Bool) throws(HTTP2Error) -> Progress {
        guard isWhole else {
            guard block.bytes.readableBytes <= limits.headerBlock else {
                throw HTTP2Error(.enhanceYourCalm, "a header block is larger than the limit")
            }
            openBlock = block
            return .more
        }
        let list = try fields.unpack(block.bytes)
        if let promised = block.promised { return try promise(promised, on: block.stream, list) }
        if let slot = streams.slot(of: block.stream) {
            switch streams[slot].receiving {
            case .head: return try response(block, slot, list)
            case .body: return try trailers(block, slot, list)
            case .ended:
                try resetStream(slot, .streamClosed, "HEADERS after the end")
                return .more
            }
        }
        if role == .server, block.stream & 1 == 1, block.stream > highestOfPeer { return try open(block, list) }
        if isIdle(block.stream) { throw HTTP2Error(.protocolError, "HEADERS on a stream with a wrong number") }
        guard lately.contains(block.stream) else {
            throw HTTP2Error(.streamClosed, "HEADERS on a stream that has ended")
        }
        return .more
    }

    // MARK: The server's side

    private mutating func open(_ block: OpenBlock, _ list: HPACKHeaders) throws(HTTP2Error) -> Progress {
        highestOfPeer = block.stream
        if case .above = leaving { return .more }
        idleFrames.earn(1)
        guard streams.theirsCount < limits.concurrentStreams else {
            try refuse(block.stream, .refusedStream, "")
            return .more
        }
        let request: FieldBlockDecoder.Announced<RequestHead>
        do {
            request = try fields.request(list, isLast: block.isLast, allowsExtendedConnect: allowsExtendedConnect)
        } catch .tooLarge {
            return .event(.oversizedRequest(insertRequest(block)))
        } catch {
            try refuse(block.stream, .protocolError, "")
            return .more
        }
        let stream = insertRequest(block)
        streams[stream.slot].expected = request.length
        streams[stream.slot].isHead = request.head.method == .head
        if request.head.headers.known.contains(.priority), let field = request.head.headers["priority"] {
            streams[stream.slot].priority = StreamPriority(field: field)
        }
        return .event(.request(stream, request.head))
    }

    private mutating func insertRequest(_ block: OpenBlock) -> HTTP2Stream {
        let slot = insert(block.stream, isOurs: false, receiving: block.isLast ? .ended : .body, sending: .head)
        return HTTP2Stream(id: block.stream, slot: slot)
    }

    mutating func insert(_ id: UInt32, isOurs: Bool, receiving: StreamHalf, sending: StreamHalf) -> Int {
        streams.insert(
            StreamRecord(
                id: id, isOurs: isOurs, receiving: receiving, sending: sending,
                sendWindow: FlowWindow(peer.initialWindowSize), receiveWindow: FlowWindow(windows.stream), progress: now
            ))
    }

    // MARK: The client's side

    private mutating func response(_ block: OpenBlock, _ slot: Int, _ list: HPACKHeaders) throws(HTTP2Error) -> Progress
    {
        let stream = HTTP2Stream(id: block.stream, slot: slot)
        let response: FieldBlockDecoder.Announced<ResponseHead>
        do {
            response = try fields.response(list, isLast: block.isLast, toHead: streams[slot].isHead)
        } catch {
            try resetMalformed(slot, error)
            return .more
        }
        if response.head.status.isInformational {
            try spendIdleFrame("interim response")
            return .event(.informational(stream, response.head))
        }
        streams[slot].expected = response.length
        streams[slot].receiving = .body
        if block.isLast { endReceiving(slot) }
        return .event(.response(stream, response.head))
    }

    private mutating func promise(
        _ promised: UInt32, on parent: UInt32, _ list: HPACKHeaders
    ) throws(HTTP2Error) -> Progress {
        highestOfPeer = promised
        let request = try? fields.request(list, isLast: true, allowsExtendedConnect: false).head
        // Only safe and cacheable requests may be promised (RFC 9113, section 8.4).
        guard let request, request.method == .get || request.method == .head else {
            writeReset(promised, .protocolError)
            lately.insert(promised)
            return .more
        }
        guard let slot = streams.slot(of: parent), streams.theirsCount < limits.concurrentStreams else {
            writeReset(promised, .cancel)
            lately.insert(promised)
            return .more
        }
        let place = insert(promised, isOurs: false, receiving: .head, sending: .ended)
        streams[place].isHead = request.method == .head
        return .event(
            .promise(HTTP2Stream(id: promised, slot: place), on: HTTP2Stream(id: parent, slot: slot), request))
    }

    // MARK: Both sides

    private mutating func trailers(_ block: OpenBlock, _ slot: Int, _ list: HPACKHeaders) throws(HTTP2Error) -> Progress
    {
        guard block.isLast else {
            try resetStream(slot, .protocolError, "a second head")
            return .more
        }
        guard streams[slot].expected ?? 0 == 0 else {
            try resetStream(slot, .protocolError, "the content is shorter than announced")
            return .more
        }
        let trailers: Headers
        do {
            trailers = try fields.trailers(list)
        } catch {
            try resetMalformed(slot, error)
            return .more
        }
        endReceiving(slot)
        return .event(.trailers(HTTP2Stream(id: block.stream, slot: slot), trailers))
    }

    private mutating func resetMalformed(_ slot: Int, _ fault: FieldBlockDecoder.Fault) throws(HTTP2Error) {
        switch fault {
        case .malformed(let what): try resetStream(slot, .protocolError, what)
        case .tooLarge: try resetStream(slot, .enhanceYourCalm, "the header list is larger than the limit")
        }
    }
}
