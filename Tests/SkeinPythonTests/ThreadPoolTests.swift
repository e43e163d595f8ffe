import Testing

@testable import SkeinPython

/// When a Python thread is woken, started and ended.
@Suite("Threads of Python")
struct ThreadPoolTests {
    private func machine(minimum: Int = 1, maximum: Int = 8, queue: Int = 100, parallelism: Int = 1)
        -> ThreadPoolMachine
    {
        ThreadPoolMachine(.init(minimum: minimum, maximum: maximum, queue: queue, parallelism: parallelism))
    }

    /// A pool with one thread that has repeatedly run a call of this many nanoseconds, and sleeps.
    private func used(_ time: Int64, maximum: Int = 8) -> ThreadPoolMachine {
        var pool = machine(maximum: maximum)
        for turn in 0..<100 {
            #expect(pool.submitted() == (turn == 0 ? .spawn : .wake))
            pool.arrived()
            #expect(pool.took() == .none)
            pool.returned(after: time)
            pool.rests()
        }
        return pool
    }

    @Test("the first call starts a thread, the next ones wait for it")
    func first() {
        var pool = machine()
        #expect(pool.submitted() == .spawn)
        #expect(pool.submitted() == .none)
        #expect((pool.threads, pool.coming, pool.waiting) == (1, 1, 2))
        pool.arrived()
        #expect(pool.took() == .none)
        #expect(pool.took() == .none)
        pool.rests()
        #expect((pool.idle, pool.waiting) == (1, 0))
    }

    @Test("calls beyond the queue's limit are refused")
    func full() {
        var pool = machine(queue: 2)
        #expect(pool.submitted() == .spawn)
        #expect(pool.submitted() == .none)
        #expect(pool.submitted() == .refuse)
        pool.withdrawn()
        #expect(pool.submitted() == .none)
    }

    @Test("while calls are short, the running thread takes them all, and no other one is woken")
    func short() {
        var pool = machine(minimum: 2)
        #expect(pool.submitted() == .spawn)
        pool.arrived()
        #expect(pool.took() == .none)
        for _ in 0..<10 { #expect(pool.submitted() == .none) }
        #expect(pool.isShortOfTime)
        #expect(pool.took() == .none)
    }

    @Test("while calls are long, another thread is woken for each waiting call")
    func long() {
        var pool = used(5_000_000)
        #expect(pool.submitted() == .wake)
        pool.arrived()
        #expect(pool.took() == .none)
        #expect(pool.submitted() == .none, "there is one thread, and the load is not known")
        #expect(pool.isStarving)
        #expect(pool.measured(load: 0.1) == 1)
        #expect(pool.threads == 2)
        pool.arrived()
        #expect(pool.took() == .none)
    }

    @Test("a call that turns out to be long is detected by the timer")
    func late() {
        var pool = machine(minimum: 2)
        #expect(pool.submitted() == .spawn)
        pool.arrived()
        #expect(pool.took() == .none)
        #expect(pool.submitted() == .none)
        #expect(pool.tick() == .none, "a call was taken since")
        #expect(pool.tick() == .spawn)
    }

    @Test("threads are added while calls wait for I/O, twice as many each time, up to the maximum")
    func growth() {
        var pool = used(10_000_000, maximum: 10)
        for _ in 0..<50 { _ = pool.submitted() }
        pool.arrived()
        _ = pool.took()
        var counts: [Int] = []
        while true {
            let more = pool.measured(load: 0.05)
            if more == 0 { break }
            counts.append(more)
            for _ in 0..<more {
                pool.arrived()
                _ = pool.took()
            }
        }
        #expect(counts == [1, 2, 4, 2])
        #expect(pool.threads == 10)
    }

    @Test("no thread is added while Python computes, since one holds the GIL", arguments: [0.8, 1.0, 1.5])
    func busy(load: Double) {
        var pool = used(10_000_000)
        for _ in 0..<50 { _ = pool.submitted() }
        pool.arrived()
        _ = pool.took()
        #expect(pool.isStarving)
        #expect(pool.measured(load: load) == 0)
    }

    @Test("without the GIL, as many threads are added as can run")
    func parallel() {
        var pool = machine(minimum: 4, parallelism: 4)
        let actions = (0..<6).map { _ in pool.submitted() }
        #expect(actions == [.spawn, .spawn, .spawn, .spawn, .none, .none])
    }

    @Test("an idle thread ends after a while, above the minimum")
    func ends() {
        var pool = used(10_000_000, maximum: 4)
        for _ in 0..<8 { _ = pool.submitted() }
        pool.arrived()
        _ = pool.took()
        #expect(pool.measured(load: 0) == 1)
        pool.arrived()
        for _ in 0..<7 { _ = pool.took() }
        pool.rests()
        pool.rests()
        #expect(pool.idle == 2)
        #expect(pool.sleptLong() == .end)
        #expect(pool.sleptLong() == .sleep)
        #expect((pool.threads, pool.idle) == (1, 1))
        // The woken thread continues, however long it has slept.
        #expect(pool.submitted() == .wake)
        #expect(pool.sleptLong() == .sleep)
    }

    @Test("the thread of a call that takes too long is replaced until the call returns")
    func lost() {
        var pool = machine(maximum: 1)
        #expect(pool.submitted() == .spawn)
        pool.arrived()
        #expect(pool.took() == .none)
        #expect(pool.submitted() == .none)
        #expect(pool.lose() == .spawn)
        #expect((pool.threads, pool.lost) == (1, 1))
        pool.arrived()
        #expect(pool.took() == .none)
        pool.find()
        #expect((pool.threads, pool.lost) == (2, 0))
    }

    @Test("in no order of events does a call wait while a thread sleeps and none is coming", arguments: 0..<200)
    func histories(seed: UInt64) {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func random(_ count: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(count))
        }
        var pool = machine(minimum: 1 + random(3), maximum: 4 + random(4), queue: 20)
        var working = 0
        for _ in 0..<2000 {
            switch random(6) {
            case 0, 1: _ = pool.submitted()
            case 2 where pool.coming > 0:
                pool.arrived()
                if pool.waiting > 0 { _ = pool.took(); working += 1 } else { pool.rests() }
            case 3 where working > 0:
                pool.returned(after: random(2) == 0 ? 1000 : 50_000_000)
                if pool.waiting > 0 {
                    _ = pool.took()
                } else {
                    working -= 1
                    pool.rests()
                }
            case 4: _ = pool.tick()
            case 5: _ = pool.measured(load: Double(random(2)))
            default: break
            }
            #expect(pool.threads == pool.idle + pool.coming + working)
            #expect(pool.threads <= pool.limits.maximum)
            // A thread exists, or is starting.
            if pool.waiting > 0 { #expect(pool.coming + working > 0) }
        }
    }
}
