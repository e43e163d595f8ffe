import SkeinWorkers
import Testing

/// The life of a master's workers: every state with every event, and long random lives.
@Suite("The supervisor's machine")
struct SupervisorMachineTests {
    typealias Machine = SupervisorMachine
    typealias Action = Machine.Action

    /// A machine with a clock.
    struct Life {
        var machine: Machine
        var now = Duration.zero

        init(_ count: Int = 1, _ change: (inout Machine.Settings) -> Void = { _ in }) {
            var settings = Machine.Settings()
            settings.count = count
            change(&settings)
            machine = Machine(settings)
        }

        mutating func receive(_ event: Machine.Event, after time: Duration = .zero) -> [Action] {
            now += time
            return machine.receive(event, at: now)
        }

        /// A machine whose workers have served for a minute.
        static func serving(_ count: Int = 1, _ change: (inout Machine.Settings) -> Void = { _ in }) -> Life {
            var life = Life(count, change)
            _ = life.receive(.begin)
            for id in 1...count { _ = life.receive(.ready(id)) }
            life.now += .seconds(60)
            return life
        }
    }

    @Test("The server is ready when all workers serve")
    func begin() {
        var life = Life(2)
        #expect(life.receive(.begin) == [.start(1, slot: 0), .start(2, slot: 1)])
        #expect(life.receive(.ready(2)) == [])
        #expect(life.receive(.ready(1)) == [.serving])
        #expect(life.receive(.ready(1)) == [], "said twice")
        #expect(life.machine.phase(of: 1) == .ready)
    }

    @Test("A worker that ends before any is ready fails the server")
    func failsToBegin() {
        var life = Life(2)
        _ = life.receive(.begin)
        #expect(life.receive(.exited(1)) == [.kill(2)])
        #expect(life.receive(.exited(2)) == [.end(isFailure: true)])
        #expect(life.receive(.exited(2)) == [])
    }

    @Test("A worker that does not become ready in time is killed, and the server fails")
    func neverReady() {
        var life = Life()
        _ = life.receive(.begin)
        #expect(life.receive(.tick([]), after: .seconds(59)) == [])
        #expect(life.receive(.tick([]), after: .seconds(1)) == [.report(.notReady(1)), .kill(1)])
        #expect(life.receive(.tick([]), after: .seconds(1)) == [], "once")
        #expect(life.receive(.exited(1)) == [.end(isFailure: true)])
    }

    @Test("A worker that ends after being ready is replaced at once")
    func replaced() {
        var life = Life.serving(2)
        #expect(life.receive(.exited(1)) == [.start(3, slot: 0)])
        #expect(life.receive(.ready(3)) == [], "the start was announced long ago")
    }

    @Test(
        "Workers that end soon are started again after pauses that double up to 30 s, and start anew after a stable one"
    )
    func backoff() {
        var life = Life.serving()
        #expect(life.receive(.exited(1)) == [.start(2, slot: 0)])
        #expect(life.receive(.exited(2), after: .milliseconds(10)) == [.start(3, slot: 0)], "the first failure")
        var id = 3
        var pauses: [Duration] = []
        for _ in 0..<12 {
            let actions = life.receive(.exited(id), after: .milliseconds(10))
            guard case .report(.backingOff(slot: 0, let pause))? = actions.first else {
                Issue.record("\(actions)")
                return
            }
            pauses.append(pause)
            #expect(life.receive(.tick([]), after: pause - .milliseconds(1)) == [])
            id += 1
            #expect(life.receive(.tick([]), after: .milliseconds(1)) == [.start(id, slot: 0)])
        }
        #expect(pauses.prefix(4) == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800)])
        #expect(pauses.last == .seconds(30))
        _ = life.receive(.ready(id))
        #expect(life.receive(.exited(id), after: .seconds(1)) == [.start(id + 1, slot: 0)], "it was stable")
    }

