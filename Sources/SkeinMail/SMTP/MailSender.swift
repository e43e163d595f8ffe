// Sends a message to a server at once, and waits for its response.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinTransport

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Sends a message without a spool: for tools that need the server's response. Apps use `client.mail(…)`, which loses
/// no message when the server is unreachable.
public struct MailSender: Sendable {
    /// The result for a recipient.
    public struct Sent: Sendable {
        public let recipient: String
        public let result: SMTPResult
    }

    private let relay: MailRelay
    private let keys: [DKIMKey]
    private let timeouts: SMTPTimeouts

    /// - Parameters:
    ///   - relay: the server, as in ``MailRelay``.
    ///   - keys: the DKIM keys, each for its domain.
    ///   - timeouts: the time limits for the server. Default: half a minute for each step.
    /// - Throws: code 701 for an invalid URL.
    public init(_ relay: String, keys: [DKIMKey] = [], timeouts: SMTPTimeouts = .interactive) throws(SkeinError) {
        self.relay = try MailRelay(relay)
        self.keys = keys
        self.timeouts = timeouts
    }

    /// Sends a message, and waits for the server's response for each recipient.
    /// - Throws: code 701 for an invalid message, 702 and above when the connection fails.
    public func send(_ message: MailMessage) async throws(SkeinError) -> [Sent] {
        // Composed into a temporary spool, so that files of any size are processed in pieces.
        let folder = FileManager.default.temporaryDirectory.appending(path: "skein-mail-\(Hex.random(8))").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let spool = try MailSpool(folder, keys: keys)
        let id = try spool.store(message)
        let file = try SpoolFile(spool.path(.new, id))
        do {
            return try await SenderLoop().send(file, to: relay, timeouts)
        } catch {
            throw error as? SkeinError ?? SkeinError(.exception, because: "\(error)", cause: error)
        }
    }
}

/// The loop of a connection.
private actor SenderLoop {
    private nonisolated let loop = MultiThreadedEventLoopGroup.singleton.next()
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor.asUnownedSerialExecutor() }

    func send(_ file: SpoolFile, to relay: MailRelay, _ timeouts: SMTPTimeouts) async throws -> [MailSender.Sent] {
        if case .folder(let folder) = relay.target {
            let path = try await NIOThreadPool.singleton.runIfActive { try file.export(to: folder) }
            let reply = SMTPReply(code: 250, lines: ["2.0.0 written to \(path)"])
            return file.envelope.recipients.map { .init(recipient: $0, result: .delivered(reply)) }
        }
        let resolver = DNSResolver(DNSConfiguration(), eventLoop: loop)
        var settings = DeliveryConnections.Settings()
        settings.name = SystemName.host
        settings.timeouts = timeouts
        let connections = DeliveryConnections(
            loop: loop, dialer: Dialer(tls: TLSClient(), resolver: resolver, dial: nil), settings: settings)
        let connected: Result<SMTPConnection, any Error>
        do { connected = .success(try await connections.connect([relay])) } catch { connected = .failure(error) }
        await resolver.close()
        let connection = try connected.get()
        defer { connection.leave() }
        let envelope = file.envelope
        var sent: [MailSender.Sent] = []
        for start in stride(from: 0, to: envelope.recipients.count, by: 50) {
            let recipients = Array(envelope.recipients[start..<min(start + 50, envelope.recipients.count)])
            var part = SMTPEnvelope(sender: envelope.sender, recipients: recipients, size: file.size)
            part.needsUTF8 = envelope.needsUTF8 || part.hasUTF8
            part.isEightBit = envelope.isEightBit
            let outcome = try await connection.send(part, FileContent(file, .singleton)).get()
            sent += zip(recipients, outcome.results).map { .init(recipient: $0, result: $1) }
            guard connection.isIdle || start + 50 >= envelope.recipients.count else {
                let reply = SMTPReply(code: 451, lines: ["4.4.2 the server has ended the connection before"])
                sent += envelope.recipients.dropFirst(start + 50).map { .init(recipient: $0, result: .deferred(reply)) }
                break
            }
        }
        return sent
    }
}
