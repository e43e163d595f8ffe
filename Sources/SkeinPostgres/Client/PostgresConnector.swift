// Connects to one of the hosts of a connection string, with the required properties.

import Logging
import NIOCore
import SkeinCore
import SkeinTransport

/// Opens the connections of one client.
struct PostgresConnector: Sendable {
    let configuration: PostgresConfiguration
    let dialer: Dialer
    let logger: Logger

    /// Connects to the first host that responds and has the required properties, on a shard's loop.
    func connect(_ shard: Shard) -> EventLoopFuture<PostgresConnection> {
        dialer.connect(on: shard.eventLoop) { [self] other in
            guard let other else { return connectToHosts(shard) }
            do {
                let configuration = try PostgresConfiguration(other.url)
                return PostgresConnector(configuration: configuration, dialer: other.dialer, logger: logger)
                    .connectToHosts(shard)
            } catch {
                return shard.eventLoop.makeFailedFuture(error)
            }
        }
    }

    private func connectToHosts(_ shard: Shard) -> EventLoopFuture<PostgresConnection> {
        attempt(0, shard, target: configuration.target == .preferStandby ? .standby : configuration.target)
    }

    private func attempt(
        _ place: Int, _ shard: Shard, target: PostgresConfiguration.Target
    ) -> EventLoopFuture<PostgresConnection> {
        open(configuration.hosts[place], shard).flatMapThrowing { connection in
            if let problem = Self.problem(connection, target) {
                connection.close()
                throw SkeinError(.connectionFailed, peer: configuration.hosts[place].description, because: problem)
            }
            return connection
        }.flatMapError { error in
            // A refusal of the user holds for all hosts, and the password must not be sent to the others needlessly.
            if (error as? SkeinError)?.code == .unknownAuthentication { return shard.eventLoop.makeFailedFuture(error) }
            if place + 1 < configuration.hosts.count { return attempt(place + 1, shard, target: target) }
            if configuration.target == .preferStandby, target == .standby { return attempt(0, shard, target: .any) }
            return shard.eventLoop.makeFailedFuture(error)
        }
    }

    private func open(_ host: Endpoint, _ shard: Shard) -> EventLoopFuture<PostgresConnection> {
        Connector.connect(to: host, on: shard.eventLoop, connectOptions(host)).flatMap { connected in
            PipelineLink.begin(on: connected, shard, within: configuration.pool.connectTimeout) { ready in
                PostgresConnection(configuration, shard: shard, connected: connected, logger: logger, ready: ready) {
                    self.sendCancel($0, to: host, shard)
                }
            }
        }
    }

    private func connectOptions(_ host: Endpoint) -> ConnectOptions {
        var connect = dialer.options(timeout: configuration.pool.connectTimeout)
        guard case .host = host, configuration.tls != .disable else { return connect }
        var tls = configuration.tlsConfiguration
        if configuration.tls != .verifyFull, tls.roots == .system { tls.verify = .none }
        tls.serverName = tls.serverName ?? dialer.serverName
        connect.tls = ConnectOptions.TLS(
            dialer.tls, tls, protocols: [],
            question: TLSNegotiation(
                PostgresWriter.tlsRequest, yes: UInt8(ascii: "S"), no: UInt8(ascii: "N"),
                isRequired: configuration.tls != .prefer))
        return connect
    }

    /// Sends a cancel request for a session (the protocol's "Canceling Requests in Progress"): on a separate
    /// connection, which the server closes in response.
    private func sendCancel(_ message: ByteBuffer, to host: Endpoint, _ shard: Shard) {
        Connector.connect(to: host, on: shard.eventLoop, connectOptions(host)).whenSuccess { connected in
            connected.channel.writeAndFlush(message, promise: nil)
            let limit = shard.eventLoop.scheduleTask(in: .seconds(10)) { connected.channel.close(promise: nil) }
            connected.channel.closeFuture.whenComplete { _ in limit.cancel() }
        }
    }

    private static func problem(_ connection: PostgresConnection, _ target: PostgresConfiguration.Target) -> String? {
        let isStandby = connection.parameters["in_hot_standby"] == "on"
        let isReadOnly = isStandby || connection.parameters["default_transaction_read_only"] == "on"
        return switch target {
        case .any, .preferStandby: nil
        case .readWrite: isReadOnly ? "the server is read-only" : nil
        case .readOnly: isReadOnly ? nil : "the server is not read-only"
        case .primary: isStandby ? "the server is a standby" : nil
        case .standby: isStandby ? nil : "the server is not a standby"
        }
    }
}
