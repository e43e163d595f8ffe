// Connects to a server, directly or by sentinels, and prepares the connection for commands.

import NIOCore
import SkeinCore
import SkeinTransport

/// Opens the connections of one client.
struct RedisConnector: Sendable {
    let configuration: RedisConfiguration
    let dialer: Dialer

    /// Connects to the first reachable host, or to the master that the sentinels name.
    func connect(_ shard: Shard, cache: RedisCache?) -> EventLoopFuture<RedisConnection> {
        let preparations = cache == nil ? [] : [RedisCommand("CLIENT TRACKING", ["ON"])]
        let connection: EventLoopFuture<RedisConnection>
        if case .sentinel(let master) = configuration.topology {
            connection = askSentinels(0, master, shard).flatMap { endpoint in
                open(endpoint, shard, preparations).flatMap { Self.checked($0, is: "master") }
            }
        } else {
            connection = dialer.connect(on: shard.eventLoop) { [self] other in
                guard let other else { return first(0, shard, preparations) }
                do {
                    let connector = RedisConnector(
                        configuration: try RedisConfiguration(other.url), dialer: other.dialer)
                    guard connector.configuration.topology == .single else {
                        throw SkeinError(
                            .connectionFailed, peer: other.dialer.serverName,
                            because: "a member with sentinels or a cluster does not take the place of a single server")
                    }
                    return connector.first(0, shard, preparations)
                } catch {
                    return shard.eventLoop.makeFailedFuture(error)
                }
            }
        }
        guard let cache else { return connection }
        return connection.map { made in
            made.onPush = { cache.hear($0) }
            made.link.channel?.closeFuture.whenComplete { _ in cache.forgetAll() }
            return made
        }
    }

    private func first(
        _ place: Int, _ shard: Shard, _ preparations: [RedisCommand]
    ) -> EventLoopFuture<RedisConnection> {
        open(configuration.hosts[place], shard, preparations).flatMapError { error in
            // A refusal of the user holds for all hosts, and the password must not be sent to the others needlessly.
            if (error as? SkeinError)?.code == .unknownAuthentication { return shard.eventLoop.makeFailedFuture(error) }
            return place + 1 < configuration.hosts.count
                ? first(place + 1, shard, preparations) : shard.eventLoop.makeFailedFuture(error)
        }
    }

    /// Connects to one server.
    func open(
        _ endpoint: Endpoint, _ shard: Shard, _ preparations: [RedisCommand] = [], as other: RedisConfiguration? = nil
    ) -> EventLoopFuture<RedisConnection> {
        let configuration = other ?? self.configuration
        var connect = dialer.options(timeout: configuration.pool.connectTimeout)
        if var tls = configuration.tls, case .host = endpoint {
            tls.serverName = tls.serverName ?? dialer.serverName
            connect.tls = ConnectOptions.TLS(dialer.tls, tls, protocols: [])
        }
        return Connector.connect(to: endpoint, on: shard.eventLoop, connect).flatMap { connected in
            PipelineLink.begin(on: connected, shard, within: configuration.pool.connectTimeout) { ready in
                RedisConnection(
                    configuration, shard: shard, peer: "redis://\(endpoint)", preparations: preparations, ready: ready)
            }
        }
    }

    // MARK: Sentinels

    /// Asks one sentinel after the other for the address of a master (`SENTINEL get-master-addr-by-name`).
    private func askSentinels(_ place: Int, _ master: String, _ shard: Shard) -> EventLoopFuture<Endpoint> {
        var plain = configuration
        // The server's credentials are not for the sentinels.
        plain.password = nil
        plain.user = nil
        plain.database = 0
        return open(configuration.hosts[place], shard, as: plain).flatMap { connection in
            Self.ask(connection, RedisCommand("SENTINEL", ["get-master-addr-by-name", master])).flatMapThrowing {
                value in
                connection.close()
                guard let host = value[0]?.string, let port = value[1]?.int, (1...65535).contains(port) else {
                    throw SkeinError(
                        .connectionFailed, peer: connection.peer,
                        because: "the sentinel does not know a master named \(master.debugDescription)")
                }
                return Endpoint.host(host, port: port)
            }
        }.flatMapError { error in
            place + 1 < configuration.hosts.count
                ? askSentinels(place + 1, master, shard) : shard.eventLoop.makeFailedFuture(error)
        }
    }

    /// A sentinel may not know yet that the server's role has changed.
    private static func checked(_ connection: RedisConnection, is role: String) -> EventLoopFuture<RedisConnection> {
        ask(connection, RedisCommand("ROLE")).flatMapThrowing { value in
            guard value[0]?.string == role else {
                connection.close()
                throw SkeinError(
                    .connectionFailed, peer: connection.peer,
                    because:
                        "the server is not a \(role) but \(value[0]?.string ?? "something else"); a failover may be under way"
                )
            }
            return connection
        }
    }

    static func ask(_ connection: RedisConnection, _ command: RedisCommand) -> EventLoopFuture<RedisValue> {
        let promise = connection.shard.eventLoop.makePromise(of: RedisValue.self)
        connection.ask(command) { promise.completeWith($0.mapError { $0 as any Error }) }
        // A connection outside of a pool has no liveness check of its own.
        let timer = connection.shard.eventLoop.scheduleTask(in: .seconds(10)) {
            connection.close(
                because: SkeinError(
                    .timeout, peer: connection.peer, because: "the server does not answer \(command.name)"))
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        return promise.futureResult
    }
}
