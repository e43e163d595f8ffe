// Connections to the servers of destinations, reused for several messages.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinTransport

/// The connections of an agent; idle ones by their destination.
///
/// Unchecked: used on its loop only.
final class DeliveryConnections: @unchecked Sendable {
    struct Settings: Sendable {
        var name = "localhost"
        var timeouts = SMTPTimeouts()
        /// The maximum number of messages per connection.
        var messagesEach = 100
        /// The policy for addresses of servers from the DNS.
        var addresses = AddressPolicy.all
        /// How long a connection waits for the next message.
        var idle: Duration = .seconds(5)
    }

    private struct Idle {
        let connection: SMTPConnection
        let timer: Scheduled<Void>
    }

    private let loop: any EventLoop
    private let dialer: Dialer
    private let settings: Settings
    private var idle: [ByteKey: [Idle]] = [:]
    /// Connections opened.
    private(set) var made = 0
    /// Connections in use.
    private var inUse: [ObjectIdentifier: SMTPConnection] = [:]
    private var isClosed = false

    init(loop: any EventLoop, dialer: Dialer, settings: Settings) {
        self.loop = loop
        self.dialer = dialer
        self.settings = settings
    }

    /// An idle connection, if there is one.
    func reuse(_ destination: ByteKey) -> SMTPConnection? {
        while let next = idle[destination]?.popLast() {
            next.timer.cancel()
            if idle[destination]?.isEmpty == true { idle[destination] = nil }
            guard next.connection.isIdle else { continue }
            inUse[ObjectIdentifier(next.connection)] = next.connection
            return next.connection
        }
        return nil
    }

    /// A new connection to the first server that responds.
    func connect(_ servers: [MailRelay]) async throws -> SMTPConnection {
        var failure: any Error = SkeinError(.connectionFailed, because: "no server to connect to")
        for server in servers {
            do {
                let connection = try await connect(server)
                inUse[ObjectIdentifier(connection)] = connection
                return connection
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func connect(_ relay: MailRelay) async throws -> SMTPConnection {
        do {
            return try await open(relay, relay.tls)
        } catch let error as SkeinError where relay.tls == .opportunistic && error.code == .tlsHandshakeFailed {
            // Clear text, as other mail servers would use, is better than no delivery.
            return try await open(relay, .asItIs)
        }
    }

    private func open(_ relay: MailRelay, _ tls: SMTPClientMachine.TLSUse) async throws -> SMTPConnection {
        guard case .server(let endpoint, let isLMTP) = relay.target else {
            throw SkeinError(.connectionFailed, peer: "\(relay)", because: "a folder is not a server")
        }
        made += 1
        var options = dialer.options(timeout: settings.timeouts.connect)
        if relay.isFoundInDNS { options.addresses = settings.addresses }
        let client = ConnectOptions.TLS(dialer.tls, relay.tlsConfiguration, protocols: [])
        if relay.usesTLSAtOnce { options.tls = client }
        let machine = SMTPClientMachine.Settings(
            name: relay.name ?? settings.name, isLMTP: isLMTP, tls: tls, isProtected: relay.isLocal,
            credentials: relay.credentials, mechanism: relay.mechanism, usesChunking: relay.usesChunking)
        return try await SMTPConnection.connect(
            to: endpoint, on: loop, options, startTLS: client, settings: machine, timeouts: settings.timeouts
        ).get()
    }

    /// Returns a connection for the next message, or closes it.
    func giveBack(_ connection: SMTPConnection, to destination: ByteKey) {
        inUse[ObjectIdentifier(connection)] = nil
        guard !isClosed, connection.isIdle, connection.count < settings.messagesEach else { return connection.leave() }
        let timer = loop.scheduleTask(in: TimeAmount(settings.idle)) {
            self.idle[destination]?.removeAll { $0.connection === connection }
            if self.idle[destination]?.isEmpty == true { self.idle[destination] = nil }
            connection.leave()
        }
        idle[destination, default: []].append(Idle(connection: connection, timer: timer))
    }

    /// Closes connections in use, without waiting for their end.
    func abort() { for connection in inUse.values { connection.leave() } }

    /// Closes idle connections, and those returned from now on.
    func close() {
        isClosed = true
        for waiting in idle.values.flatMap(\.self) {
            waiting.timer.cancel()
            waiting.connection.leave()
        }
        idle = [:]
    }
}
