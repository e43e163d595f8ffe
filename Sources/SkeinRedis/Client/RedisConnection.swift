// One connection to a server of Redis, with commands of many callers under way; answers come in the order of the commands.

import DequeModule
import NIOCore
import SkeinCore
import SkeinTransport

/// A connection.
///
/// Unchecked: touched on its channel's loop only.
final class RedisConnection: PooledConnection, @unchecked Sendable {
    let link: PipelineLink
    private let configuration: RedisConfiguration
    @exclusivity(unchecked) private var decoder = RESPDecoder()
    /// What waits for an answer, each with the number of writes before its own.
    @exclusivity(unchecked) private var pipeline = Deque<(operation: any RedisOperation, write: Int)>()
    /// Hears of what comes without being asked for: messages, invalidations.
    @exclusivity(unchecked) var onPush: (([RedisValue]) -> Void)?
    /// Whether what comes is messages of RESP2, which look like answers.
    @exclusivity(unchecked) var isSubscriber = false
    /// Hears of the answers to what a subscriber has told: a refusal, or nil for any other.
    @exclusivity(unchecked) var onReply: ((RedisError?) -> Void)?
    /// Whether this user may use MULTI, which has to be known before commands are sent that are meant to be one.
    @exclusivity(unchecked) private var mayUseMulti: Bool?
    /// Transactions that wait for it to be known.
    @exclusivity(unchecked) private var held: [RedisCall] = []
    @exclusivity(unchecked) private var isAskingForMulti = false
    /// Whether the server speaks RESP3.
    @exclusivity(unchecked) private(set) var speaksRESP3 = false
    /// What is asked for before commands, after the greeting.
    private let preparations: [RedisCommand]

    init(
        _ configuration: RedisConfiguration, shard: Shard, peer: String, preparations: [RedisCommand] = [],
        ready: EventLoopPromise<Void>
    ) {
        self.configuration = configuration
        self.preparations = preparations
        link = PipelineLink(shard: shard, peer: peer, ready: ready)
    }

    // MARK: Sending

    var underWay: Int { pipeline.count + held.count }
    var onlyAbandoned: Bool {
        pipeline.allSatisfy(\.operation.isAbandoned) && held.allSatisfy(\.isAbandoned)
    }

    func encode(_ call: RedisCall) {
        let wantsMulti = if case .transaction = call.commands { mayUseMulti != true } else { false }
        guard !wantsMulti, !isAskingForMulti else {
            held.append(call)  // in its turn behind the probe, and so are those that follow it
            return askForMulti(into: &link.output)
        }
        enqueue(call)
        call.write(into: &link.output)
    }

    /// Without the permission for MULTI, the commands behind it would be carried out all the same, each by itself. So it is asked for
    /// once, with nothing behind it. DISCARD lets go of watched keys, too: who watches some has to call this before.
    func learnWhetherMulti() { if mayUseMulti != true { link.write { askForMulti(into: &$0) } } }

    private func askForMulti(into output: inout ByteBuffer) {
        guard !isAskingForMulti else { return }
        isAskingForMulti = true
        link.begins(at: shard.now)
        var refusal: RedisError?
        enqueue(Probe { if case .success(.error(let error)) = $0 { refusal = error } })
        enqueue(
            Probe { [weak self] result in
                guard let self, case .success(let value) = result else { return }
                if refusal == nil, case .error(let error) = value {
                    // In a transaction that cannot be left, every command would only be queued.
                    return self.close(
                        because: SkeinError(
                            .connectionFailed, peer: self.peer,
                            because: "the user is allowed MULTI but not DISCARD, and needs both: \(error)", cause: error
                        ))
                }
                self.learned(refusal)
            })
        RESPEncoder.write(RedisCommand("MULTI"), into: &output)
        RESPEncoder.write(RedisCommand("DISCARD"), into: &output)
    }

    /// Writes what has waited, in its order.
    private func learned(_ refusal: RedisError?) {
        isAskingForMulti = false
        mayUseMulti = refusal == nil
        let calls = held
        held = []
        for call in calls where !call.isOver {
            if let refusal, case .transaction = call.commands {
                call.receive(.error(refusal), on: self)
            } else {
                enqueue(call)
                call.write(into: &link.output)
            }
        }
        link.flushSoon()
    }

    /// Sends a command of the connection's own.
    /// Something is about to be written whose answer is awaited.
    private func enqueue(_ operation: any RedisOperation) { pipeline.append((operation, link.writes)) }

    func ask(_ command: RedisCommand, _ done: @escaping (Result<RedisValue, SkeinError>) -> Void) {
        link.begins(at: shard.now)
        enqueue(Probe(done))
        link.write { RESPEncoder.write(command, into: &$0) }
    }

    /// Writes a command whose answer is no answer: a subscription's.
    func tell(_ command: RedisCommand) { link.write { RESPEncoder.write(command, into: &$0) } }

