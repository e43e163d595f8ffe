// Upgrades from HTTP/1.1: to HTTP/2 in clear text, offered by the first request (RFC 7540, section 3.2), and to a
// protocol that a request asks for.

import NIOCore
import SkeinCore
import SkeinWire

extension HTTP1ClientConnection {
    /// Whether the version is still to be decided by an upgrade.
    var offersUpgrade: Bool { pool.version == .undecided && tls == nil }

    /// The header section of a request that offers the upgrade. A request with content does not offer it: all of the
    /// content would have to be sent before the server could respond in HTTP/2.
    func offerUpgrade(_ request: HTTPRequest) -> Headers {
        guard request.body.length == .none, successor == nil else { return request.headers }
        let successor = HTTP2ClientConnection(pool: pool, tls: nil)
        self.successor = successor
        var headers = request.headers
        headers["Connection"] = "Upgrade, HTTP2-Settings"
        headers["Upgrade"] = "h2c"
        headers["HTTP2-Settings"] = Base64URL.encode(successor.driver.engine.upgradeSettings.readableBytesView)
        return headers
    }

    /// The response came in HTTP/1.1.
    func refuseUpgrade() {
        successor?.discard()
        successor = nil
        pool.upgradeRefused()
    }

    /// The response is a 101: the rest of the connection, including the response to the request, is HTTP/2.
    func switchToHTTP2(_ remainder: ByteBuffer) {
        guard let successor, let context = output.detach(), let exchange = machine.handOver() else { return }
        self.successor = nil
        stopTimer()
        pool.upgraded(self, to: successor)
        do {
            try context.pipeline.syncOperations.addHandler(successor.driver)
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        } catch {
            exchange.fail(SkeinError(.protocolSwitchingFailed, peer: exchange.peer, because: "\(error)", cause: error))
            return context.close(promise: nil)
        }
        guard successor.driver.isOpen else {
            return exchange.fail(
                SkeinError(
                    .connectionClosed, peer: exchange.peer, because: "the server closed the connection it had upgraded")
            )
        }
        successor.adopt(exchange, at: pool.shard.now)
        successor.driver.receive(remainder)
        successor.driver.flushSoon()
        pool.hasRoom(successor)
    }

    /// The response is a 101 to a request that asked for another protocol: the connection is handed over to it.
    func handOver(_ head: ResponseHead, _ remainder: ByteBuffer) {
        guard let upgrade = machine.first?.request.upgrade, let context = output.detach(),
            let exchange = machine.handOver()
        else { return }
        stopTimer()
        pool.handedOver(self, context.channel)
        do throws(SkeinError) {
            try upgrade.begin(on: context.channel, shard: pool.shard, head, remainder: remainder)
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
            if exchange.receive(head) { exchange.complete(trailers: nil) }
        } catch {
            exchange.fail(error)
            context.close(promise: nil)
        }
    }
}
