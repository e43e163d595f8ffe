// Reloads, and the exchange of the program.

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
    func reload() {
        guard !isStopping else { return }
        guard hasBegun else {
            wantsReload = true
            return
        }
        do {
            let addresses = try options.addresses()
            try listeners.bind(addresses)
            self.addresses = addresses
        } catch {
            logger.error("the reload failed: \(error); the old workers keep running")
            page[.failedReloads] += 1
            return
        }
        notifier.reloading()
        page[.isServing] = 0
        page[.reloads] += 1
        generation += 1
        receive(.reload)
    }

    func exchange() {
        guard !isStopping else { return }
        if let successor {
            wantsExchange = true
            // In development, a program that does not serve yet is out of date.
            if options.watchesProgram { kill(successor.processID, SIGKILL) }
            return
        }
        do {
            let (mine, theirs) = try ControlSocket.pair()
            defer {
                close(theirs.descriptor)
                if successor == nil { close(mine.descriptor) }
            }
            var given = Given(listeners)
            given.add(theirs.descriptor, as: WorkerLink.Descriptor.control)
            given.add(page.descriptor, as: WorkerLink.Descriptor.page)
            if let pidFile { given.add(pidFile.descriptor, as: WorkerLink.Descriptor.report) }
            let processID = try given.start(
                program: programPath, title: programPath, options.arguments,
                [
                    Inheritance.variable: "\(getpid()),\(pidFile == nil ? 0 : 1)",
                    Inheritance.pidFileVariable: pidFile?.path ?? "",
                ], inSession: true)
            successor = (processID, mine, now + options.settings.readyTimeout * machine.slotCount + .seconds(5))
            logger.info("the program on the disk is started as process \(processID)")
        } catch {
            logger.error("the upgrade failed: \(error); this program keeps running")
        }
    }

    /// The new master serves.
    func giveWay() {
        guard successor != nil, !hasGivenWay else { return }
        hasGivenWay = true
        logger.info("the new program is ready; this one finishes its requests")
        isStopping = true
        // The new master has its own; a socket on which no process accepts would keep clients waiting.
        listeners.keepOnly([])
        receive(.stop(gracefully: true))
    }

    func dropSuccessor() {
        guard let successor else { return }
        close(successor.control.descriptor)
        self.successor = nil
    }
}
