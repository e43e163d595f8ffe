import Foundation
import PeerSupport
import SkeinEngine
import Testing

/// Processes that crash, hang, are replaced and exchanged while clients send requests.
@Suite("Workers under a master", .serialized, .inTurn, .timeLimit(.minutes(5)))
struct WorkerTests {
    @Test(
        "A crash costs the requests of one worker: no connection is refused, and another worker is there within a second"
    )
    func crashes() async throws {
        let probe = try await Probe("--workers", "2")
        let state = ProbeLoad()
        async let load: [SkeinError] = withTaskGroup(of: [SkeinError].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    // One attempt, without retries: every failure is seen.
                    let client = SkeinClient()
                    var failures: [SkeinError] = []
                    while !state.isOver, !Task.isCancelled {
                        let response = await client.post("\(probe.url)/count").dispatch()
                        if response.statusCode == 200 { state.answer() }
                        if let failure = response.failure { failures.append(failure) }
                    }
                    await client.shutdown()
                    return failures
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        var slowest = Duration.zero
        for round in 0..<12 {
            let before = try await probe.until("two workers") { $0.ready.count == 2 }
            try await Task.sleep(for: .milliseconds(1100))
            let victim = before.ready[round % 2].process
            switch round % 3 {
            case 0: kill(victim, SIGKILL)
            case 1: kill(victim, SIGSEGV)
            default:
                // Text from a client is in the crash report, and does no harm there.
                let client = SkeinClient()
                _ = await client.get("\(probe.url)/trap", headers: ["X-Gtxn-Id": "(+)"]).dispatch()
                await client.shutdown()
            }
            let start = ContinuousClock.now
            try await probe.until("a new worker") { now in
                now.ready.count == 2 && Set(now.ready.map(\.process)) != Set(before.ready.map(\.process))
            }
            slowest = max(slowest, ContinuousClock.now - start)
        }
        state.end()
        let failures = await load
        #expect(slowest < .seconds(5), "\(slowest)")
        let refused = failures.filter { "\($0)".contains("refused") }
        #expect(refused.isEmpty, "\(refused)")
        #expect(failures.count <= 12 * 4)
        let status = try await probe.status()
        #expect(status.crashes == 12)
        // The counts of ended workers are not lost, and every increment was counted.
        #expect(status.requests >= state.answered)
        let count = Int(try await probe.ask("/count")) ?? 0
        let sure = state.answered
        #expect(count >= sure && count <= sure + failures.count, "\(count) \(sure) \(failures.count)")
        let output = probe.process.output
        #expect(output.contains("has ended with signal 11 (SIGSEGV)"))
        #expect(output.contains("under way: (+)") || output.contains("(+)"))
        #expect(output.contains("worker_probe.WorkerProbe.mount"), "the function that has trapped")
        try await probe.stop()
    }

    @Test("Reloads and upgrades of the program under load: no request fails, and WebSockets end with 1012")
    func reloads() async throws {
        let probe = try await Probe("--workers", "2", "--drain-time", "4")
        // wrk does not retry, and counts every connection that was refused or closed.
        async let load = runToEnd("wrk", ["-t1", "-c12", "-d14s", "--timeout", "5s", "\(probe.url)/pid"])
        let state = ProbeLoad()
        async let streams: Int = {
            var configuration = SkeinClient.Configuration()
            configuration.http.http2.use = .priorKnowledge
            let client = SkeinClient(configuration)
            var failed = 0
            while !state.isOver, !Task.isCancelled {
                if await client.get("\(probe.url)/slow").dispatch().statusCode != 200 { failed += 1 }
            }
            await client.shutdown()
            return failed
        }()
        let client = SkeinClient()
        let socket = try await client.webSocket("ws://127.0.0.1:\(probe.port)/ws/socket")
        var messages = socket.makeAsyncIterator()
        _ = try await messages.next()
        for round in 1...4 {
            let before = try await probe.until("two workers") { $0.ready.count == 2 && $0.serving }
            kill(probe.master, SIGHUP)
            try await probe.until("reload \(round)") { now in
                now.serving && now.reloads == round
                    && Set(now.ready.map(\.process)).isDisjoint(with: before.ready.map(\.process))
            }
            if round == 1 {
                // It continues while its worker drains.
                try await socket.send("still here")
                #expect(try await messages.next()?.text == "still here")
            }
        }
        await #expect(throws: (any Error).self) { while try await messages.next() != nil {} }
        #expect(socket.closing?.code == .serviceRestart, "\(String(describing: socket.closing))")
        for _ in 1...2 {
            let old = probe.master
            kill(old, SIGUSR2)
            try await probe.until("another master") { $0.process != old && $0.serving }
            #expect(probe.master != old)
            try await Task.sleep(for: .milliseconds(500))
        }
        let finished = try await load
        state.end()
        #expect(await streams == 0)
        #expect(!finished.output.contains("Socket errors"), "\(finished.output)")
        #expect(!finished.output.contains("Non-2xx"))
        await client.shutdown()
        kill(probe.master, SIGTERM)
        try await gone(probe.master)
        await probe.process.stop()
    }

    private func children(of process: Int32) async throws -> [Int32] {
        try await runToEnd("ps", ["--ppid", "\(process)", "-o", "pid="]).output.split(separator: "\n")
            .compactMap { Int32($0.trimmingCharacters(in: .whitespaces)) }
    }

    private func gone(_ process: Int32) async throws {
        for _ in 0..<1500 where kill(process, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
        #expect(kill(process, 0) != 0, "process \(process) is still there")
    }

    @Test(
        "A program that crashes, leaves or hangs at its start leaves the old workers in place",
        arguments: ["crash", "exit", "hang"])
    func badStart(_ behaviour: String) async throws {
        let file = try TestFolder.write("serve\n", as: "behaviour")
        let probe = try await Probe("--workers", "2", "--behaviour", file, "--start-timeout", "2")
        let before = try await probe.status()
        try "\(behaviour)\n".write(toFile: file, atomically: true, encoding: .utf8)
        let reload = try await runToEnd(Probe.program, ["reload", "--pid-file", probe.pidFile])
        #expect(reload.code == 1, "\(reload)")
        #expect(reload.errors.contains("the old ones keep running"))
        #expect(try await probe.ask("/pid").isEmpty == false)
        kill(probe.master, SIGUSR2)
        _ = try await probe.process.untilPrinted("the old one keeps running")
        let after = try await probe.status()
        #expect(after.process == before.process)
        #expect(Set(after.ready.map(\.process)) == Set(before.ready.map(\.process)))
        try "serve\n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try await runToEnd(Probe.program, ["reload", "--pid-file", probe.pidFile]).code == 0)
        try await probe.stop()
        // And a first start fails with the error.
        try "\(behaviour)\n".write(toFile: file, atomically: true, encoding: .utf8)
        let first = try await runToEnd(
            Probe.program,
            ["--workers", "2", "--behaviour", file, "--start-timeout", "1", "--listen", "127.0.0.1:\(probe.port)"])
        #expect(first.code == 1)
    }

    @Test("A worker that hangs, leaks or spins is replaced, and the new one serves before the old one ends")
    func limits() async throws {
        let probe = try await Probe(
            "--workers", "1", "--threads", "2", "--worker-timeout", "2", "--worker-memory", "200",
            "--drain-time", "1")
        var pid = try await probe.ask("/pid")
        Task { _ = try? await probe.ask("/hang") }
        _ = try await probe.process.untilPrinted("is replaced: it does not answer")
        // The stack of the event loop, not that of an arbitrary thread.
        _ = try await probe.process.untilPrinted("worker_probe.WorkerProbe.mount")
        try await probe.until("a worker that answers") { [pid] now in now.ready.contains { "\($0.process)" != pid } }
        pid = try await probe.ask("/pid")
        try await Task.sleep(for: .seconds(10))  // a slot rests between two replacements
        for _ in 0..<4 { _ = try await probe.ask("/leak") }
        _ = try await probe.process.untilPrinted("is replaced: it uses too much memory")
        try await probe.until("a small worker") { [pid] now in now.ready.contains { "\($0.process)" != pid } }
        #expect(try await probe.ask("/pid") != pid)
        try await probe.stop()

        let busy = try await Probe(
            "--workers", "1", "--threads", "1", "--worker-cpu", "20", "--worker-cpu-seconds", "2", "--drain-time", "1",
            "--worker-requests", "1000000")
        pid = try await busy.ask("/pid")
        _ = try await busy.ask("/spin")
        _ = try await busy.process.untilPrinted("is replaced: it uses too much CPU")
        try await busy.until("a calm worker") { [pid] now in now.workers.allSatisfy { "\($0.process)" != pid } }
        try await busy.stop()
    }

    @Test("States, locks, broadcasts, limits, maintenance and metrics are shared by all workers")
    func shared() async throws {
        let probe = try await Probe("--workers", "3", "--threads", "1")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<25 { _ = try? await probe.ask("/count", .post) } }
            }
            for _ in 0..<4 {
                group.addTask { for _ in 0..<10 { _ = try? await probe.ask("/inside", .post) } }
            }
        }
        #expect(try await probe.ask("/count") == "200")
        #expect(try await probe.ask("/inside") == "40", "the lock has one holder")
        #expect(try await probe.ask("/undefined").contains("500"))
        // Cached for ten minutes in each worker, until something has changed.
        for _ in 0..<6 { #expect(try await probe.ask("/kept?port=\(probe.port)") == "200") }
        _ = try await probe.ask("/count", .post)
        _ = try await probe.ask("/touch", .post)
        for _ in 0..<6 { #expect(try await probe.ask("/kept?port=\(probe.port)") == "201") }
        for _ in 0..<200 where try await probe.ask("/heard") != "3" { try await Task.sleep(for: .milliseconds(10)) }
        // Four letters in each of three workers, in addition to the three changes received before.
        _ = try await probe.ask("/say/word", .post)
        for _ in 0..<200 where try await probe.ask("/heard") != "15" { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try await probe.ask("/heard") == "15")
        // Only one worker runs it, so that it runs 20 times a second, not 60.
        let before = Int(try await probe.ask("/turns")) ?? 0
        try await Task.sleep(for: .seconds(1))
        let turns = (Int(try await probe.ask("/turns")) ?? 0) - before
        #expect((3...25).contains(turns), "\(turns)")
        // Five in an hour, whichever workers receive them.
        var statuses: [String: Int] = [:]
        for _ in 0..<12 { statuses[try await probe.ask("/limited/") == "yes" ? "yes" : "no", default: 0] += 1 }
        #expect(statuses == ["yes": 5, "no": 7])
        let metrics = try await probe.ask("/.metrics")
        let status = try await probe.status()
        let counted = metrics.split(separator: "\n").filter { $0.hasPrefix("skein_requests_total{") }
            .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
        #expect(counted >= 260 && counted <= status.requests, "\(counted) \(status.requests)")
        #expect(metrics.contains("skein_workers{state=\"ready\"} 3"))
        // A worker that runs the maintenance ends; another one continues.
        for worker in status.ready.prefix(2) { kill(worker.process, SIGKILL) }
        let then = Int(try await probe.ask("/turns")) ?? 0
        for _ in 0..<300 where Int(try await probe.ask("/turns")) ?? 0 <= then {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(Int(try await probe.ask("/turns")) ?? 0 > then)
        try await probe.stop()
    }

    @Test("Messages to a socket group reach its members in all workers, in order")
    func sockets() async throws {
        let probe = try await Probe("--workers", "2", "--threads", "1", "--drain-time", "5")
        let client = SkeinClient()
        var sockets: [WebSocket] = []
        var iterators: [WebSocket.AsyncIterator] = []
        var processes: Set<String> = []
        for number in 0..<8 {
            let socket = try await client.webSocket("ws://127.0.0.1:\(probe.port)/ws/room?name=n\(number)")
            var messages = socket.makeAsyncIterator()
            processes.insert(try #require(try await messages.next()).text)
            sockets.append(socket)
            iterators.append(messages)
        }
        #expect(processes.count == 2, "the members are in both workers")
        for number in 0..<50 { try await sockets[0].send("m\(number)") }
        try await sockets[0].send("n7:for you")
        for index in iterators.indices {
            for number in 0..<50 { #expect(try await iterators[index].next()?.text == "m\(number)") }
        }
        #expect(try await iterators[7].next()?.text == "for you")
        try await sockets[7].send("last")
        for index in iterators.indices { #expect(try await iterators[index].next()?.text == "last") }

        // Members in workers that drain receive messages of the new ones, and the reverse.
        kill(probe.master, SIGHUP)
        try await probe.until("the reload") { $0.serving && $0.reloads == 1 }
        let late = try await client.webSocket("ws://127.0.0.1:\(probe.port)/ws/room?name=late")
        var heard = late.makeAsyncIterator()
        #expect(!processes.contains(try #require(try await heard.next()).text), "it is with a new worker")
        try await sockets[0].send("from before")
        try await late.send("from now")
        var both: Set<String> = []
        for _ in 0..<2 { both.insert(try #require(try await heard.next()).text) }
        #expect(both == ["from before", "from now"])
        both = []
        for _ in 0..<2 { both.insert(try #require(try await iterators[3].next()).text) }
        #expect(both == ["from before", "from now"])
        await client.shutdown()
        try await probe.stop()
    }

    @Test("A lock whose holders are killed is never lost, and never held twice")
    func killedHolders() async throws {
        let probe = try await Probe("--workers", "3", "--threads", "1")
        let state = ProbeLoad()
        async let load: (done: Int, lost: Int) = withTaskGroup(of: (Int, Int).self) { group in
            for _ in 0..<6 {
                group.addTask {
                    var (done, lost) = (0, 0)
                    while !state.isOver, !Task.isCancelled {
                        if let fence = try? await probe.ask("/inside", .post), Int(fence) != nil {
                            done += 1
                        } else {
                            lost += 1
                        }
                    }
                    return (done, lost)
                }
            }
            return await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        }
        for round in 0..<12 {
            let ready = try await probe.until("workers") { $0.ready.count >= 2 }.ready
            kill(ready[round % ready.count].process, SIGKILL)
            try await Task.sleep(for: .milliseconds(Int64(50 + round * 13 % 70)))
        }
        state.end()
        let (done, lost) = await load
        let inside = Int(try await probe.ask("/inside")) ?? 0
        // Two holders would have written the same number twice.
        #expect(inside >= done && inside <= done + lost, "\(inside) \(done) \(lost)")
        #expect(done > 20)
        try await probe.stop()
    }

    @Test("start, status, reload, upgrade, restart and stop, in the background")
    func commands() async throws {
        let port = try await Ports.free()
        let (pidFile, log) = (TestFolder.path("d.pid"), TestFolder.path("d.log"))
        let common = ["--pid-file", pidFile, "--daemon-log", log, "--listen", "127.0.0.1:\(port)"]
        func run(_ words: String...) async throws -> Finished { try await runToEnd(Probe.program, words + common) }
        #expect(try await run("status").code == 3)
        #expect(try await run("stop").code == 1)
        let started = try await run("start", "--workers", "2")
        #expect(started.code == 0, "\(started)")
        func master() throws -> Int32 {
            Int32(try String(contentsOfFile: pidFile, encoding: .utf8).trimmingCharacters(in: .newlines)) ?? 0
        }
        let first = try master()
        #expect(started.output.contains("started as process \(first)"))
        let again = try await run("start")
        #expect(again.code == 1 && again.errors.contains("it is running already as process \(first)"))
        let status = try await run("status")
        #expect(status.code == 0 && status.output.contains("worker #1"))
        let titles = try await runToEnd("ps", ["-o", "args=", "-g", "\(first)"]).output
        #expect(titles.contains("skein/probe: master"))
        #expect(try await run("reload").code == 0)
        #expect(try master() == first)
        let upgraded = try await run("upgrade")
        #expect(upgraded.code == 0, "\(upgraded)")
        let second = try master()
        #expect(second != first)
        try await gone(first)
        let restarted = try await run("restart")
        #expect(restarted.code == 0, "\(restarted)")
        #expect(try await Probe.ask("http://127.0.0.1:\(port)/pid").isEmpty == false)
        let third = try master()
        #expect(try await run("-s").output == "stopped\n")
        try await gone(third)
        #expect(!FileManager.default.fileExists(atPath: pidFile))
        // An error at the start is reported to the process that has started it.
        let taken = try await ScriptedListener.start()
        let failed = try await runToEnd(
            Probe.program, ["start", "--pid-file", pidFile, "--daemon-log", log, "--listen", "127.0.0.1:\(taken.port)"])
        #expect(failed.code == 1 && failed.errors.contains("Address already in use"), "\(failed)")
        taken.stop()
    }

    @Test(
        "A server in the background that was started without further options is exchanged, too; its names are the defaults"
    )
    func plainDaemon() async throws {
        let port = try await Ports.free()
        let folder = TestFolder.path("run")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        func run(_ words: String...) async throws -> Finished {
            try await runToEnd(Probe.program, words, environment: ["XDG_RUNTIME_DIR": folder])
        }
        func master() throws -> Int32 {
            let text = try String(contentsOfFile: "\(folder)/skein/start.pid", encoding: .utf8)
            return Int32(text.trimmingCharacters(in: .newlines)) ?? 0
        }
        let started = try await run("start", "--listen", "127.0.0.1:\(port)", "--name", "start")
        #expect(started.code == 0, "\(started)")
        let first = try master()
        let upgraded = try await run("upgrade", "--name", "start")
        #expect(upgraded.code == 0, "\(upgraded)")
        let second = try master()
        #expect(second != first)
        try await gone(first)
        #expect(try await Probe.ask("http://127.0.0.1:\(port)/pid").isEmpty == false)
        #expect(try await run("status", "--name", "start").code == 0)
        #expect(try await run("stop", "--name", "start").code == 0)
        try await gone(second)
    }

    @Test("An interrupted upgrade leaves one server, or none", arguments: [SIGTERM, SIGINT, SIGKILL])
    func cutShort(_ signal: Int32) async throws {
        let file = try TestFolder.write("serve\n", as: "behaviour")
        let probe = try await Probe("--workers", "1", "--behaviour", file, "--start-timeout", "20")
        let old = probe.master
        // The new program starts slowly, which leaves time for everything.
        try "hang\n".write(toFile: file, atomically: true, encoding: .utf8)
        kill(old, SIGUSR2)
        let line = try await probe.process.untilPrinted("the program on the disk is started as process ")
        let new = try #require(Int32(line))
        while try await children(of: new).isEmpty {}
        if signal == SIGKILL {
            // No master is left to tell the new one that it has to begin.
            try "serve\n".write(toFile: file, atomically: true, encoding: .utf8)
            await probe.process.stop(SIGKILL)
            try await probe.until("the new master has taken over") { $0.process == new }
            kill(new, SIGTERM)
        } else {
            kill(old, signal)
            #expect(await probe.process.stop(0) == 0)
        }
        try await gone(new)
        #expect(!FileManager.default.fileExists(atPath: probe.pidFile))
    }

    @Test("All threads of workers drop root privileges, and still write their log")
    func identity() async throws {
        guard getuid() == 0 else { return }  // only root has rights to give up
        let log = TestFolder.path("user.log")
        _ = FileManager.default.createFile(atPath: log, contents: nil, attributes: [.posixPermissions: 0o666])
        let probe = try await Probe("--workers", "1", "--user", "nobody", "--log", log)
        let worker = try #require(try await probe.status().workers.first?.process)
        let nobody = getpwnam("nobody").pointee.pw_uid
        for task in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(worker)/task") {
            let status = try String(contentsOfFile: "/proc/\(worker)/task/\(task)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("Uid:") } ?? ""
            #expect(Set(line.split(separator: "\t").dropFirst()) == ["\(nobody)"], "\(task) \(line)")
            #expect(status.contains("CapEff:\t0000000000000000"))
        }
        #expect(try await probe.ask("/pid") == "\(worker)")
        kill(probe.master, SIGHUP)
        try await probe.until("the reload") { $0.reloads == 1 && $0.serving }
        try await probe.stop()
        #expect(try String(contentsOfFile: log, encoding: .utf8).contains("/pid"))
    }

    @Test("More and fewer workers by signal, and an immediate end; workers do not outlive their master")
    func signals() async throws {
        let probe = try await Probe("--workers", "1")
        kill(probe.master, SIGTTIN)
        try await probe.until("two workers") { $0.ready.count == 2 }
        kill(probe.master, SIGTTOU)
        let one = try await probe.until("one worker") { $0.workers.count == 1 }
        Task { _ = try? await probe.ask("/slow") }
        try await Task.sleep(for: .milliseconds(50))
        #expect(await probe.process.stop(SIGINT) == 0)
        try await gone(one.workers[0].process)
        #expect(!FileManager.default.fileExists(atPath: probe.pidFile))

        // While requests are finished, new connections are refused, so that clients can go elsewhere.
        let stopping = try await Probe("--workers", "2")
        let socket = try await SkeinClient().webSocket("ws://127.0.0.1:\(stopping.port)/ws/socket")
        async let slow = stopping.ask("/slower")
        try await Task.sleep(for: .milliseconds(100))
        kill(stopping.master, SIGTERM)
        var refusals = 0
        while refusals < 3, kill(stopping.master, 0) == 0 {
            do { _ = try await stopping.ask("/pid") } catch { if "\(error)".contains("refused") { refusals += 1 } }
        }
        #expect(try await slow.isEmpty == false)
        #expect(await stopping.process.stop(0) == 0)
        #expect(refusals > 0)
        await socket.close()

        let orphaned = try await Probe("--workers", "2")
        let workers = try await orphaned.status().workers
        await orphaned.process.stop(SIGKILL)
        for worker in workers { try await gone(worker.process) }

        // Also if they hang at their start.
        let file = try TestFolder.write("hang\n", as: "behaviour")
        let hung = try PeerProcess(
            Probe.program,
            [
                "--listen", "127.0.0.1:\(try await Ports.free())", "--workers", "1", "--behaviour", file, "--pid-file",
                TestFolder.path("hung.pid"),
            ], log: TestFolder.path("hung.log"))
        while try await children(of: hung.id).isEmpty {}
        let started = try await children(of: hung.id)
        await hung.stop(SIGKILL)
        for child in started { try await gone(child) }
    }

    @Test("A hundred replacements leak no descriptor, zombie or memory")
    func replacements() async throws {
        let probe = try await Probe("--workers", "2", "--threads", "1", "--drain-time", "1")
        func resources() throws -> (files: Int, memory: Int) {
            let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(probe.master)/fd").count
            let status = try String(contentsOfFile: "/proc/\(probe.master)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? ""
            return (files, Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0)
        }
        func reload(_ number: Int) async throws {
            kill(probe.master, SIGHUP)
            try await probe.until("reload \(number)") { $0.serving && $0.reloads == number && $0.workers.count == 2 }
        }
        for number in 1...5 { try await reload(number) }
        let before = try resources()
        for number in 6...50 { try await reload(number) }
        let after = try resources()
        #expect(after.files == before.files)
        #expect(after.memory < before.memory + 512, "KiB: \(before) \(after)")
        #expect(after.memory < 16 << 10)
        let children = try await runToEnd("ps", ["--ppid", "\(probe.master)", "-o", "stat="]).output
        #expect(!children.contains("Z") && children.split(separator: "\n").count == 2, "\(children)")
        try await probe.stop()
    }

    @Test("The service manager is told when the server is ready, reloads, is alive and stops")
    func notifications() async throws {
        let path = TestFolder.path("notify")
        let manager = try PeerProcess(
            "python3",
            [
                "-u", "-c",
                """
                import socket, sys
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                s.bind(sys.argv[1])
                print('bound', flush=True)
                while True: print(s.recv(4096).decode().replace(chr(10), ' '), flush=True)
                """, path,
            ], log: TestFolder.path("notify.log"))
        _ = try await manager.untilPrinted("bound")
        let probe = try await Probe("--workers", "1", environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"])
        _ = try await manager.untilPrinted("READY=1 MAINPID=\(probe.master)")
        _ = try await manager.untilPrinted("WATCHDOG=1")
        kill(probe.master, SIGHUP)
        _ = try await manager.untilPrinted("RELOADING=1 MONOTONIC_USEC=")
        try await probe.until("the reload") { $0.reloads == 1 && $0.serving }
        try await probe.stop()
        _ = try await manager.untilPrinted("STOPPING=1")
        await manager.stop()
    }
}

/// A listener that occupies a port.
struct ScriptedListener {
    let port: Int
    private let descriptor: CInt

    static func start() async throws -> ScriptedListener {
        let port = try await Ports.free()
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0, listen(descriptor, 1) == 0 else { throw PeerError("port \(port) is taken") }
        return ScriptedListener(port: port, descriptor: descriptor)
    }

    func stop() { close(descriptor) }
}
