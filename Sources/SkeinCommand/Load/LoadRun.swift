// One run of a load: clients as tasks on the loops of their connections, through the public API only.

import NIOCore
import Skein
import Synchronization

/// Executes a plan.
final class LoadRun: Sendable {
    private let plan: LoadPlan
    private let skein: SkeinClient
    private let recorders: [LoadRecorder]
    private let taken = Atomic<Int>(0)
    private let finished = Atomic<Int>(0)

    init(_ plan: LoadPlan) throws {
        self.plan = plan
        var configuration = SkeinClient.Configuration()
        configuration.threads = min(plan.threads, plan.clients)
        configuration.concurrency = plan.callers
        configuration.http.timeout = plan.timeout
        configuration.http.keepAlive = plan.keepAlive
        configuration.http.decompression.isEnabled = false  // what is measured is what was sent
        plan.transport.apply(to: &configuration.http)
        if plan.isHTTP1 || plan.streams == nil { configuration.http.http2.use = .never }
        if let streams = plan.streams {
            let shards = min(plan.threads, plan.clients)
            configuration.http.http2.use = .priorKnowledge
            configuration.http.http2.streamsPerConnection = streams
            configuration.http.http2.connectionsPerOrigin = (plan.clients + shards - 1) / shards
        }
        skein = SkeinClient(configuration)
        try plan.aliases.register(on: skein)
        recorders = skein.shards.map { _ in LoadRecorder() }
    }

    func run() async -> LoadReport {
        let start = NIODeadline.now()
        let progress = Task { await showProgress(since: start) }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<plan.callers {
                let shard = skein.shards[number % skein.shards.count]
                let recorder = recorders[shard.index]
                group.addTask(executorPreference: shard.executor) {
                    await self.client(number, on: shard, recorder, since: start)
                }
            }
        }
        let elapsed = NIODeadline.now() - start
        progress.cancel()
        await progress.value
        Terminal.endProgress()
        let summary = await skein.fetchAll()
        await skein.shutdown()
        return LoadReport(
            recorders, seconds: Double(elapsed.nanoseconds) / 1e9, connections: summary.connections, plan: plan)
    }

    /// One client: it sends its next request when the previous one is complete, and not before it is due.
    private func client(_ number: Int, on shard: Shard, _ recorder: LoadRecorder, since start: NIODeadline) async {
        let end = plan.duration.map { start + .nanoseconds(Int64($0 * 1e9)) }
        var caller = LoadCaller(plan.kind, skein, plan.urls[number % plan.urls.count], plan.headers)
        await takeTurns(&caller, on: shard, recorder, since: start, until: end)
        await caller.end()
    }

    private func takeTurns(
        _ caller: inout LoadCaller, on shard: Shard, _ recorder: LoadRecorder, since start: NIODeadline,
        until end: NIODeadline?
    ) async {
        while true {
            let turn = taken.wrappingAdd(1, ordering: .relaxed).oldValue
            if let count = plan.count, turn >= count { return }
            var began = NIODeadline.now()
            if let rate = plan.rate {
                let due = start + .nanoseconds(Int64(Double(turn) / rate * 1e9))
                if let end, due >= end { return }
                try? await shard.sleep(until: .after(.nanoseconds((due - began).nanoseconds)))
                began = due
            } else if let end, began >= end {
                return
            }
            let outcome: LoadOutcome
            if case .http = plan.kind {
                let response = await skein.start(plan.requests[turn % plan.requests.count]).dispatch()
                outcome = LoadOutcome(response, bytes: response.content.readableBytes)
            } else {
                outcome = await caller.call()
            }
            recorder.record(outcome, nanoseconds: (NIODeadline.now() - began).nanoseconds)
            finished.wrappingAdd(1, ordering: .relaxed)
        }
    }

    private func showProgress(since start: NIODeadline) async {
        var before = 0
        while Terminal.isWatched, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(500))
            let now = finished.load(ordering: .relaxed)
            let seconds = Double((NIODeadline.now() - start).nanoseconds) / 1e9
            let goal = plan.count.map { " of \($0)" } ?? ""
            Terminal.progress("\(Int(seconds)) s: \(now)\(goal) requests, \((now - before) * 2) requests/s")
            before = now
        }
    }
}