    @Test("A reload replaces one worker after the other: the new one serves before the old one drains")
    func reload() {
        var life = Life.serving(2)
        #expect(life.receive(.reload) == [.report(.willReplace(1, .reload)), .start(3, slot: 0)])
        #expect(life.receive(.ready(3)) == [.drain(1), .report(.willReplace(2, .reload)), .start(4, slot: 1)])
        #expect(life.receive(.exited(1)) == [])
        #expect(life.receive(.ready(4)) == [.drain(2), .serving])
        #expect(life.receive(.tick([]), after: .seconds(35)) == [.report(.drainedTooLong(2)), .kill(2)])
        #expect(life.receive(.exited(2)) == [])
        #expect(life.machine.slotCount == 2)
    }

    @Test(
        "A new worker that ends or hangs before it serves ends a reload, and the old workers go on",
        arguments: [true, false])
    func reloadFails(hangs: Bool) {
        var life = Life.serving(2)
        _ = life.receive(.reload)
        if hangs { #expect(life.receive(.tick([]), after: .seconds(60)) == [.report(.notReady(3)), .kill(3)]) }
        #expect(life.receive(.exited(3)) == [.report(.reloadFailed(3))], "nothing new serves")
        #expect(life.machine.phase(of: 1) == .ready && life.machine.phase(of: 2) == .ready)
        #expect(!life.machine.isReloading)
        #expect(
            life.receive(.reload) == [.report(.willReplace(1, .reload)), .start(4, slot: 0)], "and can be tried again")
    }

    @Test("An old worker that ends during a reload leaves its slot to the new one")
    func oldEndsDuringReload() {
        var life = Life.serving()
        _ = life.receive(.reload)
        #expect(life.receive(.exited(1)) == [])
        #expect(life.receive(.ready(2)) == [.serving])
        #expect(life.receive(.exited(2), after: .seconds(2)) == [.start(3, slot: 0)])
    }

    @Test("A second reload cancels the first one")
    func reloadTwice() {
        var life = Life.serving()
        _ = life.receive(.reload)
        #expect(life.receive(.reload) == [.kill(2), .report(.willReplace(1, .reload)), .start(3, slot: 0)])
        #expect(life.receive(.exited(2)) == [])
        #expect(life.receive(.ready(3)) == [.drain(1), .serving])
    }

    @Test("Limits replace a worker that is above them", arguments: [Machine.Reason.memory, .requests, .age, .cpu])
    func limits(_ reason: Machine.Reason) {
        var life = Life.serving {
            $0.memoryLimit = 100
            $0.maximumRequests = 10
            $0.maximumAge = .seconds(600)
            $0.cpuLimit = 90
            $0.cpuTime = .seconds(5)
        }
        var sample = Machine.Sample(id: 1, cpu: 90, memory: 100, requests: 9)
        #expect(life.receive(.tick([sample])) == [])
        switch reason {
        case .memory: sample.memory = 101
        case .requests: sample.requests = 10
        case .age: life.now += .seconds(540)
        default:
            sample.cpu = 91
            #expect(life.receive(.tick([sample])) == [])
            #expect(life.receive(.tick([sample]), after: .seconds(4)) == [])
            sample.cpu = 90
            #expect(life.receive(.tick([sample]), after: .seconds(1)) == [], "it was below in between")
            sample.cpu = 100
            #expect(life.receive(.tick([sample])) == [])
            life.now += .seconds(5)
        }
        #expect(life.receive(.tick([sample])) == [.report(.willReplace(1, reason)), .start(2, slot: 0)])
        #expect(life.receive(.tick([sample])) == [], "one replacement")
        #expect(life.receive(.ready(2)).first == .drain(1))
    }

