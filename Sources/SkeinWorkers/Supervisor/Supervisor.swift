// The driver of the supervisor's machine: processes, signals, sockets, time.

import CSkeinWorkers
import Logging
import SkeinCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A master: it binds the listeners, and starts, watches and replaces workers. It serves no requests and runs no code
/// of an app, so that no app can make it crash.
///
/// | signal        | what it does                                                                              |
/// |---------------|-------------------------------------------------------------------------------------------|
/// | SIGTERM       | workers finish their requests; a second one ends them at once                               |
/// | SIGINT, SIGQUIT | everything ends at once                                                                  |
/// | SIGHUP        | a new worker for each, one after the other; the old ones finish their requests               |
/// | SIGUSR2       | starts the program on the disk as the new master; when it serves, this one ends              |
/// | SIGTTIN, SIGTTOU | one worker more, one less                                                               |
package final class Supervisor {
    /// The options of a master.
    package struct Options {
        /// The name of the server, in lists of processes and in the log.
        package var name: String
        /// The number of workers, and when they are replaced.
        package var settings = SupervisorMachine.Settings()
        /// Where to listen; requested again for a reload.
        package var addresses: () throws -> [ListenerAddress]
        /// The file with the number of the master. Default: none.
        package var pidFile: String?
        /// Files whose change causes a reload. Default: none.
        package var watchedFiles: [String] = []
        /// Folders of Python sources, whose change causes a reload.
        package var watchedFolders: [String] = []
        /// Whether a changed program on the disk is exchanged, and changed sources are rebuilt. Default: false.
        package var watchesProgram = false
        /// The program and its arguments. Default: those of this process.
        package var arguments = CommandLine.arguments
        /// For log lines.
        package var logger: Logger

        /// A master of workers.
        package init(name: String, addresses: @escaping () throws -> [ListenerAddress], logger: Logger) {
            self.name = name
            self.addresses = addresses
            self.logger = logger
        }
    }

    /// A worker, as the system knows it.
    struct Process {
        let processID: Int32
        let slot: Int
        let control: ControlSocket
        let record: ProcessRecord
        let crash: CrashReport?
        var usage: ProcessUsage?
        /// Whether this master has sent it a signal that ends it.
        var isEnding = false
    }

    let options: Options
    let logger: Logger
    let page: SharedPage
    var machine: SupervisorMachine
    var listeners: Listeners
    var processes: [SupervisorMachine.WorkerID: Process] = [:]
    var generation = 1
    let signals: SignalPipe
    let notifier = ServiceNotifier()
    let pidFile: PidFile?
    /// The connection to the master that this one replaces.
    var predecessor: ControlSocket?
    /// The master that is to replace this one.
    var successor: (processID: Int32, control: ControlSocket, deadline: Duration)?
    /// Whether the other master is the one now, and whether this one is.
    var hasGivenWay = false
    var hasTakenOver = false
    var hasFailed = false
    /// Whether all workers have served once; a reload before then waits.
    var hasBegun = false
    var wantsReload = false
    /// Whether the program is to be exchanged again when the exchange under way is over.
    var wantsExchange = false
    /// Where the workers that serve listen, and where those of a reload in progress will.
    var served: [ListenerAddress] = []
    var addresses: [ListenerAddress] = []
    /// Events that have happened and are not handled yet: an action may cause an event.
    var events: [SupervisorMachine.Event] = []
    var isDealing = false
    var watched: FileStates
    var program: FileStates
    var build: DevelopmentBuild?
    var lastSample = Duration.zero
    var lastAlive = Duration.zero
    var exitCode: Int32?
    let readiness: Readiness
    let programPath = ProgramPath.current
    /// The file with the compiler's errors while a build started by `watchesProgram` fails.
    package static var buildErrors: String { DevelopmentBuild.errorFile(of: ProgramPath.current) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: ControlSocket.maximumMessage + 64, alignment: 8)

    /// Binds the listeners, or takes over those of the master that has started this process.
    /// - Throws: an error that keeps it from starting.
    package init(_ options: Options) throws {
        self.options = options
        logger = options.logger
        machine = SupervisorMachine(options.settings)
        readiness = Readiness()
        addresses = try options.addresses()
        served = addresses
        let inherited = Inheritance.take(logger: options.logger)
        predecessor = inherited?.control
        listeners = Listeners(inherited: inherited?.listeners ?? [])
        page = try inherited?.page ?? SharedPage()
        if let path = options.pidFile {
            pidFile = try inherited?.pidFile.map { PidFile(inherited: $0, path: path) } ?? PidFile(locking: path)
        } else {
            pidFile = nil
        }
        try listeners.bind(addresses)
        signals = try SignalPipe([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD])
        watched = FileStates(options.watchedFiles, folders: options.watchedFolders)
        program = FileStates(options.watchesProgram ? [programPath] : [])
        build = options.watchesProgram ? DevelopmentBuild(program: programPath) : nil
        page[.slots] = options.settings.count
        ProcessTitle.set("skein/\(options.name): master")
    }

    deinit { buffer.deallocate() }

    /// Runs until everything has ended. Blocks the thread.
    /// - Returns: the exit code.
    package func run() -> Int32 {
        if predecessor == nil { takeOver() }
        receive(.begin)
        while exitCode == nil {
            wait()
            receiveSignals()
            receiveMessages()
            passTime()
        }
        pidFile?.remove()
        return exitCode ?? 0
    }

    var now: Duration {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// From now on this is the master.
    func takeOver() {
        guard !hasTakenOver else { return }
        hasTakenOver = true
        pidFile?.write()
        page[.processID] = Int(getpid())
        page[.started] = time(nil)
    }

    // MARK: Events

    func wait() {
        var entries = [signals.descriptor, predecessor?.descriptor ?? -1, successor?.control.descriptor ?? -1]
            .map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        entries += processes.values.map { pollfd(fd: $0.control.descriptor, events: Int16(POLLIN), revents: 0) }
        // The shortest pause before a start is a tenth of a second.
        _ = poll(&entries, nfds_t(entries.count), 100)
    }

    func receiveSignals() {
        for signal in signals.received() {
            switch signal {
            case SIGTERM: end(gracefully: !isStopping)
            case SIGINT, SIGQUIT: end(gracefully: false)
            case SIGHUP: reload()
            case SIGUSR2: exchange()
            case SIGTTIN: receive(.scale(1))
            case SIGTTOU: receive(.scale(-1))
            default: break
            }
        }
        // Also without a signal: signals that arrive at the same time are merged.
        reap()
    }

    var isStopping = false

    func end(gracefully: Bool) {
        isStopping = true
        notifier.stopping()
        if let successor, !hasGivenWay { kill(successor.processID, gracefully ? SIGTERM : SIGKILL) }
        // Clients are refused, so that they can go elsewhere.
        listeners.keepOnly([])
        receive(.stop(gracefully: gracefully))
    }

    func reap() {
        var status: CInt = 0
        while case let ended = skein_reap(&status), ended != 0 {
            guard let end = ProcessEnd(status: status) else { continue }
            if let (id, process) = processes.first(where: { $0.value.processID == ended }) {
                bury(id, process, end)
            } else if build?.ended(ended, end, logger) == true {
                continue
            } else if ended == successor?.processID {
                if hasGivenWay {
                    logger.info("the new program has ended in the meantime (\(end))")
                } else {
                    logger.error("the new program ended before it was ready (\(end)); the old one keeps running")
                }
                dropSuccessor()
                if wantsExchange {
                    wantsExchange = false
                    exchange()
                }
            }
        }
    }

    func bury(_ id: SupervisorMachine.WorkerID, _ process: Process, _ end: ProcessEnd) {
        // Messages sent before its end count.
        receiveMessages(of: id, process)
        processes[id] = nil
        let report = process.crash?.lines(program: ProgramPath.own) ?? []
        if end != .code(0), !process.isEnding {
            page[.crashes] += 1
            logger.error("worker #\(process.slot) (process \(process.processID)) has ended with \(end)")
            for line in report { logger.error("    \(line)") }
        }
        process.record.end()
        process.crash?.end()
        close(process.control.descriptor)
        receive(.exited(id))
    }

    func receiveMessages() {
        for (id, process) in processes { receiveMessages(of: id, process) }
        if let predecessor {
            relay(from: predecessor) {
                close(predecessor.descriptor)
                self.predecessor = nil
                // It has ended, orderly or not.
                takeOver()
            }
        }
        if let successor { relay(from: successor.control) {} }
    }

    func receiveMessages(of id: SupervisorMachine.WorkerID, _ process: Process) {
        while case .message(let message) = process.control.receive(into: buffer) {
            switch message {
            case .ready: receive(.ready(id))
            case .broadcast: spread(message, except: process.control.descriptor)
            }
        }
    }

    func relay(from master: ControlSocket, closed: () -> Void) {
        while true {
            switch master.receive(into: buffer) {
            case .nothing: return
            case .closed: return closed()
            case .message(.ready): giveWay()
            case .message(let message): spread(message, except: master.descriptor)
            }
        }
    }

    /// Forwards a message. A receiver without room loses it, and the next message shows the gap.
    func spread(_ message: ControlSocket.Message, except sender: CInt) {
        let lines = processes.values.map(\.control) + [predecessor, successor?.control].compactMap(\.self)
        for line in lines where line.descriptor != sender { _ = line.send(message) }
    }

    func passTime() {
        let now = now
        if let interval = notifier.watchdogInterval, now - lastAlive >= interval {
            lastAlive = now
            notifier.alive()
        }
        if let successor, !hasGivenWay, now >= successor.deadline {
            logger.error("the new program was not ready in time and is killed; the old one keeps running")
            kill(successor.processID, SIGKILL)
            self.successor?.deadline = now + .seconds(60)
        }
        guard now - lastSample >= .seconds(1) else { return receive(.tick([])) }
        let passed = now - lastSample
        lastSample = now
        receive(.tick(samples(after: passed / .seconds(1))))
        if hasTakenOver, predecessor == nil, successor == nil { sweep() }
        if watched.haveChanged() { reload() }
        if !isStopping { build?.look(logger) }
        if program.haveChanged() { exchange() }
    }

    /// Frees the records of workers whose master has ended before them.
    func sweep() {
        let own = Set(processes.values.map(\.record.index))
        for record in page.records where record.processID > 0 && !own.contains(record.index) {
            if kill(Int32(truncatingIfNeeded: record.processID), 0) != 0, errno == ESRCH { record.end() }
        }
    }

    func samples(after seconds: Double) -> [SupervisorMachine.Sample] {
        let now = Int64(now / .nanoseconds(1))
        return processes.compactMap { id, process in
            guard machine.phase(of: id) == .ready else { return nil }
            let usage = ProcessUsage(of: process.processID)
            let cpu = usage.flatMap { usage in process.usage.map { (usage.cpu - $0.cpu) / seconds * 100 } } ?? 0
            processes[id]?.usage = usage
            process.record.memory = usage?.memory ?? 0
            process.record.cpu = Int(cpu * 10)
            return .init(
                id: id, silence: .nanoseconds(max(0, now &- (process.record.mostSilent?.since ?? now))), cpu: cpu,
                memory: usage?.memory ?? 0,
                requests: (0..<5).reduce(0) { $0 &+ process.record.sum($1) })
        }
    }

    func receive(_ event: SupervisorMachine.Event) {
        events.append(event)
        guard !isDealing else { return }
        isDealing = true
        defer { isDealing = false }
        while !events.isEmpty {
            for action in machine.receive(events.removeFirst(), at: now) { perform(action) }
        }
        for (id, process) in processes { process.record.phase = machine.phase(of: id) }
        page[.slots] = machine.slotCount
        page[.isServing] = machine.isServing ? 1 : 0
    }
}
