// Receives a response: follow-ups, validation, decoding.

import NIOCore
import SkeinCore
import SkeinWire

extension HTTPExchange {
    /// Receives the head of the response. Returns false when the response is refused.
    func receive(_ head: ResponseHead) -> Bool {
        guard !isOver else { return false }
        self.head = head
        let isForwarded = request.isForwarded
        if !isForwarded { context.configuration.cookies?.store(head.headers, from: request.url) }
        do {
            if !isForwarded, head.status.code >= 300, let next = try followUp(after: head) {
                redirectState.followUp = next
            }
            if case .request? = followUp { return true }
            if request.url.origin.isSecure { tls = carrier?.tls }
            try validate(head)
            try prepareFilter(head)
        } catch {
            self.head = nil
            fail(error)
            return false
        }
        if followUp != nil { return true }
        if timings != nil { noteFirstByte() }
        events?.onHeaders(self)
        if request.isStreamed { publishStream() }
        return true
    }

    /// Receives an interim response.
    func receiveInterim(_ head: ResponseHead) {
        events?.onInformational(self, head)
        guard head.status != .continue, let taker = request.interimResponses, redirectState.interim < 16 else { return }
        redirectState.interim += 1
        let ofConnection = KnownFields.aboutTheConnection.union(.framing)
        taker.inform(head.status, head.headers.passing(reserving: 0) { $1.isDisjoint(with: ofConnection) })
    }

    private func followUp(after head: ResponseHead) throws(SkeinError) -> FollowUp? {
        switch head.status.code {
        case 401: return isChallenge(head) ? .challenge : nil
        case 417:
            // A server that does not support expectations (RFC 9110, section 10.1.1).
            guard request.headers.known.contains(.expect), var next = redirectState.plainRequest,
                next.expectsContinue != false,
                !next.headers.contains("Expect"), next.body.isReplayable
            else { return nil }
            next.expectsContinue = false
            return .request(next, after: nil)
        case 300..<400:
            let hop = HTTPHop(
                method: request.method, url: request.url, status: head.status, headers: head.headers,
                cookies: request.headers["Cookie"])
            let next = try context.configuration.redirects.next(
                after: head, to: redirectState.plainRequest ?? request, history + [hop], cookies: context.cookies)
            return next.map { .request($0, after: hop) }
        default: return nil
        }
    }

    /// Whether the head of the response meets the request's limits.
    private func validate(_ head: ResponseHead) throws(SkeinError) {
        if case .known(let length) = head.bodyLength, length > maximumBodySize ?? .max {
            throw tooLarge("\(length) bytes are announced")
        }
        let accepted = request.acceptedTypes
        guard !accepted.isEmpty, (200..<300).contains(head.status.code), head.bodyLength != .none else { return }
        let field = head.headers["Content-Type"] ?? ""
        let type = MediaType.split(field).value.lowercased()
        guard type.splitBytes(separator: "/", omittingEmptySubsequences: false).count == 2 else {
            throw SkeinError(
                .invalidContentType, peer: peer,
                because: "the content type \(field.debugDescription) is not a media type")
        }
        guard accepted.contains(where: { MediaType.matches(type, range: $0) }) else {
            throw SkeinError(
                .unacceptableContentType, peer: peer,
                because: "the content is \(type); the request accepts \(accepted.joined(separator: ", "))")
        }
    }

    private var maximumBodySize: Int? {
        request.maximumBodySize ?? (request.isStreamed ? nil : context.configuration.maximumBodySize)
    }

    private func prepareFilter(_ head: ResponseHead) throws(SkeinError) {
        var codings: [ContentCoding] = []
        let decompression = context.configuration.decompression
        if head.headers.known.contains(.contentEncoding), head.bodyLength != .none,
            !request.isForwarded, request.decompresses ?? decompression.isEnabled
        {
            // An unknown coding is left undecoded; the field remains.
            codings = ContentCoding.list(head.headers.values("Content-Encoding").joined(separator: ",")) ?? []
        }
        let processed = followUp == nil ? events?.dataProcessed : nil
        guard !codings.isEmpty || request.maximumBodySize != nil || processed != nil else { return }
        let response = processed == nil ? nil : HTTPResponse(snapshot)
        filter = try BodyFilter(
            codings, maximumRatio: decompression.maximumRatio, maximum: maximumBodySize, peer: peer,
            processed: processed.flatMap { call in response.map { response in { call(response, $0) } } })
    }

    /// Receives a piece of the body. Returns whether more is wanted now.
    func receive(_ bytes: ByteBuffer) -> Bool {
        receivedBytes += bytes.readableBytes
        if case .request? = followUp { return drop(bytes) }
        if followUp == nil { events?.dataReceived(self, bytes) }
        if let inlet { return inlet.push(bytes) }
        guard let filter else {
            append(bytes)
            return true
        }
        filter.append(bytes)
        do {
            while !isOver, let piece = try filter.next() { append(piece) }
        } catch {
            fail(error)
        }
        return true
    }

    private func append(_ bytes: ByteBuffer) {
        if body.readableBytes == 0 {
            body = bytes
        } else {
            if body.storageCapacity - body.readableBytes < bytes.readableBytes,
                case .known(let length) = head?.bodyLength
            {
                body.reserveCapacity(min(length, max(body.readableBytes * 4, 1 << 20)))
            }
            body.writeImmutableBuffer(bytes)
        }
        if body.readableBytes > min(maximumBodySize ?? context.configuration.maximumBodySize, Int(Int32.max)) {
            fail(tooLarge("more has arrived"))
        }
    }

    /// The content has ended: the filter may find that it is incomplete.
    func finishFilter() -> SkeinError? {
        guard let filter, inlet == nil else { return nil }
        do {
            try filter.finish()
            return nil
        } catch {
            return error
        }
    }

    /// Drops the content of a redirect: it is not needed, but a connection that is read to the end can be reused.
    private func drop(_ bytes: ByteBuffer) -> Bool {
        redirectState.dropped += bytes.readableBytes
        guard redirectState.dropped > 256 << 10, let carrier, case .request(let next, let hop)? = followUp else {
            return true
        }
        self.carrier = nil
        carrier.abandon(self)
        follow(next, after: hop)
        return true
    }

    private func tooLarge(_ what: String) -> SkeinError {
        SkeinError(
            .contentTooLarge, peer: peer,
            because: "the body is larger than the limit of \(maximumBodySize ?? 0) bytes (\(what)); "
                + "raise maximumBodySize or stream it")
    }
}
