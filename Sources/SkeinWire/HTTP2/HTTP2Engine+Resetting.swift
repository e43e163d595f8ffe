// Streams that end early, by either side (RFC 9113, section 6.4).

import NIOCore

extension HTTP2Engine {
    /// Resets a stream because of the peer's error; the owner is notified.
    mutating func resetStream(_ slot: Int, _ code: HTTP2ErrorCode, _ reason: String) throws(HTTP2Error) {
        let stream = HTTP2Stream(id: streams[slot].id, slot: slot)
        writeReset(stream.id, code)
        lately.insert(stream.id)
        forget(slot)
        events.append(.reset(stream, StreamReset(code: code, reason: reason, byPeer: false, isUnprocessed: false)))
        try spendReset()
    }

    /// Resets the streams without progress since a moment, if the peer is responsible: it does not send announced
    /// content, or does not open the window for pending content.
    package mutating func resetStalled(before moment: NIODeadline) {
        for stream in streams.open where streams[stream.slot].progress < moment {
            let record = streams[stream.slot]
            let isReceiving = record.receiving == .body && record.receiveWindow.size > 0 && record.sending != .ended
            guard record.outgoing != nil || (isReceiving && role == .server && !record.mayRest) else { continue }
            try? resetStream(stream.slot, .cancel, "nothing moved on the stream for too long")
        }
    }

    /// Resets the streams whose peer reads pending content more slowly than a minimum rate. A stream with an open
    /// window waits for other streams; then the rate of the whole connection is checked.
    package mutating func resetSlow(rate: Int, grace: TimeAmount, at now: NIODeadline) {
        func isSlow(_ bytes: Int, since begun: NIODeadline) -> Bool {
            Double(bytes) * 1e9 < Double(rate) * Double((now - begun).nanoseconds)
        }
        if let mark = rateMark, now - mark.at >= grace {
            rateMark = (now, sentBytes, isSlow(sentBytes - mark.sent, since: mark.at))
        } else if rateMark == nil {
            rateMark = (now, sentBytes, false)
        }
        for stream in streams.open where streams[stream.slot].outgoing != nil {
            let record = streams[stream.slot]
            guard !record.mayRest else { continue }
            guard let mark = record.rateMark else {
                streams[stream.slot].rateMark = (now, record.sent)
                continue
            }
            guard now - mark.at >= grace else { continue }
            guard isSlow(record.sent - mark.sent, since: mark.at) else {
                streams[stream.slot].rateMark = (now, record.sent)
                continue
            }
            if record.sendWindow.size <= 0 || rateMark?.wasSlow == true {
                try? resetStream(stream.slot, .cancel, "the peer takes fewer than \(rate) bytes a second")
            }
        }
    }

    /// The peer waits for us, and is not responsible for the lack of progress.
    package mutating func noteProgress(_ stream: HTTP2Stream, at moment: NIODeadline) {
        if let slot = streams.slot(of: stream) { streams[slot].progress = moment }
    }

    /// The peer sends nothing more: streams that need its content or its window updates cannot complete.
    package mutating func resetUnfinishable() {
        for stream in streams.open {
            let record = streams[stream.slot]
            let isBlocked = record.sendWindow.size <= 0 || sendWindow.size <= 0
            guard record.receiving == .body || (record.outgoing.map { $0.bytes > 0 } ?? false && isBlocked) else {
                continue
            }
            try? resetStream(stream.slot, .cancel, "the peer has ended its side of the connection")
        }
    }

    /// Exempts a stream from the checks for silence.
    package mutating func letRest(_ stream: HTTP2Stream) {
        if let slot = streams.slot(of: stream) { streams[slot].mayRest = true }
    }

    /// Removes a stream from all tables.
    mutating func forget(_ slot: Int) {
        if streams[slot].isScheduled { schedule.remove(slot, urgency: streams[slot].priority.urgency) }
        streams.remove(slot)
    }
}
