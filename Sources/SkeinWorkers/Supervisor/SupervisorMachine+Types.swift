// What goes into the machine of a master's workers, and what comes out of it.

extension SupervisorMachine {
    /// Limits and times.
    package struct Settings: Sendable, Equatable {
        /// Workers that serve. Default: 1.
        package var count = 1
        /// How long a worker may take until it is ready. Default: 60 s.
        package var readyTimeout: Duration = .seconds(60)
        /// How long a worker may be silent before it counts as hung. Default: 30 s.
        package var heartbeatTimeout: Duration = .seconds(30)
        /// How long a worker may drain before it is killed. Default: 35 s, a little more than a server takes by default.
        package var drainTimeout: Duration = .seconds(35)
        /// Percent of a core beyond which a worker is replaced when it stays there. Default: none.
        package var cpuLimit: Double?
        /// How long it has to stay there. Default: 60 s.
        package var cpuTime: Duration = .seconds(60)
        /// Bytes of resident memory beyond which a worker is replaced. Default: none.
        package var memoryLimit: Int?
        /// Requests after which a worker is replaced. Default: none.
        package var maximumRequests: Int?
        /// The age at which a worker is replaced. Default: none.
        package var maximumAge: Duration?
        /// The pause before a worker is started again that has ended twice in a row soon after its start; it doubles each time.
        /// Default: 100 ms, 30 s at most.
        package var firstBackoff: Duration = .milliseconds(100)
        package var longestBackoff: Duration = .seconds(30)
        /// A worker that has served for so long has not crashed at its start. Default: 1 s.
        package var stableAfter: Duration = .seconds(1)
        /// Workers at most, when signals ask for more. Default: 64.
        package var maximumCount = 64

        /// The defaults.
        package init() {}
    }

    /// What a worker uses, as the system tells it.
    package struct Sample: Sendable, Equatable {
        /// The worker.
        package var id: WorkerID
        /// How long ago it was last heard of.
        package var silence: Duration
        /// Percent of a core since the last sample.
        package var cpu: Double
        /// Bytes of resident memory.
        package var memory: Int
        /// Requests that it has answered.
        package var requests: Int

        /// A sample.
        package init(id: WorkerID, silence: Duration = .zero, cpu: Double = 0, memory: Int = 0, requests: Int = 0) {
            self.id = id
            self.silence = silence
            self.cpu = cpu
            self.memory = memory
            self.requests = requests
        }
    }

    /// Why a worker is replaced.
    package enum Reason: Sendable, Equatable {
        case reload, silent, cpu, memory, requests, age
    }

    /// What happens.
    package enum Event: Sendable, Equatable {
        /// The master begins.
        case begin
        /// A worker says that it serves.
        case ready(WorkerID)
        /// A worker has ended, or could not be started.
        case exited(WorkerID)
        /// Time passes.
        case tick([Sample])
        /// All workers are to be replaced.
        case reload
        /// So many workers more, or less.
        case scale(Int)
        /// Everything ends: workers finish what is under way, or are killed.
        case stop(gracefully: Bool)
    }

    /// What is to be done.
    package enum Action: Sendable, Equatable {
        case start(WorkerID, slot: Int)
        /// The worker stops to listen, finishes what is under way, and ends.
        case drain(WorkerID)
        /// The worker ends with a crash report.
        case abort(WorkerID)
        case kill(WorkerID)
        case report(Report)
        /// All slots have a worker that serves; said once after the start, and after each reload.
        case serving
        /// No worker is left, and none is to be started.
        case end(isFailure: Bool)
    }

    /// What a person wants to know.
    package enum Report: Sendable, Equatable {
        case willReplace(WorkerID, Reason)
        case notReady(WorkerID)
        case backingOff(slot: Int, Duration)
        case reloadFailed(WorkerID)
        case drainedTooLong(WorkerID)
        case scaled(Int)
    }

    /// Where a worker is in its life.
    package enum Phase: Int, Sendable {
        case starting = 1
        case ready, draining, killed
    }
}
