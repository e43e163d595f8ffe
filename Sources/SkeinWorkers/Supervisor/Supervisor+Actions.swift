// The actions of a master on its workers.

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

extension Supervisor {
    func perform(_ action: SupervisorMachine.Action) {
        switch action {
        case .start(let id, let slot): start(id, slot)
        case .drain(let id):
            if !isStopping || hasGivenWay { processes[id]?.record.isReplaced = true }
            signal(id, SIGTERM)
        case .abort(let id):
            // The report is to show what the event loop is executing.
            guard let process = processes[id] else { return }
            skein_signal_thread(process.processID, process.record.mostSilent?.thread ?? 0, SIGABRT)
        case .kill(let id): signal(id, SIGKILL)
        case .report(let report): say(report)
        case .serving: serving()
        case .end(let isFailure):
            if let successor, !hasGivenWay { kill(successor.processID, SIGKILL) }
            exitCode = isFailure || hasFailed ? 1 : 0
        }
    }

    func signal(_ id: SupervisorMachine.WorkerID, _ signal: CInt) {
        guard let process = processes[id] else { return }
        processes[id]?.isEnding = true
        kill(process.processID, signal)
    }

    func serving() {
        hasBegun = true
        // The old master ends its workers now; the file and the page belong to this one.
        takeOver()
        _ = predecessor?.send(.ready)
        served = addresses
        notifier.ready()
        readiness.tell()
        listeners.keepOnly(addresses)
        logger.info("\(machine.slotCount) worker\(machine.slotCount == 1 ? "" : "s") of \(options.name) serve")
        if wantsReload {
            wantsReload = false
            reload()
        }
    }

    func say(_ report: SupervisorMachine.Report) {
        func name(_ id: SupervisorMachine.WorkerID) -> String {
            processes[id].map { "worker #\($0.slot) (process \($0.processID))" } ?? "a worker"
        }
        switch report {
        case .willReplace(let id, let reason):
            page[.replacements] += 1
            guard reason != .reload else { return }
            logger.warning("\(name(id)) is replaced: \(reason.sentence)")
        case .notReady(let id):
            logger.error("\(name(id)) did not become ready within \(options.settings.readyTimeout); it is killed")
        case .backingOff(let slot, let pause):
            logger.warning("worker #\(slot) keeps ending soon after its start; the next start is in \(pause)")
            // Another master serves, and goes on.
            if predecessor != nil, !hasTakenOver {
                hasFailed = true
                end(gracefully: false)
            }
        case .reloadFailed:
            page[.failedReloads] += 1
            logger.error("a new worker ended before it was ready; the old workers keep running")
            addresses = served
            listeners.keepOnly(served)
            notifier.ready()
        case .drainedTooLong(let id): logger.warning("\(name(id)) has not finished in time; it is killed")
        case .scaled(let count): logger.info("the number of workers is now \(count)")
        }
    }

    func start(_ id: SupervisorMachine.WorkerID, _ slot: Int) {
        guard machine.phase(of: id) == .starting else { return receive(.exited(id)) }
        do {
            processes[id] = try startWorker(in: slot)
        } catch {
            logger.error("worker #\(slot) cannot be started: \(error)")
            receive(.exited(id))
        }
    }

    func startWorker(in slot: Int) throws(SkeinError) -> Process {
        guard let record = page.takeRecord(slot: slot, generation: generation) else {
            throw SkeinError(.exception, because: "too many old processes have not ended yet")
        }
        do {
            let (mine, theirs) = try ControlSocket.pair()
            defer { close(theirs.descriptor) }
            let crash = CrashReport()
            var isStarted = false
            defer {
                if !isStarted {
                    close(mine.descriptor)
                    crash?.end()
                }
            }
            var given = Given(listeners)
            given.add(theirs.descriptor, as: WorkerLink.Descriptor.control)
            given.add(page.descriptor, as: WorkerLink.Descriptor.page)
            if let crash { given.add(crash.descriptor, as: WorkerLink.Descriptor.report) }
            let processID = try given.start(
                program: ProgramPath.own, title: "skein/\(options.name): worker #\(slot)", options.arguments,
                [WorkerLink.Variable.worker: "\(getpid()),\(slot),\(record.index)"])
            isStarted = true
            record.own(processID)
            return Process(processID: processID, slot: slot, control: mine, record: record, crash: crash)
        } catch {
            record.end()
            throw error
        }
    }
}

extension SupervisorMachine.Reason {
    /// The reason, in words.
    var sentence: String {
        switch self {
        case .reload: "reload"
        case .silent: "it does not answer"
        case .cpu: "it uses too much CPU"
        case .memory: "it uses too much memory"
        case .requests: "it has reached its request limit"
        case .age: "it has reached its maximum age"
        }
    }
}
