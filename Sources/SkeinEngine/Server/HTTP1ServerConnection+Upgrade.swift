// Upgrades from HTTP/1.1: to HTTP/2 in clear text, on the same port, by its preface (RFC 9113, section 3.3) or by the
// client's Upgrade field (RFC 7540, section 3.2); and to the protocol of a handler's response.

import NIOCore
import SkeinCore
import SkeinHTTP
import SkeinWire

extension HTTP1ServerConnection {
    /// Checks the first bytes of the connection. Returns those that are HTTP/1.1, if any.
    func recogniseVersion(_ bytes: ByteBuffer) -> ByteBuffer? {
        guard var first = prelude else { return bytes }
        first.absorb(bytes)
        switch configuration.http2.isEnabled ? HTTP2Preface.match(first) : .no {
        case .perhaps:
            prelude = first
            return nil
        case .no:
            prelude = nil
            return first
        case .yes:
            prelude = nil
            switchToHTTP2 { $0.driver.receive(first) }
            return nil
        }
    }

    /// Accepts a requested upgrade. Returns false when there is none, or an invalid one.
    func upgrade(_ head: RequestHead) -> Bool {
        guard head.headers.known.contains(.upgrade), configuration.http2.allowsUpgrade,
            configuration.http2.isEnabled, head.bodyLength == .none,
            head.headers.listContains("Upgrade", token: "h2c"),
            head.headers.listContains("Connection", token: "HTTP2-Settings"),
            head.headers.values("HTTP2-Settings").count == 1, let encoded = head.headers["HTTP2-Settings"],
            let settings = Base64URL.decode(encoded).map({ ByteBuffer(bytes: $0) })
        else { return false }
        output.bytes.writeStaticString(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        output.flush()
        let remainder = decoder.takeRemainder()
        switchToHTTP2 { connection in
            do throws(HTTP2Error) {
                try connection.acceptUpgrade(head, settings: settings)
                connection.driver.receive(remainder)
            } catch {
                connection.driver.end(error)
            }
        }
        return true
    }

    private func switchToHTTP2(_ begin: (HTTP2ServerConnection) -> Void) {
        let successor = HTTP2ServerConnection(owner: owner, peer: peer, tls: encryption)
        guard replace(by: successor, successor.driver), successor.driver.isOpen else { return }
        begin(successor)
        successor.driver.flushSoon()
    }

    /// Hands the connection over to another protocol after the response's head.
    func handOver(to upgrade: any ServerUpgrade, _ response: ServerResponse) {
        guard let user = upgrade.connectionUser else {
            return answer(.text("this resource is served over HTTP/2 only\n", status: HTTPStatus(505)))
        }
        do {
            try HTTP1Encoder.writeResponseHead(
                status: response.status, headers: response.headers, framing: .bodiless, connection: .asIs,
                date: owner.dateField(), into: &output.bytes)
        } catch {
            return answer(self.response(for: error))
        }
        output.flush()
        if let scope = current?.scope {
            scope.answered(response.status)
            owner.record(scope)
        }
        let remainder = decoder.takeRemainder()
        let hasClientFinished = machine.hasClientFinished
        let successor = UpgradedConnection(user, remoteAddress: peer.address, owner.context)
        let handler = TransportChannelHandler(user)
        guard let channel = context?.channel, replace(by: successor, handler) else { return }
        let owner = self.owner
        channel.closeFuture.whenComplete { _ in owner.closed(successor) }
        upgrade.begin(on: handler)
        user.receive(remainder)
        user.flush()
        if hasClientFinished { user.inputEnded() }
    }

    /// Replaces this handler with another one. Returns false when that is not possible, and the connection ends.
    private func replace(by successor: any ServerConnection, _ handler: some ChannelHandler) -> Bool {
        guard let context = output.detach() else { return false }
        gate.open(context.channel)
        machine.end()
        current = nil
        task = nil
        if let timer { shard.timers.cancel(timer) }
        timer = nil
        owner.replaced(self, by: successor)
        do {
            try context.pipeline.syncOperations.addHandler(handler)
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
            return true
        } catch {
            configuration.logger.error("a connection cannot be upgraded from HTTP/1.1: \(error)")
            owner.closed(successor)
            context.close(promise: nil)
            return false
        }
    }
}
