// The caller of each call: it sends the request, reads or drops the response, and compares it with the expected one.

import NIOCore
import PeerSupport
import Skein
import SkeinCore
import SkeinHTTP
import SkeinRedis
import SkeinTransport
import SkeinWire

/// The record of a call.
///
/// Unchecked: a simulation has one thread.
final class CallRecord: @unchecked Sendable {
    var begun = NIODeadline.uptimeNanoseconds(0)
    /// How often its callback was called.
    var ends = 0
    /// Whether the caller has finished.
    var isOver = false
    var outcome = "under way"
    weak var corequest: CorequestState?
}

extension World {
    /// Schedules the calls.
    func startCalls() {
        for call in history.calls {
            later(call.start) {
                let record = self.record(of: call)
                record.begun = self.loop.now
                let task = Task(executorPreference: self.shard.executor) {
                    await self.perform(call, record)
                    record.isOver = true
                }
                if let moment = call.cancelAt { self.later(moment) { task.cancel() } }
            }
        }
    }

    private func perform(_ call: CallPlan, _ record: CallRecord) async {
        if call.isStored {
            guard let milliseconds = call.deadline else { return await ask(call, record) }
            return await withDeadline(Deadline(loop.now + .milliseconds(Int64(milliseconds)))) {
                await self.ask(call, record)
            }
        }
        do {
            let origin = history.settings.members > 0 ? "@members" : "http://127.0.0.1:80"
            var request = HTTPRequest(
                call.method, try HTTPURL("\(origin)/\(call.id)"), headers: ["X-Call": "\(call.id)"],
                body: body(of: call), timeout: call.timeout.map { .milliseconds($0) })
            if case .whole = call.reader {} else { request.isStreamed = true }
            if call.expects { request.expectsContinue = true }
            if call.isUnsendable { request.headers["X-Broken"] = "line\r\nbreak" }
            let deadline = call.deadline.map { Deadline(loop.now + .milliseconds(Int64($0))) }
            if let deadline {
                let request = request
                await withDeadline(deadline) { await self.send(request, call, record) }
            } else {
                await send(request, call, record)
            }
        } catch {
            report("call \(call.id) cannot be started: \(error)")
        }
    }

    /// Sends a command to the store.
    private func ask(_ call: CallPlan, _ record: CallRecord) async {
        let command = RedisCommand(call.method == .get ? "GET" : "INCR", ["\(call.id)"])
        let corequest = store.send(command, timeout: call.timeout.map { .milliseconds($0) }) { _ in
            record.ends += 1
            self.checkTime(call, record)
        }
        record.corequest = corequest
        let response = await corequest.dispatch()
        if let failure = response.failure {
            record.outcome = "\(failure.code)"
            return
        }
        record.outcome = "answered"
        var expected = ByteBuffer(string: "\(call.id):")
        expected.writeImmutableBuffer(content(of: call))
        let isRight =
            switch response.content {
            case .string(let bytes): call.method == .get && bytes == expected
            case .integer(let number): call.method == .post && number == Int64(call.id)
            default: false
            }
        if !isRight, !hasUndetectableForgery {
            report("call \(call.id) got the answer \("\(response.content)".prefix(40))")
        }
    }

    private func send(_ request: HTTPRequest, _ call: CallPlan, _ record: CallRecord) async {
        let corequest = skein.http.start(request) { response in
            record.ends += 1
            self.checkTime(call, record)
            self.checkPatience(call, record, response)
        }
        record.corequest = corequest
        let response = await corequest.dispatch()
        if let failure = response.failure {
            record.outcome = "\(failure.code)"
            return
        }
        if history.settings.hasRealServer, response.statusCode >= 400 {
            record.outcome = "refused with \(response.statusCode)"
            return
        }
        guard response.header("X-Id") == "\(call.id)" else {
            guard !hasUndetectableForgery else { return }
            return report("call \(call.id) got the response of \(response.header("X-Id") ?? "nobody")")
        }
        record.outcome = "answered"
        do {
            try await read(response, call)
        } catch {
            record.outcome = "answered, \(error)"
        }
        // The caller's deadline limits the content, too.
        if case .stream(pause: 0) = call.reader, let deadline = call.deadline {
            checkTime(call, record, limit: deadline)
        }
    }

    private func read(_ response: HTTPResponse, _ call: CallPlan) async throws {
        var expected = call.method == .head ? ByteBuffer() : content(of: call)
        guard let stream = response.stream else {
            if response.content != expected { report("call \(call.id) got other content than was sent") }
            return
        }
        var pieces = 0
        if case .drop(0, let holding) = call.reader { return try await sleep(holding) }
        for try await piece in stream {
            pieces += 1
            guard expected.readSlice(length: piece.readableBytes) == piece else {
                return report("call \(call.id) got other content than was sent, in its stream")
            }
            switch call.reader {
            case .whole: break
            case .stream(let pause): if pause > 0 { try await sleep(pause) }
            case .drop(let count, let holding): if pieces == count { return try await sleep(holding) }
            }
        }
        if expected.readableBytes > 0 { report("call \(call.id) got less content than was sent, and no error") }
    }

    /// Checks that a call without a time limit of its own did not time out before the session's.
    private func checkPatience(_ call: CallPlan, _ record: CallRecord, _ response: HTTPResponse) {
        guard call.timeout == nil, call.deadline == nil, let failure = response.failure, failure.code == .timeout,
            failure.message.contains("within the time limit"), let queued = response.timings?.queued
        else { return }
        let ran = loop.now - record.begun - TimeAmount(queued)
        if ran < .seconds(30) - .milliseconds(20) {
            report("call \(call.id) timed out \(ran.nanoseconds / 1_000_000) ms after it had started")
        }
    }

    /// Checks that a call ended within its own time limits.
    private func checkTime(_ call: CallPlan, _ record: CallRecord) {
        if let limit = [call.timeout.map { $0 * attempts }, call.deadline].compactMap(\.self).min() {
            checkTime(call, record, limit: limit)
        }
    }

    /// The time limit of a request to an alias holds for each attempt.
    private var attempts: Int { history.settings.members > 1 ? RetryConfiguration().attempts : 1 }

    private func checkTime(_ call: CallPlan, _ record: CallRecord, limit: Int) {
        let late = (loop.now - record.begun) - .milliseconds(Int64(limit))
        if late > .milliseconds(Int64(40 + 3 * history.settings.lateness) * Int64(attempts)) {
            report("call \(call.id) ended \(late.nanoseconds / 1_000_000) ms after its time limit of \(limit) ms")
        }
    }

    private func body(of call: CallPlan) -> HTTPBody {
        switch call.content {
        case .none: .none
        case .bytes(let count): .bytes(ByteBuffer(repeating: 0x62, count: count))
        case .stream(let pieces, let size, 0):
            .sequence(Array(repeating: ByteBuffer(repeating: 0x63, count: size), count: pieces))
        case .stream(let pieces, let size, let pause):
            .stream(SlowPieces(world: self, count: pieces, size: size, pause: pause))
        }
    }
}

/// Pieces with pauses between them.
private struct SlowPieces: AsyncSequence, Sendable {
    let world: World
    let count: Int
    let size: Int
    let pause: Int

    struct AsyncIterator: AsyncIteratorProtocol {
        let pieces: SlowPieces
        var left: Int

        mutating func next() async throws -> ByteBuffer? {
            guard left > 0 else { return nil }
            left -= 1
            try await pieces.world.sleep(pieces.pause)
            return ByteBuffer(repeating: 0x64, count: pieces.size)
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: self, left: count) }
}
