// The servers of a resolver: selection, sockets, timeouts.

import DequeModule
import NIOCore
import SkeinCore

/// Sends queries to a list of servers.
///
/// Unchecked: used on its loop only.
final class DNSServers: @unchecked Sendable {
    private static let socketsEach = 8
    /// Concurrent queries: more would overflow a server's socket buffer, and each lost one costs a timeout.
    private static let limit = 100
    /// The limit of queued queries.
    private static let maximumWaiting = 100_000
    private static let rest = TimeAmount.seconds(30)

    private struct Server {
        let address: SocketAddress
        var sockets: [DNSSocket] = []
        /// After a timeout, other servers are preferred until then.
        var restsUntil = NIODeadline.uptimeNanoseconds(0)
        var speaksExtended = true
    }

    /// Unchecked: used on the loop of its servers only.
    private final class Query: @unchecked Sendable {
        let question: DNSQuestion
        let promise: EventLoopPromise<DNSResponse>
        var tries: [Int]

        init(_ question: DNSQuestion, _ promise: EventLoopPromise<DNSResponse>) {
            self.question = question
            self.promise = promise
            tries = []
        }
    }

    private let eventLoop: any EventLoop
    private let timeout: TimeAmount
    private let attempts: Int
    private var servers: [Server]
    private var underWay = 0
    private var waiting = Deque<Query>()
    /// Queries sent, over UDP or TCP.
    private(set) var sent = 0
    /// Sockets opened.
    private(set) var opened = 0

    init(_ configuration: DNSConfiguration, _ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        timeout = TimeAmount(configuration.timeout)
        attempts = max(1, configuration.attempts)
        servers = configuration.servers.compactMap { IPAddress.server($0, port: 53) }.map { Server(address: $0) }
    }

    /// Sends a query until a server has a result, or the attempts are used up. On the loop.
    func ask(_ question: DNSQuestion) -> EventLoopFuture<DNSResponse> {
        let query = Query(question, eventLoop.makePromise())
        guard !servers.isEmpty else {
            query.promise.fail(
                SkeinError(.dnsNotFound, because: "no DNS server is known; set dns.servers to addresses"))
            return query.promise.futureResult
        }
        if underWay < Self.limit {
            start(query)
        } else if waiting.count < Self.maximumWaiting {
            waiting.append(query)
        } else {
            query.promise.fail(
                SkeinError(
                    .overloaded, peer: question.name.text,
                    because: "\(Self.maximumWaiting) DNS queries are queued already; resolve fewer names at a time"))
        }
        return query.promise.futureResult
    }

    func close() {
        for server in servers { for socket in server.sockets { socket.close() } }
    }

    private func start(_ query: Query) {
        underWay += 1
        query.promise.futureResult.whenComplete { _ in
            self.underWay -= 1
            if let next = self.waiting.popFirst() { self.start(next) }
        }
        // Paused servers come last; otherwise the order is that of the configuration.
        let now = NIODeadline.now()
        let awake = servers.indices.filter { servers[$0].restsUntil <= now }
        let resting = servers.indices.filter { servers[$0].restsUntil > now }
        for _ in 0..<attempts { query.tries += awake + resting }
        tryNext(query, after: nil)
    }

    private func tryNext(_ query: Query, after error: (any Error)?) {
        guard !query.tries.isEmpty else { return askOverTCP(query, servers.startIndex, after: error) }
        let number = query.tries.removeFirst()
        socket(of: number).whenComplete { result in
            switch result {
            case .success(let socket): self.send(query, number, socket)
            case .failure(let error): self.tryNext(query, after: error)
            }
        }
    }

    private func send(_ query: Query, _ number: Int, _ socket: DNSSocket) {
        sent += 1
        var silence: Scheduled<Void>?
        let id = socket.ask(query.question, extended: servers[number].speaksExtended) { result in
            silence?.cancel()
            switch result {
            case .success(let response): self.take(response, query, number)
            case .failure(let error):
                self.servers[number].restsUntil = .now() + Self.rest
                self.tryNext(query, after: error)
            }
        }
        silence = eventLoop.scheduleTask(in: timeout) {
            socket.forget(id)
            self.servers[number].restsUntil = .now() + Self.rest
            self.tryNext(query, after: nil)
        }
    }

    private func take(_ response: DNSResponse, _ query: Query, _ number: Int) {
        if response.isTruncated {
            sent += 1
            DNSOverTCP.ask(query.question, servers[number].address, on: eventLoop, timeout: timeout).whenComplete {
                result in
                switch result {
                case .success(let whole) where !whole.isTruncated: self.take(whole, query, number)
                case .success: self.tryNext(query, after: DNSError.truncatedOverTCP)
                case .failure(let error): self.tryNext(query, after: error)
                }
            }
            return
        }
        switch response.code {
        case .noError, .noSuchName: query.promise.succeed(response)
        case .formatError where servers[number].speaksExtended:
            servers[number].speaksExtended = false
            query.tries.insert(number, at: 0)
            tryNext(query, after: nil)
        case .formatError, .failure: tryNext(query, after: nil)
        }
    }

    /// The last attempt, when no server has responded over UDP.
    private func askOverTCP(_ query: Query, _ number: Int, after error: (any Error)?) {
        guard number < servers.endIndex else {
            query.promise.fail(
                SkeinError(
                    .dnsNotFound, peer: query.question.name.text,
                    because: "no DNS server answered; are the addresses right and reachable "
                        + "(\(servers.map { $0.address.text }.joined(separator: ", ")))?", cause: error))
            return
        }
        sent += 1
        DNSOverTCP.ask(query.question, servers[number].address, on: eventLoop, timeout: timeout).whenComplete {
            result in
            if case .success(let response) = result, !response.isTruncated,
                response.code == .noError || response.code == .noSuchName
            {
                return query.promise.succeed(response)
            }
            self.askOverTCP(query, number + 1, after: error)
        }
    }

    private func socket(of number: Int) -> EventLoopFuture<DNSSocket> {
        servers[number].sockets.removeAll { !$0.isFresh }
        if servers[number].sockets.count >= Self.socketsEach, let socket = servers[number].sockets.randomElement() {
            return eventLoop.makeSucceededFuture(socket)
        }
        let socket = DNSSocket(servers[number].address)
        opened += 1
        return socket.open(on: eventLoop).map {
            self.servers[number].sockets.append(socket)
            return socket
        }
    }
}

extension SocketAddress {
    /// Address and port as text.
    fileprivate var text: String { "\(ipAddress ?? "?"):\(port ?? 0)" }
}