    func check() { ask(RedisCommand("PING")) { _ in } }

    func abandon(_ call: any PipelinedCall) {
        // A connection that waits for its one caller's blocking command is of use to nobody else.
        if isLeased { return close(because: nil) }
        link.abandoned()
    }

    // MARK: The greeting

    func greet() {
        guard configuration.speaksRESP3 else { return authenticate() }
        var words: [any RedisEncodable] = [3]
        if let password = configuration.password {
            words += ["AUTH", configuration.user ?? "default", password] as [any RedisEncodable]
        }
        if !configuration.clientName.isEmpty { words += ["SETNAME", configuration.clientName] as [any RedisEncodable] }
        ask(RedisCommand("HELLO", words)) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(.error(let error))
            where error.kind == "NOPROTO" || error.message.containsBytes("unknown command"):
                self.authenticate()  // a server from before RESP3
            case .success(.error(let error)): self.refuse(error)
            case .success:
                self.speaksRESP3 = true
                self.choose()
            case .failure: break
            }
        }
    }

    private func authenticate() {
        guard let password = configuration.password else { return choose() }
        let words: [any RedisEncodable] = configuration.user.map { [$0, password] } ?? [password]
        ask(RedisCommand("AUTH", words)) { [weak self] result in
            if case .success(.error(let error)) = result { self?.refuse(error) } else { self?.choose() }
        }
    }

    private func choose() {
        guard !isClosed else { return }
        var commands = preparations
        if configuration.database != 0 { commands.insert(RedisCommand("SELECT", [configuration.database]), at: 0) }
        prepare(commands[...])
    }

    private func prepare(_ commands: ArraySlice<RedisCommand>) {
        guard !isClosed else { return }
        guard let command = commands.first else { return link.becomeReady() }
        ask(command) { [weak self] result in
            if case .success(.error(let error)) = result {
                self?.refuse(error)
            } else {
                self?.prepare(commands.dropFirst())
            }
        }
    }

    private func refuse(_ error: RedisError) {
        let isForbidden = ["WRONGPASS", "NOAUTH", "NOPERM"].contains(error.kind) || error.message.containsBytes("AUTH")
        close(
            because: SkeinError(
                isForbidden ? .unknownAuthentication : .connectionFailed, peer: peer,
                because: "the server refuses the session: \(error)", cause: error))
    }

    // MARK: Receiving

    func receive(_ bytes: ByteBuffer) {
        decoder.append(bytes)
        do throws(RESPError) {
            let now = shard.now
            while !isClosed, let message = try decoder.next() {
                switch message {
                case .value(let value): answer(value, at: now)
                case .push(let elements):
                    link.heard(at: now)
                    onPush?(elements)
                }
            }
            if decoder.hasBegunAnswer, !isSubscriber, !isClosed, (pipeline.first?.write ?? .max) >= link.writes {
                refuseUnsolicited()
            }
        } catch {
            close(because: SkeinError(.responseHeaderError, peer: peer, because: "\(error)", cause: error))
        }
    }

    private func answer(_ value: RedisValue, at now: NIODeadline) {
        if isSubscriber, pipeline.isEmpty {
            link.heard(at: now)
            switch value {
            case .array(let elements): onPush?(elements)
            case .error(let error): onReply?(error)
            default: onReply?(nil)
            }
            return
        }
        guard let (operation, write) = pipeline.first, link.writes > write else {
            return refuseUnsolicited(value)
        }
        if operation.absorbs(value) { return }
        pipeline.removeFirst()
        operation.receive(value, on: self)
        link.madeProgress(at: now)
    }

    /// An answer, or the beginning of one, arrives before any command has left: the next caller must not get it.
    private func refuseUnsolicited(_ value: RedisValue? = nil) {
        close(
            because: SkeinError(
                .responseHeaderError, peer: peer,
                because: "the server sent an unsolicited response"
                    + (value.map { ": \("\($0)".prefix(200))" } ?? "")))
    }

    func loseCalls(_ reason: SkeinError) {
        let lost = pipeline
        pipeline = []
        let unsent = held
        held = []
        for (operation, write) in lost {
            if link.writes > write { operation.lost(reason) } else { operation.wasNotSent(reason) }
        }
        for call in unsent { call.wasNotSent(reason) }
        onPush = nil
        onReply = nil
    }

    /// A command of the connection's own.
    private final class Probe: RedisOperation {
        private let done: (Result<RedisValue, SkeinError>) -> Void

        init(_ done: @escaping (Result<RedisValue, SkeinError>) -> Void) { self.done = done }
        var isAbandoned: Bool { true }
        func receive(_ value: RedisValue, on connection: RedisConnection) {
            done(.success(value))
        }
        func lost(_ reason: SkeinError) { done(.failure(reason)) }
    }
}
