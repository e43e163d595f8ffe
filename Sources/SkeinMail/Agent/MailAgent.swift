// The agent that delivers the messages of a spool: it takes them in, starts deliveries by the schedule, and records the
// results.

import Logging
import NIOCore
import NIOPosix
import SkeinCore
import SkeinTransport
import SkeinWorkers

/// Delivers the messages of a spool until it is cancelled.
///
///     let agent = MailAgent(try MailSpool(MailSpool.standardFolder), MailAgent.Configuration(relay: "smtp://user:secret@mail.example.org"))
///     try await agent.run()
///
/// A spool has at most one agent; `skein mail agent start` runs one in the background.
public actor MailAgent {
    nonisolated let spool: MailSpool
    nonisolated let configuration: Configuration
    nonisolated let logger: Logger
    nonisolated let pool: NIOThreadPool
    nonisolated let loop: any EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor.asUnownedSerialExecutor() }

    var schedule: DeliverySchedule
    var ledger = MessageLedger()
    let routes: MailRoutes
    let policies: TransportPolicies?
    let connections: DeliveryConnections
    let resolver: DNSResolver
    var counters = AgentStatus.Counters()
    let began = CivilTime.milliseconds
    /// Unreadable files that were logged.
    var unreadable: Set<MailID> = []
    var isStopping = false
    var isPumping = false
    var running = 0

    /// An agent for a spool; ``run()`` starts it.
    public init(_ spool: MailSpool, _ configuration: Configuration = Configuration()) {
        self.spool = spool
        self.configuration = configuration
        logger = configuration.logger
        loop = MultiThreadedEventLoopGroup.singleton.next()
        pool = NIOThreadPool(numberOfThreads: 4)
        resolver = DNSResolver(configuration.dns, eventLoop: loop)
        policies =
            configuration.usesTransportPolicies
            ? TransportPolicies(
                resolver: resolver, dns: configuration.dns, port: configuration.policyPort, roots: configuration.roots)
            : nil
        routes = MailRoutes(
            resolver: resolver, port: configuration.port, requiresTLS: configuration.requiresTLS, policies: policies,
            roots: configuration.roots)
        var settings = DeliveryConnections.Settings()
        settings.name = configuration.name
        settings.timeouts = configuration.timeouts
        settings.messagesEach = max(1, configuration.messagesPerConnection)
        settings.idle = configuration.idle
        settings.addresses = configuration.addresses
        connections = DeliveryConnections(
            loop: loop, dialer: Dialer(tls: TLSClient(), resolver: resolver, dial: nil), settings: settings)
        var limits = DeliverySchedule.Limits()
        limits.initial = max(1, configuration.concurrency.lowerBound)
        limits.maximum = max(limits.initial, configuration.concurrency.upperBound)
        limits.total = max(1, configuration.totalConcurrency)
        limits.interval = configuration.rate.map { Int((1000 / max(0.001, $0)).rounded(.up)) } ?? 0
        limits.rest = Backoff(
            first: min(.seconds(60), configuration.firstRetry), longest: min(.seconds(1800), configuration.longestRetry)
        )
        schedule = DeliverySchedule(limits)
    }

    /// Delivers until the task is cancelled; deliveries in progress then have half a minute to end.
    /// - Parameter started: called when the agent has the lock of the spool.
    /// - Throws: code 701 when another agent has the spool, or the relay is invalid.
    public func run(started: @Sendable () -> Void = {}) async throws {
        if let relay = configuration.relay { _ = try MailRelay(relay) }
        guard MailAddress("a@\(configuration.name)").problem == nil else {
            throw SkeinError(.exception, because: "\(configuration.name.debugDescription) is not a host name")
        }
        let lock = try PidFile(locking: "\(spool.folder)/agent.pid")
        defer { lock.remove() }
        pool.start()
        logger.info(
            "mail agent of \(spool.folder), \(configuration.relay.map { (try? MailRelay($0)).map { "by \($0)" } ?? "" } ?? "to the servers of each domain")"
        )
        started()
        try await onDisk { [spool, configuration] in spool.tidy(failedFor: configuration.failedFor) }
        let scan = Task { await self.scan() }
        await work()
        scan.cancel()
        await scan.value
        await stop()
        try await pool.shutdownGracefully()
        await policies?.shutdown()
        await resolver.close()
        logger.info("mail agent stopped")
    }

    /// Takes in new messages, ten times a second, and performs periodic work.
    private func work() async {
        let tick = Duration.milliseconds(configuration.rate.map { max(5, min(100, Int(500 / max(0.001, $0)))) } ?? 100)
        var lastStatus = 0
        var lastOrder = CivilTime.milliseconds
        while !Task.isCancelled {
            let more = await takeIn()
            pump()
            let now = CivilTime.milliseconds
            if abs(now - lastStatus) >= 1000 {
                lastStatus = now
                await writeStatus()
                schedule.tidy(at: now)
            }
            if abs(now - lastOrder) >= 3600 * 1000 {
                lastOrder = now
                try? await onDisk { [spool, configuration] in spool.tidy(failedFor: configuration.failedFor) }
                // Files that were unreadable are tried again.
                unreadable = []
                await scan()
            }
            if !more { try? await Task.sleep(for: tick) }
        }
    }

    private func stop() async {
        isStopping = true
        connections.close()
        await untilIdle(within: .seconds(30))
        // Deliveries that have not ended in time are recorded as not sent.
        connections.abort()
        await untilIdle(within: .seconds(5))
        await writeStatus()
    }

    private func untilIdle(within time: Duration) async {
        let end = ContinuousClock.now + time
        while running > 0, ContinuousClock.now < end {
            // In a task of its own, since this one is cancelled.
            try? await Task { try await Task.sleep(for: .milliseconds(20)) }.value
        }
    }

    /// Runs a blocking operation on a thread.
    func onDisk<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await pool.runIfActive(work)
    }

    // MARK: Status

    /// The status.
    public var status: AgentStatus {
        let now = CivilTime.milliseconds
        return AgentStatus(
            process: Int(getpid()), began: began, at: now, messages: ledger.count, waiting: schedule.count,
            running: schedule.running, connections: connections.made, counters: counters,
            destinations: schedule.overview(limit: 20, at: now).map {
                .init(
                    name: (try? MailRelay($0.name).description) ?? $0.name, waiting: $0.waiting, running: $0.running,
                    isResting: $0.isResting)
            })
    }

    private func writeStatus() async {
        guard let document = try? JSON.encode(status) else { return }
        try? await onDisk { [spool] in
            let path = "\(spool.folder)/status.json"
            unlink("\(path).tmp")
            let file = try MailFile(creating: "\(path).tmp")
            try document.give(to: file.write)
            rename("\(path).tmp", path)
        }
    }
}

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif
