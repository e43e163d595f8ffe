// The way from HTTP/1.1 to HTTP/2 in clear text, on the same port: by its preface (RFC 9113, section 3.3) or by an upgrade
// that the client asks for (RFC 7540, section 3.2).

import SkeinWire

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension HTTP1ServerConnection {
    /// Looks at the first bytes of the connection. Returns those that are HTTP/1.1, if any.
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

    /// Accepts the upgrade that a request asks for. Returns false when it does not, or not in a way that can be followed.
    func upgrade(_ head: RequestHead) -> Bool {
        guard head.headers.known.contains(.upgrade), configuration.http2.isEnabled, head.bodyLength == .none,
            head.headers.listContains("Upgrade", token: "h2c"),
            head.headers.listContains("Connection", token: "HTTP2-Settings"),
            head.headers.values("HTTP2-Settings").count == 1, let encoded = head.headers["HTTP2-Settings"],
            let settings = Self.decodeSettings(encoded)
        else { return false }
        prepareOutput()
        output.writeStaticString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        flush()
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

    /// Base64url without padding.
    private static func decodeSettings(_ text: String) -> ByteBuffer? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/") + padding
        return Data(base64Encoded: base64).map { ByteBuffer(bytes: $0) }
    }

    private func switchToHTTP2(_ begin: (HTTP2ServerConnection) -> Void) {
        guard let context else { return }
        let successor = HTTP2ServerConnection(owner: owner, remoteAddress: remoteAddress, tls: encryption)
        self.context = nil
        phase = .closed
        if let timer { shard.timers.cancel(timer) }
        timer = nil
        owner.replaced(self, by: successor)
        do {
            try context.pipeline.syncOperations.addHandler(successor.driver)
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        } catch {
            configuration.logger.error("a connection cannot switch to HTTP/2: \(error)")
            return context.close(promise: nil)
        }
        begin(successor)
        successor.driver.flushSoon()
    }
}
