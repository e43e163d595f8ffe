// Connections to the servers of destinations, used for many messages.

import NIOCore
import NIOPosix
import SkeinCore
import SkeinTransport

/// The connections of an agent, those that wait by their destination.
///
/// Unchecked: touched on its loop only.
final class DeliveryConnections: @unchecked Sendable {
    struct Settings: Sendable {
        var name = "localhost"
        var timeouts = SMTPTimeouts()
        /// Messages that are sent on one connection.
        var messagesEach = 100
        /// Which addresses servers that were found in the DNS may have.
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
    /// Connections made.
    private(set) var made = 0
    /// Those that somebody has.
    private var inUse: [ObjectIdentifier: SMTPConnection] = [:]
    private var isClosed = false

    init(loop: any EventLoop, dialer: Dialer, settings: Settings) {
        self.loop = loop
        self.dialer = dialer
        self.settings = settings
    }

    /// A connection that waits, if there is one.
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

    /// A new connection to the first of some servers that answers.
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
            // Better in clear text, as any other server would send it, than not at all.
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

    /// Keeps a connection for the next message, or ends it.
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

    /// Ends what is in use, in the middle of whatever it does.
    func abort() { for connection in inUse.values { connection.leave() } }

    /// Ends what waits, and whatever is given back from now on.
    func close() {
        isClosed = true
        for waiting in idle.values.flatMap(\.self) {
            waiting.timer.cancel()
            waiting.connection.leave()
        }
        idle = [:]
    }
}