    @Test("Limits replace one worker at a time; a hung one does not wait")
    func oneAtATime() {
        var life = Life.serving(3) { $0.maximumRequests = 10 }
        let samples = (1...3).map { Machine.Sample(id: $0, requests: 10) }
        #expect(life.receive(.tick(samples)) == [.report(.willReplace(1, .requests)), .start(4, slot: 0)])
        #expect(
            life.receive(.tick([.init(id: 2, silence: .seconds(30))]))
                == [.report(.willReplace(2, .silent)), .start(5, slot: 1)])
        #expect(life.receive(.ready(4)) == [.drain(1)])
        #expect(life.receive(.tick([samples[2]])) == [])
        #expect(life.receive(.ready(5)) == [.abort(2)], "it would not drain")
        #expect(life.receive(.tick([samples[2]])) == [.report(.willReplace(3, .requests)), .start(6, slot: 2)])
    }

    @Test("A hung worker is killed when its report does not end it")
    func hung() {
        var life = Life.serving()
        _ = life.receive(.tick([.init(id: 1, silence: .seconds(30))]))
        #expect(life.receive(.ready(2)) == [.abort(1)])
        #expect(life.receive(.tick([]), after: .seconds(1)) == [])
        #expect(life.receive(.tick([]), after: .seconds(1)) == [.kill(1)])
    }

    @Test("A successor that fails leaves the worker, which is not replaced again for ten seconds")
    func rests() {
        var life = Life.serving { $0.memoryLimit = 100 }
        let sample = Machine.Sample(id: 1, memory: 200)
        #expect(life.receive(.tick([sample])).count == 2)
        #expect(life.receive(.exited(2), after: .seconds(1)) == [.report(.reloadFailed(2))])
        #expect(life.receive(.tick([sample]), after: .seconds(9)) == [])
        #expect(
            life.receive(.tick([sample]), after: .seconds(1)) == [
                .report(.willReplace(1, .memory)), .start(3, slot: 0),
            ])
    }

    @Test("Before any worker is ready, a reload changes nothing")
    func reloadBeforeServing() {
        var life = Life(2)
        _ = life.receive(.begin)
        #expect(life.receive(.reload) == [])
        #expect(life.receive(.ready(1)) == [])
        // One serves: the other slot is filled with a new worker anyway, and both are requested.
        #expect(life.receive(.reload) == [.report(.willReplace(1, .reload)), .start(3, slot: 0)])
        #expect(life.receive(.ready(2)) == [])
        #expect(life.receive(.ready(3)) == [.drain(1), .serving])
    }

    @Test("A reload also ends when the slot that it waits for is removed")
    func reloadOfLessWorkers() {
        var life = Life.serving(2)
        _ = life.receive(.reload)
        #expect(life.receive(.ready(3)) == [.drain(1), .report(.willReplace(2, .reload)), .start(4, slot: 1)])
        #expect(life.receive(.scale(-1)) == [.drain(2), .kill(4), .report(.scaled(1)), .serving])
    }

    @Test("A hung worker that recovers before its successor is ready drains in order")
    func answersAgain() {
        var life = Life.serving()
        _ = life.receive(.tick([.init(id: 1, silence: .seconds(30))]))
        _ = life.receive(.tick([.init(id: 1)]))
        #expect(life.receive(.ready(2)) == [.drain(1)])
    }

    @Test("More and fewer workers")
    func scale() {
        var life = Life.serving()
        #expect(life.receive(.scale(1)) == [.start(2, slot: 1), .report(.scaled(2))])
        #expect(life.receive(.ready(2)) == [])
        #expect(life.receive(.scale(-1)) == [.drain(2), .report(.scaled(1))])
        #expect(life.receive(.scale(-1)) == [], "one is left")
        #expect(life.receive(.exited(2)) == [])
        #expect(life.receive(.scale(100)).last == .report(.scaled(64)))
    }

    @Test("A stop drains ready workers and kills the others; a second one kills all")
    func stop() {
        var life = Life.serving(2)
        _ = life.receive(.reload)
        #expect(life.receive(.stop(gracefully: true)) == [.drain(1), .drain(2), .kill(3)])
        #expect(life.receive(.reload) == [])
        #expect(life.receive(.scale(1)) == [])
        #expect(life.receive(.exited(3)) == [])
        #expect(life.receive(.stop(gracefully: false)) == [.kill(1), .kill(2)])
        #expect(life.receive(.exited(1)) == [])
        #expect(life.receive(.exited(2)) == [.end(isFailure: false)])
        #expect(life.receive(.stop(gracefully: false)) == [])
    }

    @Test("A stop during a back-off starts no more workers")
    func stopDuringBackoff() {
        var life = Life.serving()
        _ = life.receive(.exited(1))
        _ = life.receive(.exited(2))
        #expect(life.receive(.exited(3)).count == 1)
        #expect(life.receive(.stop(gracefully: true)) == [.end(isFailure: false)])
        #expect(life.receive(.tick([]), after: .seconds(60)) == [])
    }

    /// Simulated processes that obey, or do not.
    private struct World {
        var life: Life
        var random: SeededRandom
        var alive: Set<Int> = []
        var mayStart: Set<Int> = []
        var ended = false
        /// Workers that serve in the simulation.
        var serving: Set<Int> = []
        var killed: Set<Int> = []

        mutating func perform(_ actions: [Action]) {
            for action in actions {
                switch action {
                case .start(let id, _):
                    #expect(!ended && alive.insert(id).inserted)
                case .drain(let id), .abort(let id):
                    #expect(alive.contains(id))
                    serving.remove(id)
                case .kill(let id):
                    #expect(alive.contains(id))
                    serving.remove(id)
                    killed.insert(id)
                case .end:
                    #expect(alive.isEmpty && !ended)
                    ended = true
                case .report, .serving: break
                }
            }
        }

        mutating func send(_ event: Machine.Event, after time: Duration = .zero) {
            perform(life.receive(event, after: time))
        }

        mutating func step() {
            let id = alive.sorted().randomElement(using: &random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0: send(.reload)
            case 1: send(.scale(Int.random(in: -2...2, using: &random)))
            case 2...4:
                guard let id else { return }
                alive.remove(id)
                serving.remove(id)
                send(.exited(id))
            case 5...11:
                guard let id, life.machine.phase(of: id) == .starting else { return }
                serving.insert(id)
                send(.ready(id))
            case 12:
                guard let id else { return }
                send(.tick([.init(id: id, silence: .seconds(40), memory: 200)]))
            default: send(.tick([]), after: .milliseconds(Int64.random(in: 1...40_000, using: &random)))
            }
        }
    }

    @Test(
        "Random lives: no slot has more than two workers, a reload never lowers the number that serve, all end",
        arguments: 0..<400)
    func histories(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let count = Int.random(in: 1...4, using: &random)
        var world = World(life: Life(count) { $0.memoryLimit = 100 }, random: random)
        world.send(.begin)
        for id in 1...count {
            world.serving.insert(id)
            world.send(.ready(id))
        }
        for _ in 0..<300 {
            let before = (world.serving.count, world.alive.count)
            world.step()
            // Not counting draining and killed workers, there are at most two in each slot.
            let active = world.alive.filter {
                [.starting, .ready].contains(world.life.machine.phase(of: $0))
            }
            #expect(active.count <= 2 * world.life.machine.slotCount)
            _ = before
        }
        // All become ready: then each slot is served by one.
        for _ in 0..<200 {
            world.send(.tick([]), after: .seconds(31))
            for id in world.alive.sorted() where world.life.machine.phase(of: id) == .starting {
                world.serving.insert(id)
                world.send(.ready(id))
            }
            for id in world.killed.intersection(world.alive) {
                world.alive.remove(id)
                world.send(.exited(id))
            }
        }
        #expect(world.serving.count == world.life.machine.slotCount)
        world.send(.stop(gracefully: true))
        for id in world.alive.sorted() {
            world.alive.remove(id)
            world.send(.exited(id))
        }
        #expect(world.ended)
    }

    @Test("A reload in progress never lowers the number of ready workers", arguments: 1...4)
    func reloadKeepsServing(count: Int) {
        var life = Life.serving(count)
        var serving = Set(1...count)
        var actions = life.receive(.reload)
        for _ in 0..<count {
            guard let started = actions.compactMap({ if case .start(let id, _) = $0 { id } else { nil } }).first else {
                Issue.record("\(actions)")
                return
            }
            serving.insert(started)
            actions = life.receive(.ready(started))
            for case .drain(let id) in actions { serving.remove(id) }
            #expect(serving.count == count)
        }
    }
}

/// A generator with the same numbers each time.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
