// The inputs and outputs of the state machine of a master's workers.

extension SupervisorMachine {
    /// Limits and times.
    package struct Settings: Sendable, Equatable {
        /// Workers that serve. Default: 1.
        package var count = 1
        /// The longest time until a worker is ready. Default: 60 s.
        package var readyTimeout: Duration = .seconds(60)
        /// How long a worker may be silent before it is considered hung. Default: 30 s.
        package var heartbeatTimeout: Duration = .seconds(30)
        /// How long a worker may drain before it is killed. Default: 35 s, a little more than a server takes by default.
        package var drainTimeout: Duration = .seconds(35)
        /// Percent of a core above which a worker is replaced if it stays there. Default: none.
        package var cpuLimit: Double?
        /// How long it has to stay there. Default: 60 s.
        package var cpuTime: Duration = .seconds(60)
        /// Bytes of resident memory above which a worker is replaced. Default: none.
        package var memoryLimit: Int?
        /// Requests after which a worker is replaced. Default: none.
        package var maximumRequests: Int?
        /// The age at which a worker is replaced. Default: none.
        package var maximumAge: Duration?
        /// The pause before a worker that has ended early twice in a row is started again; it doubles each time.
        /// Default: 100 ms, 30 s at most.
        package var firstBackoff: Duration = .milliseconds(100)
        package var longestBackoff: Duration = .seconds(30)
        /// A worker that has served for this long has not crashed at its start. Default: 1 s.
        package var stableAfter: Duration = .seconds(1)
        /// The maximum number of workers when signals ask for more. Default: 64.
        package var maximumCount = 64

        /// The defaults.
        package init() {}
    }

    /// A worker's usage, as measured by the system.
    package struct Sample: Sendable, Equatable {
        /// The worker.
        package var id: WorkerID
        /// Time since its last heartbeat.
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

    /// An input of the machine.
    package enum Event: Sendable, Equatable {
        /// The master begins.
        case begin
        /// A worker reports that it serves.
        case ready(WorkerID)
        /// A worker has ended, or could not be started.
        case exited(WorkerID)
        /// Time passes.
        case tick([Sample])
        /// All workers are to be replaced.
        case reload
        /// Adds or removes workers.
        case scale(Int)
        /// Everything ends: workers finish the requests in progress, or are killed.
        case stop(gracefully: Bool)
    }

    /// An output of the machine.
    package enum Action: Sendable, Equatable {
        case start(WorkerID, slot: Int)
        /// The worker stops listening, finishes the requests in progress, and ends.
        case drain(WorkerID)
        /// The worker ends with a crash report.
        case abort(WorkerID)
        case kill(WorkerID)
        case report(Report)
        /// All slots have a worker that serves; reported once after the start, and after each reload.
        case serving
        /// No worker is left, and none is to be started.
        case end(isFailure: Bool)
    }

    /// A report for the log.
    package enum Report: Sendable, Equatable {
        case willReplace(WorkerID, Reason)
        case notReady(WorkerID)
        case backingOff(slot: Int, Duration)
        case reloadFailed(WorkerID)
        case drainedTooLong(WorkerID)
        case scaled(Int)
    }

    /// The phase of a worker's life.
    package enum Phase: Int, Sendable {
        case starting = 1
        case ready, draining, killed
    }
}
