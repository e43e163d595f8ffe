// The process that delivers what is in a spool: it takes messages in, asks the schedule what begins, and writes down what has become of it.

import Logging
import NIOCore
import NIOPosix
import SkeinCore
import SkeinTransport
import SkeinWorkers

/// Delivers the messages of a spool, until it is cancelled.
///
///     let agent = MailAgent(try MailSpool(MailSpool.standardFolder), MailAgent.Configuration(relay: "smtp://user:secret@mail.example.org"))
///     try await agent.run()
///
/// One agent at a time works on a spool; `skein mail agent start` runs one in the background.
public actor MailAgent {
    /// How mail is delivered.
    public struct Configuration: Sendable {
        /// The server that all mail is sent to, as of ``MailRelay``. Default: none, each domain's own servers are.
        public var relay: String?
        /// What the agent calls itself to servers. Default: the name of the host.
        public var name = SystemName.host
        /// Deliveries to a destination at first, and at most. Default: 5 to 20.
        public var concurrency = 5...20
        /// Deliveries to all destinations at one time. Default: 100.
        public var totalConcurrency = 100
        /// Messages a second to a destination. Default: no limit.
        public var rate: Double?
        /// The wait after the first failure; each further one is twice as long, up to the longest. Default: 5 min.
        public var firstRetry: Duration = .seconds(300)
        /// The longest wait. Default: 4 h.
        public var longestRetry: Duration = .seconds(4 * 3600)
        /// How long servers may take.
        public var timeouts = SMTPTimeouts()
        /// Messages on one connection. Default: 100.
        public var messagesPerConnection = 100
        /// How long a connection waits for another message. Default: 5 s.
        public var idle: Duration = .seconds(5)
        /// Whether servers that are found in the DNS must speak TLS and prove who they are. Default: no, as most do not.
        public var requiresTLS = false
        /// The port of servers that are found in the DNS. Default: 25.
        public var port = 25
        /// How names are resolved.
        public var dns = DNSConfiguration()
        /// How long messages that were given up are kept. Default: 30 days.
        public var failedFor: Duration = .seconds(30 * 86_400)
        /// Where it says what it does.
        public var logger: Logger = .screen(label: "mail")

        /// - Parameter relay: the server that all mail is sent to. Default: each domain's own.
        public init(relay: String? = nil) { self.relay = relay }
    }

    /// What a message has in memory while it is the agent's.
    private struct Message {
        var serial: UInt32
        var running: UInt16 = 0
        /// Destinations of which a recipient is pending.
        var pending: UInt16
    }

    nonisolated let spool: MailSpool
    nonisolated let configuration: Configuration
    nonisolated let logger: Logger
    nonisolated let pool: NIOThreadPool
    private nonisolated let loop: any EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor.asUnownedSerialExecutor() }

    private var schedule: DeliverySchedule
    private var messages: [MailID: Message] = [:]
    private var serial: UInt32 = 0
    private let routes: MailRoutes
    private let connections: DeliveryConnections
    private let resolver: DNSResolver
    private var counters = AgentStatus.Counters()
    private let began = CivilTime.milliseconds
    private var isStopping = false
    private var isPumping = false
    private var running = 0
    private var written: [UInt8] = []

    /// An agent of a spool; ``run()`` lets it begin.
    public init(_ spool: MailSpool, _ configuration: Configuration = Configuration()) {
        self.spool = spool
        self.configuration = configuration
        logger = configuration.logger
        loop = MultiThreadedEventLoopGroup.singleton.next()
        pool = NIOThreadPool(numberOfThreads: 4)
        resolver = DNSResolver(configuration.dns, eventLoop: loop)
        routes = MailRoutes(resolver: resolver, port: configuration.port, requiresTLS: configuration.requiresTLS)
        var settings = DeliveryConnections.Settings()
        settings.name = configuration.name
        settings.timeouts = configuration.timeouts
        settings.messagesEach = max(1, configuration.messagesPerConnection)
        settings.idle = configuration.idle
        connections = DeliveryConnections(
            loop: loop, dialer: Dialer(tls: TLSClient(), resolver: resolver, dial: nil), settings: settings)
        var limits = DeliverySchedule.Limits()
        limits.initial = max(1, configuration.concurrency.lowerBound)
        limits.maximum = max(limits.initial, configuration.concurrency.upperBound)
        limits.total = max(1, configuration.totalConcurrency)
        limits.interval = configuration.rate.map { Int(1000 / max(0.001, $0)) } ?? 0
        limits.rest = Backoff(
            first: min(.seconds(60), configuration.firstRetry), longest: min(.seconds(1800), configuration.longestRetry)
        )
        schedule = DeliverySchedule(limits)
    }

    /// Delivers until the task is cancelled; what is under way then has half a minute to end.
    /// - Parameter started: called when the spool is this agent's.
    /// - Throws: code 701 when another agent has the spool, or the relay is none.
    public func run(started: @Sendable () -> Void = {}) async throws {
        if let relay = configuration.relay { _ = try MailRelay(relay) }
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
        await resolver.close()
        logger.info("mail agent ends")
    }

    /// Takes in what is new, ten times a second, and looks after the rest.
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
            }
            if !more { try? await Task.sleep(for: tick) }
        }
    }

    private func stop() async {
        isStopping = true
        connections.close()
        let end = ContinuousClock.now + .seconds(30)
        while running > 0, ContinuousClock.now < end {
            try? await Task { try await Task.sleep(for: .milliseconds(20)) }.value
        }
        await writeStatus(isEnd: true)
    }

    /// Does something that blocks on a thread.
    func onDisk<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await pool.runIfActive(work)
    }

    // MARK: Taking in

    /// A message with the destinations that it waits for.
    private struct Taken: Sendable {
        let id: MailID
        var due = 0
        var attempts = 0
        var expires = 0
        var priority = MailMessage.Priority.normal
        var destinations: [String] = []
    }

    /// Takes in what was in the queue when the agent began.
    private func scan() async {
        let names = (try? await onDisk { [spool] in spool.names(.queue) }) ?? []
        for start in stride(from: 0, to: names.count, by: 200) where !Task.isCancelled {
            let part = Array(names[start..<min(start + 200, names.count)]).filter { messages[$0] == nil }
            await take(part, from: .queue)
        }
    }

    /// Takes in what is new.
    /// - Returns: whether there may be more.
    private func takeIn() async -> Bool {
        let limit = 500
        let names = (try? await onDisk { [spool] in spool.names(.new, limit: limit) }) ?? []
        // A message that is being delivered, and was let go of again by a person, waits for its end.
        let free = names.filter { messages[$0]?.running ?? 0 == 0 }
        await take(free, from: .new)
        return names.count == limit && !free.isEmpty
    }

    private func take(_ names: [MailID], from state: MailSpool.State) async {
        guard !names.isEmpty else { return }
        let relay = configuration.relay
        let taken: [Taken]? = try? await onDisk { [spool, logger] in
            names.compactMap { Self.take($0, from: state, spool, relay, logger) }
        }
        for message in taken ?? [] {
            guard !message.destinations.isEmpty else {
                messages[message.id] = Message(serial: 0, running: 1, pending: 0)
                Task { await self.settle(message.id) }
                continue
            }
            serial &+= 1
            messages[message.id] = Message(serial: serial, pending: UInt16(clamping: message.destinations.count))
            for destination in message.destinations {
                let entry = DeliverySchedule.Entry(
                    id: message.id, due: message.due, expires: UInt32(clamping: message.expires / 1000), serial: serial,
                    attempts: UInt16(clamping: message.attempts), priority: UInt8(message.priority.rawValue))
                schedule.add(entry, to: ByteKey(destination))
            }
        }
    }

    /// Moves a message into the queue, and reads where it goes. On a thread.
    private static func take(
        _ id: MailID, from state: MailSpool.State, _ spool: MailSpool, _ relay: String?, _ logger: Logger
    ) -> Taken? {
        do throws(SkeinError) {
            let file = try SpoolFile(spool.path(state, id), readingAhead: 4 << 10)
            let envelope = file.envelope
            if state == .new {
                // Of two messages with one key, the first one counts.
                if envelope.isKeyed, file.attempts == 0, file.due != 0, spool.isKeyKnown(id) {
                    _ = spool.remove(id, from: .new, bytes: file.storedLength)
                    return nil
                }
                guard spool.move(id, from: .new, to: .queue) else { return nil }
            }
            var taken = Taken(
                id: id, due: file.due, attempts: file.attempts, expires: envelope.expires, priority: envelope.priority)
            // A clock that was set back must not hold a message up for longer than any wait.
            let now = CivilTime.milliseconds
            if file.attempts > 0 || envelope.notBefore == envelope.created {
                taken.due = min(taken.due, now + 5 * 3600 * 1000)
            }
            var seen: Set<ByteKey> = []
            for (index, mark) in file.marks.enumerated() where mark == .pending {
                let destination = destination(of: envelope.recipients[index], envelope, relay)
                if seen.insert(ByteKey(destination)).inserted { taken.destinations.append(destination) }
            }
            return taken
        } catch {
            giveUp(id, in: state, spool, error, logger)
            return nil
        }
    }

    /// A file that is no message is put aside, where people can look at it.
    private static func giveUp(
        _ id: MailID, in state: MailSpool.State, _ spool: MailSpool, _ error: SkeinError, _ logger: Logger
    ) {
        guard error.code == .bodyError else { return }
        logger.error("\(id) is put aside: \(error)")
        _ = spool.move(id, from: state, to: .failed)
    }

    /// Where mail for a recipient goes: a URL or a domain.
    private static func destination(of recipient: String, _ envelope: SpooledEnvelope, _ relay: String?) -> String {
        if let relay = envelope.relay ?? relay { return relay }
        return recipient.lastByte("@").map { String(recipient.text(after: $0)) } ?? recipient
    }

    // MARK: Delivering

    /// Begins what the schedule wants to begin.
    private func pump() {
        guard !isStopping, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        for (destination, entry) in schedule.start(at: CivilTime.milliseconds) {
            guard let message = messages[entry.id], message.serial == entry.serial else {
                _ = schedule.ended(destination, .void, at: CivilTime.milliseconds)
                continue
            }
            messages[entry.id]?.running += 1
            running += 1
            Task {
                let verdict = await self.deliver(entry, to: destination)
                self.running -= 1
                for expired in self.schedule.ended(destination, verdict, at: CivilTime.milliseconds) {
                    Task { await self.expire(expired, at: destination) }
                }
                self.pump()
            }
        }
    }

    /// What is sent of a message to one destination.
    private struct Part: Sendable {
        let file: SpoolFile
        /// The places of the recipients in the envelope.
        let recipients: [Int]
    }

    private func deliver(_ entry: DeliverySchedule.Entry, to destination: ByteKey) async -> DeliverySchedule.Verdict {
        let (relay, logger) = (configuration.relay, logger)
        let loaded: Part? = try? await onDisk { [spool] in
            do throws(SkeinError) {
                let file = try SpoolFile(spool.path(.queue, entry.id))
                let recipients = file.marks.indices.filter { index in
                    file.marks[index] == .pending
                        && Self.destination(of: file.envelope.recipients[index], file.envelope, relay)
                            .equalsBytes(destination.text)
                }
                return Part(file: file, recipients: recipients)
            } catch {
                Self.giveUp(entry.id, in: .queue, spool, error, logger)
                return nil
            }
        }
        guard let part = loaded else {
            // Somebody has taken it away.
            release(entry.id, isGone: true)
            return .void
        }
        guard !part.recipients.isEmpty else {
            await finish(entry, part, [:], destination)
            return .void
        }
        var results: [Int: SMTPResult] = [:]
        var verdict = DeliverySchedule.Verdict.good
        for start in stride(from: 0, to: part.recipients.count, by: 50) {
            let recipients = Array(part.recipients[start..<min(start + 50, part.recipients.count)])
            let (said, how) = await transfer(part.file, recipients, to: destination)
            for (index, result) in zip(recipients, said) { results[index] = result }
            verdict = how
            guard case .good = how else { break }
        }
        await finish(entry, part, results, destination)
        return verdict
    }

    /// Sends a message to recipients of one destination.
    private func transfer(
        _ file: SpoolFile, _ recipients: [Int], to destination: ByteKey
    ) async -> ([SMTPResult], DeliverySchedule.Verdict) {
        var envelope = SMTPEnvelope(
            sender: file.envelope.sender, recipients: recipients.map { file.envelope.recipients[$0] }, size: file.size)
        envelope.isEightBit = file.envelope.isEightBit
        envelope.needsUTF8 = file.envelope.needsUTF8
        envelope.notify = file.envelope.notify
        func all(_ result: SMTPResult) -> [SMTPResult] { recipients.map { _ in result } }
        // A connection that waited may have ended without a word: then nothing was sent, and another one is made.
        for isFresh in [false, true] {
            let connection: SMTPConnection
            do {
                if !isFresh, let waiting = connections.reuse(destination) {
                    connection = waiting
                } else {
                    let servers = try await routes.servers(of: destination.text, on: loop)
                    if case .folder(let folder)? = servers.first?.target {
                        let path = try await onDisk { try file.export(to: folder) }
                        return (all(.delivered(SMTPReply(code: 250, lines: ["2.0.0 written to \(path)"]))), .good)
                    }
                    connection = try await connections.connect(servers)
                }
            } catch {
                return (
                    all(Self.result(of: error)), (error as? SkeinError)?.code == .dnsNotFound ? .good : .unreachable
                )
            }
            let isReused = connection.count > 0
            guard let content = content(of: file) else {
                connections.giveBack(connection, to: destination)
                return (
                    all(
                        .refused(SMTPReply(code: 554, lines: ["5.3.0 the message in the spool is not what was stored"]))
                    ), .good
                )
            }
            guard let outcome = try? await connection.send(envelope, content).get() else { continue }
            if isReused, !isFresh, !connection.isIdle, !outcome.isUncertain, outcome.results.allSatisfy(\.isLost) {
                continue
            }
            connections.giveBack(connection, to: destination)
            if outcome.isUncertain {
                counters.uncertain += 1
                logger.warning(
                    "\(connection.peer) has ended the connection behind the message: it may have taken it, and will get it again"
                )
            }
            return (outcome.results, Self.verdict(outcome))
        }
        return (all(.deferred(SMTPReply(code: 451, lines: ["4.4.2 the connection was lost"]))), .good)
    }

    /// The bytes to send; nil when they are not what was stored.
    private func content(of file: SpoolFile) -> (any SMTPContent)? {
        guard let short = file.shortContent else { return FileContent(file, pool) }
        var check = SpoolFile.Check()
        check.update(short)
        guard file.isIntact(check) else { return nil }
        var whole = ByteBuffer()
        whole.reserveCapacity(file.size)
        whole.writeString(file.envelope.prefix)
        whole.writeBytes(short)
        return MemoryContent([whole])
    }

    private static func result(of error: any Error) -> SMTPResult {
        let skein = error as? SkeinError ?? SkeinError(.exception, because: "\(error)")
        if let refusal = skein.cause as? SMTPRefusal {
            // A server that turns everybody away may be there again; a domain that takes no mail will not.
            if skein.code == .dnsNotFound { return .refused(refusal.reply) }
            return .deferred(SMTPReply(code: 450, lines: ["4.4.1 \(skein.message)"]))
        }
        let code = skein.code == .dnsNotFound ? "4.4.3" : skein.code == .unknownAuthentication ? "4.7.8" : "4.4.1"
        return .deferred(SMTPReply(code: 450, lines: ["\(code) \(skein.peer.map { "\($0): " } ?? "")\(skein.message)"]))
    }

    /// What the answers say about the destination.
    private static func verdict(_ outcome: SMTPOutcome) -> DeliverySchedule.Verdict {
        let isThrottled = outcome.results.allSatisfy { result in
            guard case .deferred(let reply) = result, !reply.isGreylisting else { return false }
            return reply.code == 421
                || ["4.3.", "4.4.", "4.7."].contains { reply.enhancedCode?.hasBytePrefix($0) == true }
        }
        return isThrottled ? .throttled : .good
    }

    // MARK: Writing down

    /// Writes down what has become of the recipients of a destination, and goes on with the message.
    private func finish(
        _ entry: DeliverySchedule.Entry, _ part: Part, _ results: [Int: SMTPResult], _ destination: ByteKey
    ) async {
        let now = CivilTime.milliseconds
        var pending = part.recipients.filter { index in
            if case .deferred? = results[index] { true } else { results[index] == nil }
        }
        log(entry.id, part.file.envelope, results)
        var retry: Int?
        let attempts = Int(entry.attempts) + 1
        if !pending.isEmpty {
            var policy = RetryPolicy()
            policy.backoff = Backoff(first: configuration.firstRetry, longest: configuration.longestRetry)
            let isGreylisted = results.values.contains { $0.reply.isGreylisting }
            switch policy.decision(
                attempts: attempts, isGreylisted: isGreylisted, expires: part.file.envelope.expires, now: now)
            {
            case .at(let moment): retry = moment
            case .never: counters.expired += pending.count
            }
        }
        if retry == nil { pending = [] }
        let isLast = retry == nil && messages[entry.id]?.pending == 1
        let (due, isWhole) = (
            retry, isLast && results.values.allSatisfy(\.isDelivered) && results.count == part.file.marks.count
        )
        do {
            // A message that was delivered to all goes at once, without marks.
            if !isWhole { try await onDisk { try Self.write(part, results, due: due, attempts: attempts, now) } }
        } catch {
            logger.error("\(entry.id): what was done cannot be written down, and may be done again: \(error)")
        }
        if let retry {
            counters.deferred += pending.count
            var entry = entry
            entry.due = retry
            entry.attempts = UInt16(clamping: attempts)
            schedule.add(entry, to: destination)
        } else {
            messages[entry.id]?.pending -= 1
        }
        if messages[entry.id]?.pending == 0, messages[entry.id]?.running == 1 {
            await settle(entry.id, isDelivered: isWhole ? part.file : nil)
        } else {
            release(entry.id, isGone: false)
        }
    }

    /// Marks recipients and notes what was said. On a thread.
    private static func write(
        _ part: Part, _ results: [Int: SMTPResult], due: Int?, attempts: Int, _ now: Int
    ) throws(SkeinError) {
        let file = part.file
        var changes: [Int: SpoolFile.Mark] = [:]
        var notes: [SpoolFile.Note] = []
        for index in part.recipients {
            switch results[index] {
            case .delivered: changes[index] = .delivered
            case .refused(let reply):
                changes[index] = .failed
                notes.append(.init(moment: now, recipient: file.envelope.recipients[index], text: "\(reply)"))
            case .deferred(let reply):
                if due == nil { changes[index] = .failed }
                notes.append(.init(moment: now, recipient: file.envelope.recipients[index], text: "\(reply)"))
            case nil: if due == nil { changes[index] = .failed }
            }
        }
        if !changes.isEmpty { try file.mark(changes) }
        if let due { try file.schedule(attempts: attempts, due: due) }
        file.note(notes)
        if !changes.isEmpty { try file.synchronize() }
    }

    /// What waits for a destination that cannot be reached, and has no time left.
    private func expire(_ entry: DeliverySchedule.Entry, at destination: ByteKey) async {
        guard let message = messages[entry.id], message.serial == entry.serial else { return }
        messages[entry.id]?.running += 1
        let relay = configuration.relay
        let part: Part? = try? await onDisk { [spool] in
            let file = try SpoolFile(spool.path(.queue, entry.id))
            return Part(
                file: file,
                recipients: file.marks.indices.filter {
                    file.marks[$0] == .pending
                        && Self.destination(of: file.envelope.recipients[$0], file.envelope, relay).equalsBytes(
                            destination.text)
                })
        }
        guard let part else { return release(entry.id, isGone: true) }
        let reply = SMTPReply(
            code: 450, lines: ["4.4.7 the destination could not be reached until the message expired"])
        await finish(
            entry, part, Dictionary(uniqueKeysWithValues: part.recipients.map { ($0, .deferred(reply)) }), destination)
    }

    private func release(_ id: MailID, isGone: Bool) {
        guard let message = messages[id] else { return }
        if isGone || message.running <= 1 && message.pending == 0 {
            messages[id] = nil
        } else {
            messages[id]?.running -= 1
        }
    }

    /// The end of a message: everybody has got it, or will not.
    private func settle(_ id: MailID, isDelivered whole: SpoolFile? = nil) async {
        let (name, logger) = (configuration.name, logger)
        do {
            let failed = try await onDisk { [spool] in try spool.settle(id, isDelivered: whole, name: name, logger) }
            counters.failed += failed
            release(id, isGone: true)
        } catch {
            // Without room for the report, the message stays until there is some.
            logger.error("\(id) cannot be brought to its end, and is looked at again in five minutes: \(error)")
            messages[id]?.running = 0
            Task {
                try? await Task.sleep(for: .seconds(300))
                if self.messages[id]?.running == 0, !self.isStopping { await self.settle(id) }
            }
        }
    }

    // MARK: Telling

    private func log(_ id: MailID, _ envelope: SpooledEnvelope, _ results: [Int: SMTPResult]) {
        for (index, result) in results {
            switch result {
            case .delivered:
                counters.delivered += 1
                logger.debug("\(id) to \(envelope.recipients[index]): \(result.reply)")
            case .deferred: logger.info("\(id) to \(envelope.recipients[index]) waits: \(result.reply)")
            case .refused: logger.warning("\(id) to \(envelope.recipients[index]) failed: \(result.reply)")
            }
        }
    }

    /// How it goes.
    public var status: AgentStatus {
        let now = CivilTime.milliseconds
        return AgentStatus(
            process: Int(getpid()), began: began, at: now, messages: messages.count, waiting: schedule.count,
            running: schedule.running, connections: connections.made, counters: counters,
            destinations: schedule.overview(limit: 20, at: now).map {
                .init(
                    name: (try? MailRelay($0.name).description) ?? $0.name, waiting: $0.waiting, running: $0.running,
                    isResting: $0.isResting)
            })
    }

    private func writeStatus(isEnd: Bool = false) async {
        guard let document = try? JSON.encode(status), document != written else { return }
        written = document
        try? await onDisk { [spool] in
            let path = "\(spool.folder)/status.json"
            unlink("\(path).tmp")
            let file = try MailFile(creating: "\(path).tmp")
            try document.give(to: file.write)
            rename("\(path).tmp", path)
        }
    }
}

extension SMTPResult {
    /// Whether it is what is said when the connection has ended.
    fileprivate var isLost: Bool {
        guard case .deferred(let reply) = self else { return false }
        return reply.code == 421 || reply.enhancedCode?.equalsBytes("4.4.2") == true
    }

    fileprivate var isDelivered: Bool { if case .delivered = self { true } else { false } }
}

extension SMTPReply {
    /// Whether the server wants to see whether it is tried again.
    var isGreylisting: Bool {
        isTemporary
            && lines.contains { line in
                ["greylist", "graylist", "grey-list", "gray-list", "grey list"].contains {
                    line.asciiLowercased.containsBytes($0)
                }
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
